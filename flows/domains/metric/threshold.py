"""The `threshold` command: one threshold for all classes of a file of embeddings, or the live one.

Imports no Prefect.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerpost.schemas.errors import FingerpostError, InputError
from fingerpost.schemas.inputs.embeddings import EMBEDDINGS, read_embeddings
from fingerpost.tasks.metric.assessment import AssessmentParams, assess
from fingerpost.tasks.metric.calibrated import Migration, migrate
from fingerpost.tasks.metric.classes import class_groups, in_validation
from fingerpost.tasks.metric.histograms import pair_histograms
from fingerpost.tasks.metric.open import LiveThreshold
from fingerpost.tasks.metric.pairs import PairHistograms
from fingerpost.tasks.metric.recount import Recount, counted_at, recounting
from fingerpost.tasks.metric.retrieval import retrieval
from fingerpost.tasks.metric.scores import Measure, bins_covering, bounded_bins
from fingerpost.tasks.metric.thresholds import Target, class_rates

_GIVEN = replace(EMBEDDINGS, option="--map ")
#: The columns of a file of vectors alone: those of another model, or to be checked.
_BARE = replace(_GIVEN, needed=("id", "vector"))


@dataclass(frozen=True)
class Embeddings:
    """Vectors, float32 (n, d), with ids, labels ("" for none) and groups like labels, if any, and their source."""

    source: str
    ids: list[str]
    labels: NDArray[np.str_]
    vectors: NDArray[np.float32]
    groups: NDArray[np.str_] | None = None


@dataclass(frozen=True)
class Options:
    """How a threshold is chosen and tested.

    ``split``: whether it is tested on other classes than it is chosen on; ``queries``: number of rows whose nearest
    neighbours are searched.
    """

    target: Target = field(default_factory=Target)
    measure: Measure = "cosine"
    bins: int = 2048
    memory_mb: float = 512
    validation_share: float = 0.5
    seed: int = 0
    split: bool = True
    queries: int = 1000
    level: float = 0.95
    threads: int = 1


def read_given(path: str | Path, mapping: Mapping[str, str], *, labelled: bool = True) -> Embeddings:
    """The embeddings of a file; InputError in one line for an invalid file, column or row."""
    form = _GIVEN if labelled else _BARE
    known = {ours: theirs for ours, theirs in mapping.items() if labelled or ours != "label"}
    batch = read_embeddings(path, mapping=known, form=form)
    if batch.quarantined.num_rows:
        first = batch.quarantined.slice(0, 1).to_pylist()[0]
        named = f" of id {first['id']!r}" if first["id"] else ""
        bad = batch.quarantined.num_rows
        raise InputError(
            f"{path}: expected a finite vector of one length with a direction, and an id of its own, in every row,"
            f" found {first['reason']} ({first['detail']}) in row {first['row']}{named}, {bad} bad row(s) in all; fix"
            " or remove them"
        )
    rows = batch.accepted
    vectors = rows["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(rows.num_rows, -1)
    labels = np.array(rows["label"].to_pylist(), dtype=str)
    groups = np.array(rows["group"].to_pylist(), dtype=str)
    numbers = np.ascontiguousarray(vectors, dtype=np.float32)
    return Embeddings(str(path), rows["id"].to_pylist(), labels, numbers, groups if (groups != "").any() else None)


def choose(given: Embeddings, options: Options) -> dict[str, Any]:
    """The threshold of a file's embeddings, its rates on other classes, and metrics of retrieval within classes."""
    sides = _sides(given, options)
    chosen, tested = (sides["validation"], sides["test"]) if options.split else (sides["all"], sides["all"])
    parts = (chosen, tested) if options.split else (chosen,)
    with_pairs = [_pairs(given, rows, options) for rows in parts]
    again = [_recount(given, rows, options) for rows in parts]
    try:
        params = AssessmentParams(options.target, level=options.level)
        groups = _groups(given, (chosen, tested), with_pairs)
        found = assess(with_pairs[0], with_pairs[-1], params, groups, recounts=(again[0], again[-1]))
        searched = retrieval(given.vectors[tested], given.labels[tested], options.measure, queries=options.queries)
    except ValueError as problem:
        raise FingerpostError(f"{given.source}: {problem}") from problem
    figures = {f"{method} {setting} {name}": value for method, setting, name, value in found.figures}
    rate = options.target.rate
    return {
        "input": given.source,
        "rows": len(given.ids),
        "unlabelled": int((given.labels == "").sum()),
        "measure": options.measure,
        "target": {"rate": rate, "share": options.target.share},
        "threshold": found.quality["threshold"],
        "interval": [found.quality["threshold_low"], found.quality["threshold_high"]],
        "kept": found.quality["kept"],
        "level": options.level,
        "bin_width": with_pairs[0].bins.width,
        "chosen_on": {
            "classes": len(with_pairs[0].names),
            "rows": len(chosen),
            "far": figures["threshold validation far"],
            "frr": figures["threshold validation frr"],
            "held_out": figures[f"threshold validation held_out_{rate}"],
        },
        "tested_on": {
            "classes": len(with_pairs[-1].names),
            "rows": len(tested),
            "other_classes": options.split,
            "far": found.quality["far"],
            "frr": found.quality["frr"],
            "equal_error": found.quality["equal_error"],
            "recall_at_1": _known(searched.recall_at_1),
            "map_at_r": _known(searched.map_at_r),
            "opis": found.quality["opis"],
            "worst_opis": found.quality["worst_opis"],
            "classes_with_few_pairs": found.quality["classes_with_few_pairs"],
        },
        "worst": _worst(found.classes, rate),
        "groups": group_rows(found.groups),
        "cautions": found.quality["cautions"],
    }


