"""The `query` command: answers of the live index as a table or JSON. Imports no Prefect."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from fingerpost.flows.domains.ann.answer_tables import show
from fingerpost.flows.run.plain_text import echo, echo_json
from fingerpost.schemas.errors import FingerpostError
from fingerpost.tasks.ann.answers import Answers, radius_of
from fingerpost.tasks.ann.open import LiveIndex, live
from fingerpost.tasks.metric.calibrated import ForeignModelError


def ask(
    *,
    text: str,
    like: str,
    vectors: Path | None,
    k: int,
    kind: str | None,
    package: str | None,
    filters: Sequence[str] = (),
    method: str,
    within: str,
    distinct: bool,
    explain: bool,
    as_json: bool,
    collection: str | None,
    store: str | None,
) -> None:
    """Queries by text, by the id of a document, or by vectors, and prints the answers."""
    if sum(bool(given) for given in (text, like, vectors)) != 1:
        raise FingerpostError(
            "query: expected one of a text, --like ID and --vectors FILE, got none or several; give one"
        )
    given, index = _given(within), live(collection, store=store, method=method)
    try:
        radius = _live_threshold(index) if given == "threshold" else given
        options: dict[str, Any] = {"k": k, "kind": kind, "package": package, "within": radius, "distinct": distinct}
        options["filters"] = filters
        if vectors is not None:
            results = _by_vectors(index, vectors, options)
        elif like:
            results = [(like, index.similar(like, explain=True, **options))]
        else:
            results = [(text, index.query(text, explain=True, **options))]
    except ForeignModelError as problem:
        raise FingerpostError(str(problem)) from problem
    for question, result in results:
        if as_json:
            echo_json({"query": question, "index": str(index.ref), **asdict(result)}, indent=None)
        else:
            show(question, result, str(index.ref), k=k, explain=explain, text=bool(text))


def _live_threshold(index: LiveIndex) -> float:
    """The live threshold of the index's collection; ForeignModelError if it is of another model."""
    from fingerpost.tasks.metric.open import threshold_for  # imported here: it loads all of metric

    return threshold_for(index).threshold


def _given(within: str) -> float | Literal["threshold"] | None:
    if within in ("", "threshold"):
        return "threshold" if within else None
    try:
        radius_of(float(within), "cosine")
        return float(within)
    except ValueError:
        raise FingerpostError(
            f"--within: expected 'threshold' or a number, got {within!r}; give the minimum similarity"
        ) from None


def _by_vectors(index: LiveIndex, file: Path, options: Mapping[str, Any]) -> list[tuple[str, Answers]]:
    from fingerpost.schemas.inputs.sources import FileSource

    batch = FileSource(str(file), ()).read()
    if batch.quarantined.num_rows:
        reasons = ", ".join(f"{count} {reason}" for reason, count in batch.reasons.items())
        echo(f"{file}: left out {batch.quarantined.num_rows:,} row(s) ({reasons})", err=True)
    rows = batch.accepted
    if rows["vector"].null_count:
        raise FingerpostError(
            f"{file}: expected a vector in every row, found {rows['vector'].null_count} without one; remove these rows"
        )
    return [(row["id"], index.search(row["vector"], **options)) for row in rows.to_pylist()]
