"""The stage that assembles a network's release from its members."""

from collections.abc import Mapping
from typing import Any

from fingerpost.schemas import nas as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import members_table
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

#: Values of an evaluation that a release repeats.
_EVALUATED = (
    "tested",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "reference_accuracy",
    "latency_ms",
    "memory_bytes",
    "parameters",
    "bytes",
    "onnx_difference",
)


@stage(contracts.NETWORK)
def assemble_network(run: StageRun, *members: Ref, roles: tuple[str, ...]) -> None:
    """Lists the artifacts of a network, with the values that its gates check."""
    by_role = dict(zip(roles, members, strict=True))
    run.write("members", members_table(by_role))
    run.quality = release_quality({role: run.store.manifest(ref).quality for role, ref in by_role.items()})


def release_quality(by_role: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Quality of a release, from that of its members."""
    images, search, latency, evaluation = (by_role[role] for role in ("images", "search", "latency", "evaluation"))
    seen = by_role.get("canvases", images)
    return {
        **{name: images[name] for name in ("images", "quarantine_share")},
        "classes": seen["classes"],
        **{name: search[name] for name in ("evaluated", "trained", "front")},
        "latency_ms_limit": search["latency_limit_ms"],
        "memory_bytes_limit": search["memory_limit_bytes"],
        "parameters_limit": search["parameters_limit"],
        "reference_latency_ms": search["reference_latency_ms"],
        "estimator_within_10": latency["within_10"],
        "architecture": by_role["trained"]["architecture"],
        "device": by_role["measured"]["device"],
        "measured": by_role["measured"]["measured_ms"] is not None,
        **{name: evaluation[name] for name in _EVALUATED},
    }
