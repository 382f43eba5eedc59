"""The stage that assembles an alignment from its members."""

from collections.abc import Mapping
from typing import Any

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import members_table
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

#: Metrics of an evaluation that a release repeats, where they were measured.
_METRICS = (
    "prauc",
    "baseline_prauc",
    "precision",
    "recall",
    "f1",
    "matches_precision",
    "matches_recall",
    "matches_f1",
)


@stage(contracts.ALIGNMENT)
def assemble_alignment(run: StageRun, *members: Ref, roles: tuple[str, ...]) -> None:
    """Lists the artifacts of an alignment, with the values that its gates check."""
    by_role = dict(zip(roles, members, strict=True))
    run.write("members", members_table(by_role))
    run.quality = release_quality({role: run.store.manifest(ref).quality for role, ref in by_role.items()})


def release_quality(by_role: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Quality of a release, from that of its members."""
    left, right = by_role["left"], by_role.get("right", {})
    links, candidates, evaluation = (by_role[role] for role in ("links", "candidates", "evaluation"))
    imports = [part for part in (left, right, links) if part]
    calibration = by_role["calibration"]
    quality = {
        "left_entities": left["entities"],
        "right_entities": right.get("entities", 0),
        "quarantine_share": max(float(part["quarantine_share"]) for part in imports),
        **{name: links[name] for name in ("links", "positives", "reviewed")},
        "pairs": candidates["pairs"],
        "pairs_per_entity": candidates["pairs_per_entity"],
        "matches": by_role["matches"]["matches"],
        "clusters": by_role["clusters"]["clusters"],
        **{name: calibration[name] for name in ("threshold", "estimated", "kept")},
        "tested": evaluation["tested"],
        **{name: evaluation[name] for name in _METRICS if name in evaluation},
    }
    return quality | ({"blocking_recall": candidates["recall"]} if "recall" in candidates else {})
