"""The `nas front` command: the Pareto front of the live network, and its files. Imports no Prefect."""

from pathlib import Path
from typing import Any

from fingerpost.flows.run.console import table_of, wide_console
from fingerpost.flows.run.plain_text import echo_json
from fingerpost.schemas.errors import InputError, UsageError
from fingerpost.schemas.exchanged_files import write_parts
from fingerpost.schemas.figures import significant
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.architecture_toml import architecture_toml
from fingerpost.tasks.nas.differences import stage_text
from fingerpost.tasks.nas.open import LiveNetwork, live


def front(
    *, onnx: Path | None, architecture: Path | None, as_json: bool, collection: str | None, store: str | None
) -> None:
    """Prints the front of the live network's search, and writes its ONNX file and architecture where they are named."""
    for path, suffix in ((onnx, ".onnx"), (architecture, ".toml")):
        check_output(path, suffix)
    network = live(collection, store=store)
    if onnx is not None:
        write_parts(onnx, [network.onnx])
    if architecture is not None:
        write_parts(architecture, [architecture_toml(network.architecture).encode()])
    rows = network.front().to_pylist()
    if as_json:
        chosen = {"network": str(network.ref), "chosen": network.architecture.id}
        echo_json(chosen | {"front": [_plain(row) for row in rows], "written": _written(onnx, architecture)})
        return
    _show(network, rows, _written(onnx, architecture))


def check_output(path: Path | None, suffix: str) -> None:
    """InputError for a name that does not end in ``suffix``, or a folder that does not exist."""
    if path is None:
        return
    if path.suffix != suffix:
        raise UsageError(f"{path}: expected a name that ends in {suffix}, got another; rename it")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path}: expected a folder to write to, found none there; create it")


def _written(*paths: Path | None) -> list[str]:
    return [str(path) for path in paths if path is not None]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the front with its architecture as an object."""
    return {key: value for key, value in row.items() if key != "description"}


def _show(network: LiveNetwork, rows: list[dict[str, Any]], written: list[str]) -> None:
    console, chosen = wide_console(), network.architecture
    heading = f"Pareto front: {len(rows)} networks"
    table = table_of(
        heading, "network", "validation accuracy>", "latency ms>", "memory bytes>", "parameters>", "MACs>", ""
    )
    for row in rows:
        latency = "" if row["latency_ms"] is None else significant(row["latency_ms"])
        costs = (f"{row[name]:,}" for name in ("memory_bytes", "parameters", "macs"))
        mark = "live" if row["architecture"] == chosen.id else ""
        accuracy = "" if row["accuracy"] is None else f"{row['accuracy']:.4f}"
        table.add_row(row["architecture"], accuracy, latency, *costs, mark)
    console.print(table)
    console.tell(f"live: {architecture_text(chosen)}")
    for path in written:
        console.tell(f"written: {path}")
    console.tell(str(network.ref), style="dim")


def architecture_text(architecture: Architecture) -> str:
    """An architecture in one line."""
    stem = f"{architecture.resolution}×{architecture.resolution}, stem {architecture.stem}/{architecture.stem_stride}"
    ending = f"head {architecture.head}, " if architecture.head else ""
    return f"{stem}; {'; '.join(map(stage_text, architecture.stages))}; {ending}{architecture.classes} classes"
