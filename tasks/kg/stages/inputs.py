"""The stages that import two graphs and the known pairs of their entities."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.corpus import QUARANTINE
from fingerpost.schemas.errors import QuarantineLimitError
from fingerpost.schemas.inputs.forms import Quarantine, first_rows
from fingerpost.schemas.inputs.graph_links import GIVEN, REVIEWED, KnownLinks, LinkSource, known_links
from fingerpost.schemas.inputs.graphs import GraphSource
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.imports import write_rows
from fingerpost.tasks.kg.splits import NONE, SPLITS, TRAINING, KnownPairs, LinkParams, filled_splits
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

#: The settings of the largest fraction of bad rows.
_OF_GRAPHS, _OF_LINKS = "kg.quarantine_share", "kg.linking.quarantine_share"


@stage(contracts.GRAPH)
def import_graph(run: StageRun, source: GraphSource, *, params: ImportParams, side: str) -> None:
    """Imports the entities, relations and attributes of one side, left or right, and quarantines bad rows."""
    graph = source.read()
    counts = {name: table.num_rows for name, table in graph.tables().items()}
    limit = _Limit(params.quarantine_share, _OF_GRAPHS, "row")
    bad = _quarantined(run, source, graph.quarantined, limit, good=graph.rows)
    run.quality = counts | bad | {"rows": graph.rows, "types": len(graph.entities["type"].unique())}
    for name, table in graph.tables().items():
        write_rows(run, name, table, params)


@stage(contracts.LINKS)
def import_links(run: StageRun, left: Ref, right: Ref, *sources: LinkSource, params: LinkParams) -> None:
    """Imports the known pairs of two graphs, or of one (left and right are the same), and splits those without a split.

    What a reviewer decided wins, and is for training, but where a given pair has another split. No sources make no links.
    """
    graphs = [run.store.open(side, contracts.GRAPH).read("entities") for side in (left, right)]
    batches = [source.read() for source in sources]
    links = known_links(batches, graphs[0]["id"], graphs[1]["id"], within=left == right)
    names = " and ".join(map(str, sources))
    bad = _joined([batch.quarantine for batch in batches])
    good = len(links.labels) if sources else None
    limit = _Limit(params.quarantine_share, _OF_LINKS, "known pair", _examples(graphs))
    run.quality = _quarantined(run, names, bad, limit, good=good)
    numbers = filled_splits(*_to_split(links, graphs[0]["id"], within=left == right), params)
    run.write("links", _table(links, numbers))
    run.quality |= _counts(links, numbers)


def _to_split(links: KnownLinks, ids: pa.ChunkedArray, *, within: bool) -> tuple[KnownPairs, list[str]]:
    """The pairs and the ids of their left entities; what a reviewer alone decided is for training where pairs are given."""
    by_name = {name: number for number, name in enumerate(SPLITS)}
    numbers = np.array([by_name.get(name, NONE) for name in links.splits], dtype=np.int8)
    if links.listed.any():
        numbers[~links.listed & (numbers == NONE)] = TRAINING
    keys: list[str] = ids.take(pa.array(links.left.astype(np.int64))).to_pylist()
    return KnownPairs(links.left, links.right, links.labels, numbers, within), keys


def _table(links: KnownLinks, numbers: np.ndarray) -> pa.Table:
    names = pa.array(["", *SPLITS], pa.string()).take(pa.array(numbers.astype(np.int64) + 1))
    sources = pa.array([GIVEN, REVIEWED], pa.string()).take(pa.array(links.reviewed.astype(np.int64)))
    columns = {
        "left": pa.array(links.left, pa.uint32()),
        "right": pa.array(links.right, pa.uint32()),
        "label": pa.array(links.labels, pa.int8()),
        "split": names,
        "source": sources,
    }
    return pa.table(columns)


def _counts(links: KnownLinks, numbers: np.ndarray) -> dict[str, Any]:
    counts = {name: int((numbers == number).sum()) for number, name in enumerate(SPLITS)}
    positives = int(links.labels.sum())
    return {
        "links": len(links.labels),
        "positives": positives,
        "negatives": len(links.labels) - positives,
        "reviewed": int(links.reviewed.sum()),
        "reviewed_gone": links.gone,
        "repeated": links.repeated,
        **counts,
    }


def _joined(some: list[Quarantine]) -> pa.Table:
    return pa.concat_tables([Quarantine().table(), *(one.table() for one in some)])


def _is_shared(entity: dict[str, str]) -> bool:
    """Whether an entity is a value that rows of a table share."""
    return entity["id"].startswith(f"{entity['type']}=")


@dataclass(frozen=True)
class _Limit:
    """The maximum fraction of bad rows, the setting that says it, what a good row is, and what else helps."""

    share: float
    setting: str
    wanted: str
    hint: str = ""


def _examples(graphs: list[pa.Table]) -> str:
    """What ids look like, for links that name others."""
    rows = ([row for row in graph.slice(0, 1000).to_pylist() if not _is_shared(row)] for graph in graphs)
    ids = [some[0]["id"] if some else "" for some in rows]
    return f" (ids of the left graph are such as {ids[0]!r}, of the right one {ids[1]!r}; --id names their column)"


def _quarantined(run: StageRun, source: object, bad: pa.Table, limit: _Limit, *, good: int | None) -> dict[str, Any]:
    """Writes bad rows as a companion artifact; their number and fraction.

    QuarantineLimitError for too large a fraction, and for no good row unless there is nothing to read (good is None).
    """
    reasons: dict[str, int] = {}
    for reason in bad["reason"].to_pylist():
        reasons[reason] = reasons.get(reason, 0) + 1
    reasons = dict(sorted(reasons.items()))
    run.write_companion(QUARANTINE, {"rows": bad}, quality={"rows": bad.num_rows, "reasons": reasons})
    share = bad.num_rows / max(bad.num_rows + (good or 0), 1)
    if share > limit.share or good == 0:
        counts = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "no rows at all"
        hint = limit.hint if "unknown entity" in reasons else ""
        raise QuarantineLimitError(
            f"{source}: expected at most {limit.share:.1%} bad rows and at least one good {limit.wanted}, found"
            f" {bad.num_rows} bad and {good} good ({counts}): {first_rows(bad)}; fix the input{hint}, or raise"
            f" {limit.setting}; `fingerpost quarantine {run.companions[QUARANTINE.name]}` shows all"
        )
    return {"quarantined": bad.num_rows, "quarantine_share": round(share, 6)}
