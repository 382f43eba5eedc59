"""The `rank` command: labels for a text, or for all queries of a file. Imports no Prefect."""

from dataclasses import asdict
from pathlib import Path

from fingerpost.flows.run.console import table_of, wide_console
from fingerpost.flows.run.plain_text import echo, echo_json, visible
from fingerpost.schemas.errors import UsageError
from fingerpost.schemas.figures import significant
from fingerpost.tasks.xmr.open import LiveRanker, RankedLabel, live

#: The number of queries that are ranked and written together.
_TOGETHER = 4096


def rank(
    *,
    text: str,
    source: Path | None,
    output: Path | None,
    k: int,
    as_json: bool,
    collection: str | None,
    store: str | None,
) -> None:
    """Ranks and prints labels for a text, or ranks those for the queries of a file and writes them to another."""
    if bool(text.strip()) == (source is not None):
        raise UsageError("rank: expected a text or --input FILE, got none or both; give one")
    if (source is None) != (output is None):
        raise UsageError("rank: expected --input and --output together, got one of them; give both")
    if source is not None and output is not None:
        _rank_file(source, output, k=k, collection=collection, store=store)
        return
    ranker = live(collection, store=store)
    found = ranker.rank(text, k)
    if as_json:
        answers = [asdict(answer) for answer in found]
        echo_json({"query": text, "ranker": str(ranker.ref), "answers": answers}, indent=None)
    else:
        _show(text, found, ranker)


def _rank_file(source: Path, output: Path, *, k: int, collection: str | None, store: str | None) -> None:
    from fingerpost.schemas.inputs.rankings import SCHEMA, RowWriter, read_texts

    writer, ranker = RowWriter(output), live(collection, store=store)
    ids, texts = read_texts(source)
    with writer:
        for start in range(0, len(texts), _TOGETHER):
            part = slice(start, start + _TOGETHER)
            for key, query, answers in zip(ids[part], texts[part], ranker.rank_many(texts[part], k), strict=True):
                for position, answer in enumerate(answers, start=1):
                    writer.add(key, query, position, answer.id, answer.name, answer.score, answer.probability)
                if not answers:
                    writer.add(key, query, *[None] * (len(SCHEMA) - 2))
    echo(output)


def _show(text: str, found: list[RankedLabel], ranker: LiveRanker) -> None:
    console = wide_console()
    if not found:
        console.tell(f"{text}: no answer; none of its words is known")
    else:
        table = table_of(visible(text))
        named = any(answer.name != answer.id for answer in found)
        table.add_column("", justify="right", no_wrap=True)
        if named:
            table.add_column("id", overflow="fold", max_width=40, min_width=4)
        table.add_column("name", overflow="fold", max_width=80, min_width=20)
        calibrated = any(answer.probability is not None for answer in found)
        if calibrated:
            table.add_column("probability", justify="right", no_wrap=True)
        table.add_column("score", justify="right", no_wrap=True)
        for position, answer in enumerate(found, start=1):
            key = [answer.id] if named else []
            probability = [f"{answer.probability:.2f}"] if calibrated and answer.probability is not None else []
            # Scores are products along the path down the tree, and therefore small even for good answers.
            table.add_row(str(position), *key, answer.name, *probability, significant(answer.score, 3))
        console.print(table)
    console.tell(str(ranker.ref), style="dim")