def _groups(
    given: Embeddings, sides: tuple[NDArray[np.int64], NDArray[np.int64]], pairs: list[PairHistograms]
) -> tuple[NDArray[np.str_], NDArray[np.str_]] | None:
    """The groups of the classes that the threshold is chosen on and of those that test it, if there are groups."""
    groups = given.groups
    if groups is None:
        return None
    first, second = (
        class_groups(given.labels[rows], groups[rows], side.names)[0]
        for rows, side in zip(sides, (pairs[0], pairs[-1]), strict=True)
    )
    return first, second


def group_rows(columns: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """Groups as JSON: null where there is no threshold or no such class, ``interval`` for its ends."""
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return [
        {name: row[name] for name in ("name", "classes", "threshold")}
        | {"interval": None if row["threshold"] is None else [row["low"], row["high"]]}
        | {name: row[name] for name in ("rate", "worth", "test_classes", "test_rate", "own_test_rate")}
        for row in rows
    ]


def _worst(columns: Mapping[str, list[Any]], rate: str) -> list[dict[str, Any]]:
    """The classes by the target's rate, highest first; those without such pairs are left out."""
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    known = [row for row in rows if not np.isnan(row[rate])]
    return [
        {"name": row["name"], "far": _known(row["far"]), "frr": _known(row["frr"])}
        | {name: row[name] for name in ("positives", "negatives")}
        for row in sorted(known, key=lambda row: -row[rate])
    ]


def _known(value: float) -> float | None:
    """A metric's value; None where there is none."""
    return None if np.isnan(value) else value


def _sides(given: Embeddings, options: Options) -> dict[str, NDArray[np.int64]]:
    """Rows by side of the split, and all rows with a label; FingerpostError if there are too few classes to split."""
    names, classes, sizes = np.unique(given.labels, return_inverse=True, return_counts=True)
    real = names != ""
    if real.sum() < 2:
        raise FingerpostError(
            f"{given.source}: expected two classes or more, found {real.sum()} in {len(given.labels):,} rows; give rows"
            " of other labels too"
        )
    if sizes[real].max() < 2:
        raise FingerpostError(
            f"{given.source}: expected a class with two rows or more, found {real.sum():,} classes of one row each; a"
            " threshold needs pairs of one class"
        )
    share, seed = options.validation_share, options.seed
    first = np.array([in_validation(str(name), share, seed) for name in names])
    sides = {"all": real, "validation": real & first, "test": real & ~first}
    counts = {side: int(chosen.sum()) for side, chosen in sides.items()}
    if options.split and min(counts["validation"], counts["test"]) < 2:
        raise FingerpostError(
            f"{given.source}: expected two classes or more on either side of the split, found {counts['validation']} to"
            f" choose on and {counts['test']} to test; give more classes, another --seed, or --same-classes to choose"
            " and test on all"
        )
    return {side: np.flatnonzero(chosen[classes]) for side, chosen in sides.items()}


def _pairs(given: Embeddings, rows: NDArray[np.int64], options: Options) -> PairHistograms:
    """The histograms of all pairs of some rows, within the memory limit."""
    vectors, labels = given.vectors[rows], given.labels[rows]
    try:
        count = bounded_bins(options.bins, len(np.unique(labels)), options.memory_mb)
        bins = bins_covering(vectors, options.measure, count, outliers=False)
        return pair_histograms(vectors, labels, bins, threads=options.threads)
    except ValueError as problem:
        raise FingerpostError(f"{given.source}: {problem}") from problem


def _recount(given: Embeddings, rows: NDArray[np.int64], options: Options) -> Recount:
    """Recounts of the pairs of some rows, for thresholds between the ends of the histograms' bins."""
    return recounting(given.vectors[rows], given.labels[rows], options.measure, threads=options.threads)


def carried_over(old: Embeddings, new: Embeddings, threshold: float, options: Options) -> dict[str, Any]:
    """A threshold moved to another model's embeddings of the same ids, and both models' rates."""
    before, after, rows = _matched(old, new)
    try:
        every, rate = np.arange(len(rows)), options.target.rate
        pairs = [_pairs(one, every, options) for one in (before, after)]
        again = _recount(before, every, options), _recount(after, every, options)
        moved: Migration = migrate(threshold, rate, pairs[0], pairs[1], level=options.level, recounts=again)
    except ValueError as problem:
        raise FingerpostError(f"{old.source} and {new.source}: {problem}") from problem
    return {
        "from": old.source,
        "to": new.source,
        "rows": len(rows),
        "only_in_from": len(old.ids) - len(rows),
        "only_in_to": len(new.ids) - len(rows),
        "measure": options.measure,
        "matched": rate,
        "level": options.level,
        "before": {"threshold": threshold, "far": moved.before.global_far, "frr": moved.before.global_frr},
        "after": {
            "threshold": moved.choice.threshold,
            "interval": list(moved.choice.interval),
            "kept": moved.choice.kept,
            "far": moved.after.global_far,
            "frr": moved.after.global_frr,
        },
        "changes": [{"name": name, "before": a, "after": b} for name, a, b in moved.changes(rate, len(pairs[0].names))],
    }


def _matched(old: Embeddings, new: Embeddings) -> tuple[Embeddings, Embeddings, list[int]]:
    """The labelled rows of both models with a common id, in the old one's order."""
    place = {key: row for row, key in enumerate(new.ids)}
    rows = [row for row, key in enumerate(old.ids) if key in place and old.labels[row]]
    if len(rows) < 2:
        raise FingerpostError(
            f"{new.source}: expected the ids of {old.source}, found {len(rows)} of its {len(old.ids):,}; embed the same"
            " rows with both models"
        )
    ids, labels = [old.ids[row] for row in rows], old.labels[rows]
    other = new.vectors[[place[key] for key in ids]]
    return (
        Embeddings(old.source, ids, labels, old.vectors[rows]),
        Embeddings(new.source, ids, labels, other),
        rows,
    )


def embeddings_of(live: LiveThreshold) -> Embeddings:
    """The embeddings that a live threshold was chosen and tested on."""
    ids, labels, vectors = live.embeddings()
    return Embeddings(str(live.ref), ids, np.array(labels, dtype=str), vectors)


def check(live: LiveThreshold, given: Embeddings) -> dict[str, Any]:
    """The check that a file's vectors are of a live threshold's model, with their rates if they have labels.

    FingerpostError for vectors of another model, and if none of the canaries is among them.
    """
    try:
        compared = live.threshold.check(ids=given.ids, vectors=given.vectors)
    except ValueError as problem:
        raise FingerpostError(f"{given.source}: {problem}") from problem
    if not compared:
        some = ", ".join(live.threshold.canary_ids[:3]) + ", ..."
        raise FingerpostError(
            f"{given.source}: expected some canaries of model {live.threshold.model} (ids {some}), found none;"
            " add their vectors"
        )
    out: dict[str, Any] = {"input": given.source, "canaries_compared": compared, "model": live.threshold.model}
    labels = given.labels[given.labels != ""]
    if len(np.unique(labels)) > 1:
        options, rows = Options(measure=live.threshold.measure), np.flatnonzero(given.labels != "")
        threshold = live.threshold.threshold
        pairs = counted_at(_pairs(given, rows, options), [threshold], _recount(given, rows, options))
        rates = class_rates(pairs, threshold)
        out |= {"far": rates.global_far, "frr": rates.global_frr}
    return out
