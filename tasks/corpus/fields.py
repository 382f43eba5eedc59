"""The three fields of a document: its name, its first paragraph and the rest."""

import re
from collections.abc import Sequence

from fingerpost.tasks.corpus.scripts import WORD

#: The fields in the order in which weights and stacked matrices name them.
FIELDS: tuple[str, ...] = ("name", "first", "body")

_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def name_parts(title: str) -> list[str]:
    """The words inside a title's compound words, in order: ``DataFrame.read_csv`` gives Data, Frame, read, csv."""
    parts: list[str] = []
    for word in WORD.findall(title):
        pieces = [hump for piece in word.split("_") if piece for hump in _HUMP.split(piece)]
        if len(pieces) > 1 or "_" in word:
            parts.extend(pieces)
    return parts


def name_words(title: str) -> set[str]:
    """Every word of a title in lower case, whole and in parts."""
    return {word.lower() for word in [*WORD.findall(title), *name_parts(title)]}


def first_paragraph(text: str) -> tuple[str, str]:
    """Split a text at its first blank line; returns (first paragraph, rest), both without outer white space."""
    stripped = text.strip()
    blank = _BLANK_LINE.search(stripped)
    if blank is None:
        return stripped, ""
    return stripped[: blank.start()].rstrip(), stripped[blank.end() :].strip()


def split_fields(titles: Sequence[str], texts: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Split documents into (names, first paragraphs, bodies), one string per document each.

    A name is the title followed by the parts of its compound words, so that ``pandas.read_csv`` matches "csv". Raises
    ValueError if the numbers of titles and texts differ.
    """
    if len(titles) != len(texts):
        raise ValueError(f"titles: expected one for each of {len(texts)} texts, got {len(titles)}; pass both columns")
    names = [" ".join([title, *name_parts(title)]) for title in titles]
    paragraphs = [first_paragraph(text) for text in texts]
    return names, [first for first, _ in paragraphs], [rest for _, rest in paragraphs]
