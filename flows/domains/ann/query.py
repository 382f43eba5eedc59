"""The `query` command: answers of the live index as a table or JSON. Imports no Prefect."""

from dataclasses import asdict
from pathlib import Path
from typing import Literal

from fingerpost.flows.run.console import table_of, wide_console
from fingerpost.flows.run.plain_text import echo, echo_json, visible
from fingerpost.schemas.errors import FingerpostError
from fingerpost.tasks.ann.answers import Answers, Radius, radius_of
from fingerpost.tasks.ann.open import LiveIndex, live
from fingerpost.tasks.metric.calibrated import ForeignModelError

#: The maximum number of characters of a first sentence in a table.
_SENTENCE = 120


def ask(
    *,
    text: str,
    like: str,
    vectors: Path | None,
    k: int,
    kind: str | None,
    package: str | None,
    method: str,
    within: str,
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
        if vectors is not None:
            results = _by_vectors(index, vectors, k=k, kind=kind, package=package, within=radius)
        elif like:
            results = [(like, index.similar(like, k=k, kind=kind, package=package, within=radius))]
        else:
            results = [(text, index.query(text, k=k, kind=kind, package=package, within=radius))]
    except ForeignModelError as problem:
        raise FingerpostError(str(problem)) from problem
    for question, result in results:
        if as_json:
            echo_json({"query": question, "index": str(index.ref), **asdict(result)}, indent=None)
        else:
            _show(question, result, index, k)


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


def _by_vectors(
    index: LiveIndex, file: Path, *, k: int, kind: str | None, package: str | None, within: Radius
) -> list[tuple[str, Answers]]:
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
    return [
        (row["id"], index.search(row["vector"], k=k, kind=kind, package=package, within=within))
        for row in rows.to_pylist()
    ]


def _show(question: str, result: Answers, index: LiveIndex, k: int) -> None:
    console = wide_console()
    table = table_of(visible(question))
    texts = any(answer.first_sentence for answer in result.answers)
    keys = any(answer.title and answer.id != answer.title for answer in result.answers)
    table.add_column("", justify="right", no_wrap=True)
    if keys:
        table.add_column("id", overflow="fold", max_width=40, min_width=4)
    table.add_column("name", overflow="fold", max_width=60, min_width=20)
    table.add_column("kind", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    if texts:
        table.add_column("first sentence", overflow="fold", min_width=20)
    for rank, answer in enumerate(result.answers, start=1):
        key = [answer.id] if keys else []
        sentence = [_shortened(answer.first_sentence)] if texts else []
        table.add_row(str(rank), *key, answer.title or answer.id, answer.kind, f"{answer.score:.3f}", *sentence)
    if result.answers:
        console.print(table)
    else:
        console.tell(f"{question}: no answer; {_why_none(result, k)}")
    if result.within is not None:
        console.tell(_summary(result, index.metric))
    console.tell(
        f"{result.candidates:,} candidates, {result.distances:,} distances computed, {result.estimates:,}"
        f" estimated ({result.method}); {index.ref}",
        style="dim",
    )


def _why_none(result: Answers, k: int) -> str:
    """Why there is no answer."""
    if not result.distances:
        return "none of its words is in the index"
    if not k:
        return "none was asked for"
    return "there is no other document" if result.within is None else "no document is that near"


def _shortened(text: str) -> str:
    """A text of at most ``_SENTENCE`` characters, cut after a word where there is one not far before the end."""
    if len(text) <= _SENTENCE:
        return text
    head, _, last = text[: _SENTENCE - 2].rpartition(" ")
    return f"{head if len(last) < _SENTENCE // 3 else text[: _SENTENCE - 2]} …"


def _summary(result: Answers, metric: str) -> str:
    """The limit that all answers are within, and whether there are more."""
    near = (
        f"a Euclidean distance of at most {result.within:.7g}"
        if metric == "l2"
        else f"a similarity of at least {result.within:.7g}"
    )
    others = "; there are more, use a larger -k" if result.more else ""
    return f"{len(result.answers):,} answer(s) whose vectors have {near}{others}"
