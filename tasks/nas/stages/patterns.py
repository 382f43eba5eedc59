"""The stage that mines patterns of edits from searches."""

import pyarrow as pa

from fingerpost.schemas import nas as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.pattern_params import PatternParams
from fingerpost.tasks.nas.patterns import PARTS, Observed, Pattern, compared, mined_patterns
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.PATTERNS, observes=True)
def mine_patterns(run: StageRun, search: Ref, *earlier: Ref, params: PatternParams) -> None:
    """Finds what edits changed in accuracy, latency, memory and size among the networks of this and of earlier searches."""
    searches = [observed(run.store, ref) for ref in (search, *earlier)]
    found, told = mined_patterns(searches, params=params), compared(searches, params=params)
    run.write("patterns", patterns_table(found))
    run.quality = {
        "patterns": len(found),
        "measured": sum(pattern.measured for pattern in found),
        "searches": len(told),
        "networks": sum(len(one.networks) for one in told),
    }


def observed(store: Store, ref: Ref) -> list[Observed]:
    """The trained networks of a search, the first evaluated one first.

    Accuracies with a supernet's weights are of another scale, and tell nothing beside those of trained networks.
    """
    rows = store.open(ref, contracts.SEARCH).read("evaluated").sort_by("number").to_pylist()
    return [
        Observed(
            Architecture.parse(row["description"]),
            row["accuracy"],
            row["latency_ms"],
            row["parameters"],
            row["memory_bytes"],
            row["front"] == 0,
        )
        for row in rows
        if row["trained"]
    ]


def patterns_table(patterns: tuple[Pattern, ...]) -> pa.Table:
    """The rows of patterns."""
    columns = {
        "edit": [pattern.edit for pattern in patterns],
        "where": [pattern.part for pattern in patterns],
        "low": [PARTS[pattern.part][0] for pattern in patterns],
        "high": [PARTS[pattern.part][1] for pattern in patterns],
    }
    numbers = ("chosen", "latency_change", "accuracy_change", "accuracy_spread", "memory_change", "size_change")
    columns |= {name: [getattr(pattern, name) for pattern in patterns] for name in ("tried", *numbers)}
    types = contracts.PATTERNS.table("patterns")
    return pa.table({field.name: pa.array(columns[field.name], field.type) for field in types.fields})
