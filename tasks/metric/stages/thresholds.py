"""The stages that tune a threshold. Each reads artifacts, calls a pure function and writes its result."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import metric as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.matrices import (
    dense_from_arrow,
    dense_to_arrow,
    figures_to_arrow,
    tensors_from_arrow,
    tensors_to_arrow,
)
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import members_table
from fingerpost.schemas.store import Artifact, Store
from fingerpost.tasks.corpus.open import read_vectors
from fingerpost.tasks.metric.assessment import AssessmentParams, assess
from fingerpost.tasks.metric.calibrated import CalibratedThreshold, calibrated
from fingerpost.tasks.metric.class_pairs import ClassPairs, count_between, sampled_classes, sampled_rows
from fingerpost.tasks.metric.classes import ClassParams, chosen_rows, class_groups
from fingerpost.tasks.metric.histograms import BLOCK_ROWS, Block, block_pairs
from fingerpost.tasks.metric.open import (
    bins_tensors,
    open_labelled,
    open_vectors,
    read_bins,
    read_groups,
    read_histograms,
    read_labelled,
    read_names,
    texts_of,
)
from fingerpost.tasks.metric.pairs import PairHistograms
from fingerpost.tasks.metric.partial_counts import count_groups, histogram_arrays, summed_counts
from fingerpost.tasks.metric.recount import Recount
from fingerpost.tasks.metric.retrieval import evenly, ranked_hits, summary
from fingerpost.tasks.metric.scores import ClassRows, Measure, ScoreBins, bins_covering, bounded_bins, class_rows
from fingerpost.tasks.metric.thresholds import Target
from fingerpost.tasks.shards import Shard, ShardOutput, even_shards, row_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@contextmanager
def _usable(what: Ref) -> Iterator[None]:
    """Turns a ValueError of a pure function into an error that names the artifact."""
    try:
        yield
    except ValueError as problem:
        raise FingerpostError(f"{what}: {problem}") from problem


@stage(contracts.ROWS)
def arrange_classes(
    run: StageRun,
    vectors: Ref,
    documents: Ref,
    *,
    measure: Measure,
    bins: int,
    memory_mb: float,
    classes: ClassParams,
    rows_per_shard: int,
    outliers: bool = True,
) -> None:
    """Sorts the vectors of the selected classes by class, one file per group of rows.

    ``memory_mb`` bounds the histograms of all pairs: with many classes there are fewer bins. ``outliers``: whether rows
    far beyond all others widen the bins.
    """
    table = read_labelled(run.store, documents)
    labels = texts_of(table, classes.column)
    rows = read_vectors(open_vectors(run.store, vectors))
    with _usable(documents):
        chosen = chosen_rows(labels, classes)
        names = np.array([labels[row] for row in chosen], dtype=str)
        data = class_rows(rows[chosen], names, measure)
        count = bounded_bins(bins, len(data.names), memory_mb)
        score_bins = bins_covering(data.rows, measure, count, outliers=outliers)
    _write_rows(run, data, chosen[np.argsort(names, kind="stable")], score_bins, rows_per_shard)
    run.quality = {"left_out": len(labels) - len(chosen)} | _rows_quality(data, score_bins)
    if classes.group:
        groups, several = class_groups(names, texts_of(table.take(chosen), classes.group), data.names)
        _write_groups(run, data.names, groups)
        run.quality |= {"grouped_classes": int((groups != "").sum()), "classes_of_several_groups": several}


def _write_rows(
    run: StageRun, data: ClassRows, order: NDArray[np.integer], bins: ScoreBins, rows_per_shard: int
) -> None:
    """Writes rows sorted by class; ``order``: the input row of each."""
    run.write("names", pa.table({"name": pa.array([str(name) for name in data.names], pa.string())}))
    run.write("order", tensors_to_arrow({"classes": data.classes, "rows": order.astype(np.int64)}))
    run.write("bins", tensors_to_arrow(bins_tensors(bins)))
    for shard in row_shards(len(data.rows), rows_per_shard):
        run.write("rows", dense_to_arrow(data.rows[shard.start : shard.stop]), shard=shard.index)


def _rows_quality(data: ClassRows, bins: ScoreBins) -> dict[str, object]:
    """Quality values of rows sorted by class."""
    return {
        "rows": len(data.rows),
        "classes": len(data.names),
        "lone_classes": int((np.bincount(data.classes) == 1).sum()),
        "dimensions": data.rows.shape[1],
        "measure": bins.measure,
        "bins": bins.count,
    }


def _write_groups(run: StageRun, names: np.ndarray, groups: np.ndarray | None) -> None:
    """Writes the groups of the classes, if any class is in one."""
    if groups is not None and (groups != "").any():
        run.write("groups", pa.table({"name": names.tolist(), "group": pa.array(groups.tolist(), pa.string())}))


@stage(contracts.PAIR_COUNTS)
def count_class_pairs(run: StageRun, rows: Ref) -> None:
    """Counts the scores of all pairs of rows by class, one shard per pair of row groups."""
    groups = block_pairs(len(run.store.open(rows, contracts.ROWS).entries("rows")))
    shards = even_shards(len(groups), 1)
    figures = run.map_shards(_count_shard, shards, rows=rows, groups=groups, threads=run.threads_of(shards))
    run.quality = {"pairs": sum(f["pairs"] for f in figures), "shards": len(shards)}


def _count_shard(store: Store, shard: Shard, *, rows: Ref, groups: list[tuple[int, int]], threads: int) -> ShardOutput:
    artifact = store.open(rows, contracts.ROWS)
    i, j = groups[shard.index]
    left = _blocks(artifact, i)
    right = None if i == j else _blocks(artifact, j)
    counts = count_groups(left, right, read_bins(artifact), threads=threads)
    # Every pair has two ends.
    return ShardOutput({"counts": tensors_to_arrow(counts)}, {"pairs": int(counts["ends"].sum()) // 2})


def _blocks(artifact: Artifact, group: int) -> list[Block]:
    """The rows of one file in blocks."""
    entries = artifact.entries("rows")
    first = sum(entry.rows for entry in entries[:group])
    classes = tensors_from_arrow(artifact.read("order"))["classes"][first : first + entries[group].rows]
    rows = dense_from_arrow(artifact.read("rows", shard=entries[group].shard))
    return [Block(rows[at : at + BLOCK_ROWS], classes[at : at + BLOCK_ROWS]) for at in range(0, len(rows), BLOCK_ROWS)]


@stage(contracts.HISTOGRAMS)
def merge_pair_counts(run: StageRun, rows: Ref, pair_counts: Ref) -> None:
    """Sums the counts of all pairs of row groups."""
    arranged, counted = run.store.open(rows, contracts.ROWS), run.store.open(pair_counts, contracts.PAIR_COUNTS)
    parts = (tensors_from_arrow(counted.read("counts", shard=entry.shard)) for entry in counted.entries("counts"))
    names, bins = read_names(arranged), read_bins(arranged)
    pairs = summed_counts(parts, names, bins, _between(arranged, names, bins))
    run.write("names", pa.table({"name": pa.array(names.tolist(), pa.string())}))
    _write_groups(run, names, read_groups(arranged))
    run.write("bins", tensors_to_arrow(bins_tensors(bins)))
    run.write("histograms", tensors_to_arrow(histogram_arrays(pairs)))
    positives = pairs.positives
    run.quality = {
        "classes": len(names),
        "positive_pairs": int(positives.sum()),
        "negative_pairs": int(pairs.negatives.sum()) // 2,
        "classes_without_positives": int((positives == 0).sum()),
        "measure": bins.measure,
        "bin_width": bins.width,
    }


def _between(arranged: Artifact, names: np.ndarray, bins: ScoreBins) -> ClassPairs:
    """Histograms between sampled classes; one file of rows is in memory at a time."""
    classes = tensors_from_arrow(arranged.read("order"))["classes"]
    sample = sampled_classes(names)
    positions = sampled_rows(classes, sample)
    parts, first = [], 0
    for entry in arranged.entries("rows"):
        rows = dense_from_arrow(arranged.read("rows", shard=entry.shard))
        parts.append(rows[positions[(positions >= first) & (positions < first + entry.rows)] - first])
        first += entry.rows
    sizes = np.bincount(classes, minlength=len(names))[sample].astype(np.int64)
    return count_between(np.ascontiguousarray(np.concatenate(parts)), classes[positions], sizes, bins)


@stage(contracts.ASSESSMENT)
def assess_threshold(
    run: StageRun, validation: Ref, test: Ref, validation_rows: Ref, test_rows: Ref, *, params: AssessmentParams
) -> None:
    """Chooses a threshold and a calibration range on validation classes, and measures both on test classes.

    Pairs are counted again from the rows where a threshold lies between the ends of the histograms' bins.
    """
    counted = [run.store.open(ref, contracts.HISTOGRAMS) for ref in (validation, test)]
    pairs = [read_histograms(artifact) for artifact in counted]
    recounts = _recount(run, validation_rows), _recount(run, test_rows)
    with _usable(validation):
        result = assess(pairs[0], pairs[1], params, _groups_of(counted, pairs), recounts=recounts)
    run.write("figures", figures_to_arrow(result.figures))
    run.write("classes", _table_of("classes", result.classes))
    if result.groups:
        run.write("groups", _table_of("groups", result.groups))
    run.write("curves", tensors_to_arrow(result.curves))
    run.quality = result.quality


def _recount(run: StageRun, rows: Ref) -> Recount:
    """Counts the pairs of rows in other bins, one shard per pair of row groups."""
    artifact = run.store.open(rows, contracts.ROWS)
    groups, names = block_pairs(len(artifact.entries("rows"))), read_names(artifact)
    shards = even_shards(len(groups), 1)

    def recount(bins: ScoreBins) -> PairHistograms:
        threads = run.threads_of(shards)
        parts = run.gather(_recount_shard, shards, rows=rows, groups=groups, bins=bins, threads=threads)
        return summed_counts(parts, names, bins)

    return recount


def _recount_shard(
    store: Store, shard: Shard, *, rows: Ref, groups: list[tuple[int, int]], bins: ScoreBins, threads: int
) -> dict[str, np.ndarray]:
    artifact = store.open(rows, contracts.ROWS)
    i, j = groups[shard.index]
    left = _blocks(artifact, i)
    return count_groups(left, None if i == j else _blocks(artifact, j), bins, threads=threads)


@stage(contracts.RETRIEVAL)
def measure_retrieval(run: StageRun, rows: Ref, *, queries: int) -> None:
    """Measures recall@1 and mAP@R by exact search for at most ``queries`` rows, evenly by class.

    One shard per group of rows.
    """
    artifact = run.store.open(rows, contracts.ROWS)
    entries = artifact.entries("rows")
    ends = np.cumsum([0, *(entry.rows for entry in entries)]).tolist()
    shards = [Shard(number, ends[number], ends[number + 1]) for number in range(len(entries))]
    parts = run.gather(_retrieval_shard, shards, rows=rows, queries=queries)
    classes = tensors_from_arrow(artifact.read("order"))["classes"]
    means = summary(classes, *(np.concatenate([part[kind] for part in parts]) for kind in (0, 1)))
    values = {
        "recall_at_1": means.recall_at_1,
        "map_at_r": means.map_at_r,
        "recall_at_1_classes": means.recall_at_1_classes,
        "map_at_r_classes": means.map_at_r_classes,
    }
    known = {name: value for name, value in values.items() if not np.isnan(value)}
    measure = read_bins(artifact).measure
    run.write("figures", figures_to_arrow([("exact search", measure, name, value) for name, value in known.items()]))
    run.quality = known | {"rows": means.rows, "lone_classes": means.lone_classes}


def _retrieval_shard(store: Store, shard: Shard, *, rows: Ref, queries: int) -> tuple[np.ndarray, np.ndarray]:
    artifact = store.open(rows, contracts.ROWS)
    classes = tensors_from_arrow(artifact.read("order"))["classes"]
    every = np.ascontiguousarray(dense_from_arrow(artifact.read("rows")))
    is_query = evenly(len(every), queries)
    return ranked_hits(every, classes, read_bins(artifact).measure, shard.start, shard.stop, is_query=is_query)


@stage(contracts.THRESHOLD)
def release_threshold(
    run: StageRun,
    histograms: Ref,
    vectors: Ref,
    documents: Ref,
    assessment: Ref,
    retrieval: Ref,
    *others: Ref,
    roles: tuple[str, ...] = (),
    target: Target,
    model: str,
    canaries: int,
) -> None:
    """Releases the threshold of an assessment, with the model's identity and some of its vectors as canaries.

    The members of the release are the inputs; ``roles`` name ``others``. The quality holds the metrics on test classes,
    for the gates. FingerpostError for an assessment of another target.
    """
    named = ("validation_pairs", "vectors", "documents", "assessment", "retrieval")
    members = (histograms, vectors, documents, assessment, retrieval, *others)
    run.write("members", members_table(dict(zip((*named, *roles), members, strict=True))))
    counted, assessed = (
        run.store.open(histograms, contracts.HISTOGRAMS),
        run.store.open(assessment, contracts.ASSESSMENT),
    )
    labelled, table = open_labelled(run.store, documents)
    ids = labelled.read(table)["id"].to_pylist()
    rows = read_vectors(open_vectors(run.store, vectors))
    chosen = _chosen(assessed, target)
    groups, count = _own_thresholds(assessed), min(canaries, len(ids))
    choice = _Chosen(chosen["value"], (chosen["low"], chosen["high"]), target)
    measure = read_bins(counted).measure
    release = calibrated(choice, measure, model=model, ids=ids, vectors=rows, canaries=count, groups=groups)
    run.quality = _write_threshold(run, release, target)
    run.quality |= {name: chosen[name] for name in (f"held_out_{target.rate}", "far", "frr")}
    run.quality |= {"classes": len(read_names(counted)), "groups": len(groups)}
    run.quality |= {"quarantine_share": labelled.quality["quarantine_share"]}
    run.quality |= _tested(assessed, run.store.open(retrieval, contracts.RETRIEVAL))


@dataclass(frozen=True)
class _Chosen:
    """A threshold, its interval and its target."""

    threshold: float
    interval: tuple[float, float]
    target: Target


def _chosen(assessed: Artifact, target: Target) -> dict[str, float]:
    """The threshold of an assessment, its interval, and its rates on the classes that it was chosen on."""
    figures = {
        row["metric"]: row["value"]
        for row in assessed.read("figures").to_pylist()
        if (row["method"], row["setting"]) == ("threshold", "validation")
    }
    if f"held_out_{target.rate}" not in figures:
        raise FingerpostError(
            f"{assessed.ref}: expected the assessment of a threshold for {target.rate}, found none; assess with that"
            " target"
        )
    return figures


def _own_thresholds(assessed: Artifact) -> dict[str, tuple[float, float, float]]:
    """(threshold, low, high) by name of the groups of classes with a threshold of their own."""
    groups = assessed.read("groups").to_pylist() if assessed.entries("groups") else []
    return {group["name"]: (group["threshold"], group["low"], group["high"]) for group in groups if group["worth"]}


def _write_threshold(run: StageRun, release: CalibratedThreshold, target: Target) -> dict[str, object]:
    """Writes the tables of a release; returns the values of its threshold."""
    values: dict[str, object] = {
        "threshold": release.threshold,
        "low": release.interval[0],
        "high": release.interval[1],
        "measure": release.measure,
        "rate": target.rate,
        "share": target.share,
        "model": release.model,
    }
    run.write("threshold", pa.table({name: [value] for name, value in values.items()}))
    canaries = dense_to_arrow(release.canaries).add_column(0, "id", pa.array(release.canary_ids, pa.string()))
    run.write("canaries", canaries)
    if release.groups:
        threshold, low, high = zip(*release.groups.values(), strict=True)
        run.write("groups", pa.table({"name": list(release.groups), "threshold": threshold, "low": low, "high": high}))
    return values


def _tested(assessed: Artifact, retrieval: Artifact) -> dict[str, object]:
    """Metrics on classes other than those that the threshold was chosen on."""
    tested, ranked = assessed.quality, retrieval.quality
    return {
        "test_classes": tested["classes"],
        "test_far": tested["far"],
        "test_frr": tested["frr"],
        "opis": tested["opis"],
        "cautions": tested["cautions"],
        "kept": tested["kept"],
        "target_pairs": tested["target_pairs"],
    } | {name: ranked[name] for name in ("recall_at_1", "map_at_r") if name in ranked}


def _groups_of(counted: list[Artifact], pairs: list[PairHistograms]) -> tuple[np.ndarray, np.ndarray] | None:
    """The groups of the classes of both sides; None if no class is in a group."""
    stored = [read_groups(artifact) for artifact in counted]
    if stored[0] is None and stored[1] is None:
        return None
    first, second = (
        np.full(len(side.names), "") if groups is None else groups for groups, side in zip(stored, pairs, strict=True)
    )
    return first, second


def _table_of(name: str, columns: dict[str, list[object]]) -> pa.Table:
    """A table of the assessment from columns by name, NaN as null."""
    fields = contracts.ASSESSMENT.table(name).fields
    arrays = [pa.array(columns[field.name], field.type, from_pandas=True) for field in fields]
    return pa.table(arrays, names=[field.name for field in fields])
