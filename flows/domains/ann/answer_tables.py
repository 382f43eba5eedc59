"""The table of a query's answers, and what is said below it. Imports no Prefect."""

from typing import Any

from fingerpost.flows.run.console import TextTable, styled, table_of, wide_console
from fingerpost.flows.run.plain_text import visible
from fingerpost.schemas.figures import significant
from fingerpost.tasks.ann.answers import Answer, Answers

#: The maximum number of characters of a first sentence, and of matched terms that are named.
_SENTENCE, _TERMS = 120, 8
#: Headings of scores whose names are too long for one.
_HEADINGS = {"cosine similarity": "similarity", "Euclidean distance": "distance"}


def heading_of(measure: str) -> str:
    """The heading of a column of scores."""
    return _HEADINGS.get(measure, measure)


def show(question: str, result: Answers, index: str, *, k: int, explain: bool = False, text: bool = True) -> None:
    """Prints the answers of an index, named by its reference, to a query.

    explain: what each side found and the matched terms, in place of the text. text: the query was a text.
    """
    console = wide_console()
    if result.answers:
        console.print(_table(question, result, explain=explain))
    else:
        console.tell(f"{question}: no answer; {_why_none(result, k, text=text)}")
    for word in result.missing:
        near = ", ".join(f"'{other}'" for other in result.spellings.get(word, ()))
        console.tell(f"no document has '{word}'{f'; near: {near}' if near else ''}")
    if result.collapsed:
        console.tell(f"{result.collapsed:,} near-duplicate(s) of these left out")
    if result.within is not None:
        console.tell(_limit(result))
    console.tell(
        f"{result.candidates:,} candidates, {result.distances:,} distances computed, {result.estimates:,}"
        f" estimated ({', '.join(filter(None, (result.method, result.search)))}); {index}",
        style="dim",
    )


def _table(question: str, result: Answers, *, explain: bool) -> TextTable:
    table = table_of(visible(question))
    texts = any(answer.first_sentence or answer.snippet for answer in result.answers)
    keys = any(answer.title and answer.id != answer.title for answer in result.answers)
    table.add_column("", justify="right", no_wrap=True)
    if keys:
        table.add_column("id", overflow="fold", max_width=40, min_width=4)
    table.add_column("name", overflow="fold", max_width=60, min_width=20)
    table.add_column("kind", no_wrap=True)
    table.add_column(heading_of(result.measure), justify="right", no_wrap=True)
    sides = _sides_of(result)
    if explain:
        _add_sides(table, sides)
    elif texts:
        table.add_column("text", overflow="fold", min_width=20)
    for rank, answer in enumerate(result.answers, start=1):
        cells = [str(rank), *([answer.id] if keys else []), answer.title or answer.id, answer.kind]
        rest = _explained(answer, sides) if explain else [_excerpt(answer)] if texts else []
        table.add_row(*cells, f"{answer.score:.3f}", *rest)
    return table


def _sides_of(result: Answers) -> list[str]:
    """The sides that took part."""
    answers = result.answers
    shown = {
        "words": any(answer.lexical is not None for answer in answers),
        "vectors": any(answer.dense is not None for answer in answers),
    }
    return [side for side, has in shown.items() if has]


def _add_sides(table: TextTable, sides: list[str]) -> None:
    table.add_column("found by", no_wrap=True)
    for side in sides:
        for name in ("lexical score" if side == "words" else "similarity", "rank"):
            table.add_column(name, justify="right", no_wrap=True)
    if "words" in sides:
        table.add_column("matched terms", overflow="fold", min_width=20)


def _explained(answer: Answer, sides: list[str]) -> list[str]:
    """What each side has of an answer."""
    has = {"words": (answer.lexical, answer.lexical_rank), "vectors": (answer.dense, answer.dense_rank)}
    cells = [" and ".join(side for side in sides if has[side][1])]
    for score, rank in (has[side] for side in sides):
        cells += ["" if score is None else f"{score:.3f}", str(rank or "")]
    return [*cells, *([_terms(answer)] if "words" in sides else [])]


def _terms(answer: Answer) -> str:
    """The heaviest matched terms with their weights; those that feedback added have a plus before them."""
    named = [f"{'+' if term.added else ''}{term.term} {significant(term.weight, 3)}" for term in answer.terms[:_TERMS]]
    rest = len(answer.terms) - _TERMS
    return ", ".join([*named, *([f"{rest} more"] if rest > 0 else [])])


def _excerpt(answer: Answer) -> Any:
    """The snippet as a cell, with its matched words in bold; the first sentence where there is none."""
    if answer.snippet is None:
        return styled(_shortened(answer.first_sentence))
    text, end = answer.snippet.text, 0
    parts: list[str | tuple[str, str]] = []
    for begin, stop in answer.snippet.marks:
        parts += [text[end:begin], (text[begin:stop], "bold")]
        end = stop
    return styled(*parts, text[end:])


def _why_none(result: Answers, k: int, *, text: bool) -> str:
    """Why there is no answer."""
    if not k:
        return "none was asked for"
    if text and not result.candidates and not result.distances:
        return "none of its words is in the index" if result.missing else "no document has a word of it"
    return "there is no other document" if result.within is None else "no document is that near"


def _shortened(text: str) -> str:
    """A text of at most ``_SENTENCE`` characters, cut after a word where there is one not far before the end."""
    if len(text) <= _SENTENCE:
        return text
    head, _, last = text[: _SENTENCE - 2].rpartition(" ")
    return f"{head if len(last) < _SENTENCE // 3 else text[: _SENTENCE - 2]} …"


def _limit(result: Answers) -> str:
    """The limit that all answers are within, and whether there are more."""
    near = (
        f"a Euclidean distance of at most {significant(result.within, 7)}"
        if result.measure == "Euclidean distance"
        else f"a similarity of at least {significant(result.within, 7)}"
    )
    others = "; there are more, use a larger -k" if result.more else ""
    return f"{len(result.answers):,} answer(s) whose vectors have {near}{others}"
