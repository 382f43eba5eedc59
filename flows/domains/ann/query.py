"""The `query` command: answers of the live index as a table or JSON. Imports no Prefect."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from fingerpost.flows.domains.ann.answer_tables import show
from fingerpost.flows.run.plain_text import echo, echo_json
from fingerpost.schemas.errors import FingerpostError, UsageError
from fingerpost.tasks.ann.answers import Answers, radius_of
from fingerpost.tasks.ann.open import LiveIndex, live


def ask(
    *,
    text: str,
    like: str,
    vectors: Path | None,
    source: Path | None = None,
    columns: Mapping[str, str] | None = None,
    output: Path | None = None,
    k: int,
    kind: str | None,
    package: str | None,
    filters: Sequence[str] = (),
    method: str,
    within: str,
    ef: int | None = None,
    target_recall: float | None = None,
    distinct: bool,
    explain: bool,
    as_json: bool,
    collection: str | None,
    store: str | None,
) -> None:
    """Queries by text, by the id of a document, by vectors or by the rows of a file, and prints or writes the answers."""
    if sum(bool(given) for given in (text, like, vectors, source)) != 1:
        raise UsageError(
            "query: expected one of a text, --like ID, --vectors FILE and --input FILE, got none or several; give one"
        )
    if source is None and (output is not None or columns):
        raise UsageError("query: expected --input with --output and --map, found none; name the file of queries")
    if source is not None and explain:
        raise UsageError("query: expected a text or --like ID with --explain, got --input; leave one of them out")
    given, index = _given(within), live(collection, store=store, method=method)
    radius = _live_threshold(index) if given == "threshold" else given
    options: dict[str, Any] = {"k": k, "kind": kind, "package": package, "within": radius, "distinct": distinct}
    options["filters"] = filters
    nearest = (
        vectors is not None
        or source is not None
        or (bool(like) and (radius is not None or not index.texts_are_embedded))
    )
    width = _width(index, ef, target_recall, nearest=nearest)
    if source is not None:
        from fingerpost.flows.domains.ann.batch import ask_file

        asked = {**options, "ef": width}
        ask_file(index, source, output, mapping=columns or {}, options=asked, as_json=as_json)
        return
    if vectors is not None:
        results = _by_vectors(index, vectors, {**options, "ef": width})
    elif like:
        results = [(like, _like(index, like, ef=width, explain=True, **options))]
    else:
        results = [(text, index.query(text, explain=True, **options))]
    for question, result in results:
        if as_json:
            echo_json({"query": question, "index": str(index.ref), **asdict(result)}, indent=None)
        else:
            show(question, result, str(index.ref), k=k, explain=explain, text=bool(text))


def _like(index: LiveIndex, key: str, **options: Any) -> Answers:
    """The documents most like one; FingerpostError for an unknown id, and for a file, whose rows --input asks with."""
    if index.ids.row_of(key) is None and Path(key).is_file():
        raise FingerpostError(
            f"--like: expected the id of a document, got the file {key}; ask with its rows: --input {key}"
        )
    return index.similar(key, **options)


def _width(index: LiveIndex, ef: int | None, target_recall: float | None, *, nearest: bool) -> int | None:
    """The width of a search, None for that of the certificate; FingerpostError where it says nothing or too little."""
    if ef is None and target_recall is None:
        return None
    if ef is not None and target_recall is not None:
        raise UsageError("query: expected --ef or --target-recall, got both; give one")
    if not nearest:
        raise UsageError(
            "query: expected --vectors FILE, or --like ID of an index of given vectors, with --ef and --target-recall, got"
            " a query that words answer too; leave them out"
        )
    return ef if target_recall is None else index.width_for(target_recall)


def _live_threshold(index: LiveIndex) -> float:
    """The live threshold of the index's collection; FingerpostError if it is of another model."""
    from fingerpost.tasks.metric.calibrated import ForeignModelError  # imported here: it loads all of metric
    from fingerpost.tasks.metric.open import threshold_for

    try:
        return threshold_for(index).threshold
    except ForeignModelError as problem:
        raise FingerpostError(str(problem)) from problem


def _given(within: str) -> float | Literal["threshold"] | None:
    if within in ("", "threshold"):
        return "threshold" if within else None
    try:
        radius_of(float(within), "cosine")
        return float(within)
    except ValueError:
        raise UsageError(
            f"--within: expected 'threshold' or a number, got {within!r}; give the minimum similarity"
        ) from None


def _by_vectors(index: LiveIndex, file: Path, options: Mapping[str, Any]) -> list[tuple[str, Answers]]:
    from fingerpost.schemas.inputs.asked import ASKED_VECTORS
    from fingerpost.schemas.inputs.documents import read_documents

    batch = read_documents(file, form=ASKED_VECTORS)
    if batch.quarantined.num_rows:
        reasons = ", ".join(f"{count} {reason}" for reason, count in batch.reasons.items())
        echo(f"{file}: left out {batch.quarantined.num_rows:,} row(s) ({reasons})", err=True)
    rows = batch.accepted
    if rows["vector"].null_count:
        raise FingerpostError(
            f"{file}: expected a vector in every row, found {rows['vector'].null_count} without one; remove these rows"
        )
    return [(row["id"], index.search(row["vector"], **options)) for row in rows.to_pylist()]
