"""The gates that a network must pass before it becomes live. Imports no Prefect."""

from fingerpost.flows.domains.nas.settings import NetworkGates
from fingerpost.schemas.inputs import SAMPLE
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.publish import Gate


def network_gates(manifest: Manifest, settings: NetworkGates) -> list[Gate]:
    """The gates of a network: what it costs on the device, its accuracy on test images, and that its ONNX file agrees.

    A limit that the search had not is no gate. The latency is the measured one, or where the device cannot measure
    networks the estimated one.
    """
    quality = manifest.quality
    gates = [
        Gate("network_tested", float(quality["tested"]), float(settings.tested)),
        Gate("quarantine_share", float(quality["quarantine_share"]), settings.quarantine_share, "at_most"),
    ]
    if settings.accuracy:
        gates.append(Gate("network_accuracy", float(quality["accuracy"]), settings.accuracy))
    if quality["reference_accuracy"] is not None and settings.under_reference < 1:
        gates.append(
            Gate(
                "network_accuracy_beside_reference",
                float(quality["accuracy"]),
                round(float(quality["reference_accuracy"]) - settings.under_reference, 6),
            )
        )
    for cost in ("latency_ms", "memory_bytes", "parameters"):
        limit = quality[f"{cost}_limit"]
        if limit is not None and settings.over_limit:
            gates.append(Gate(f"network_{cost}", float(quality[cost]), float(limit) * settings.over_limit, "at_most"))
    if quality["onnx_difference"] is not None:
        gates.append(Gate("network_onnx_difference", float(quality["onnx_difference"]), settings.onnx, "at_most"))
    return gates


def on_missed(collection: str, settings: NetworkGates) -> str:
    """The consequence of a missed gate for the run: "fail" or "note"."""
    return settings.sample_missed if collection == SAMPLE else settings.missed


def unmeasured(manifest: Manifest) -> list[str]:
    """What about a network was not measured, and what to do about it."""
    quality, said = manifest.quality, []
    if quality["onnx_difference"] is None:
        said.append(
            "The ONNX file is not compared with torch: onnxruntime is not installed; pip install 'fingerpost[nas]'"
        )
    if not quality["measured"]:
        said.append(
            f"The latency is estimated, not measured: {quality['device']} cannot run whole networks; measure the published"
            " ONNX file there"
        )
    return said
