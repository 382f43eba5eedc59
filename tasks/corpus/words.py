"""The words of a text before stems and stop words: where they are and which terms they stand for.

A word is a run of letters, digits, marks and ``_``, with stops, apostrophes and commas inside where they join.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fingerpost.tasks.corpus.identifiers import identifier_parts
from fingerpost.tasks.corpus.scripts import JOINERS, MARKS, composed

#: Longer words are cut: they are encoded data, and no one types them.
MAX_LETTERS = 64

_LETTER = rf"[\w{MARKS}{JOINERS}]"
# ``.NET``; ``it's``, ``numpy.sort``, ``1.5``, ``U.S``; ``1,000``; ``C++`` and ``C#``.
_FORM = (
    r"(?:(?<![\w.])\.(?=[^\W\d_]{{2}}))?{0}+(?:['’.]{0}+|(?<=\d),\d\d\d(?!\w))*"
    r"(?:\+\+(?![\w+])|(?<=(?<!\w)[^\W\d_])#(?![\w#]))?"
)
_ASCII_WORD = re.compile(_FORM.format("[A-Za-z0-9_]"), re.ASCII)
_WORD = re.compile(_FORM.format(_LETTER))

_NUMBER = re.compile(r"[vV]?(\d+(?:[.,]\d+)*)")
_MEASURE = re.compile(r"(\d+(?:[.,]\d+)+)([^\W\d_]+)")


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a word and its place in it.

    text: composed, in its own case. kind: "word" (may be a stop word; has a stem), "name" (a part of a compound name:
    never a stop word; has a stem), "exact" (neither), "contraction" (a stop word or nothing; its pieces follow it).
    """

    text: str
    begin: int
    end: int
    kind: str


def word_matches(text: str) -> Iterator[re.Match[str]]:
    """The words of a text, in order."""
    return (_ASCII_WORD if text.isascii() else _WORD).finditer(text)


def word_list(text: str) -> list[str]:
    """As `word_matches`, without their places."""
    return (_ASCII_WORD if text.isascii() else _WORD).findall(text)


def parts_of(raw: str, *, identifiers: bool) -> list[Part]:
    """The parts of one word of `word_matches`.

    A compound name gives its parts and all of them joined: ``read_csv`` gives read, csv and readcsv; with its module,
    ``pandas.read_csv``, also pandas. Initials are joined (``U.S.`` gives US), numbers with several points also give
    their beginnings (``3.11.7`` gives 3.11), thousands lose their commas. ``C++``, ``C#`` and ``.NET`` stay.
    """
    word = composed(raw).replace("’", "'")
    if len(word) > MAX_LETTERS:
        word = word[:MAX_LETTERS]
    if word.endswith(("++", "#")):
        return [Part(word, 0, len(raw), "exact")]
    parts = _number_parts(word) or _name_parts(word, identifiers=identifiers)
    if len(word) == len(raw):
        return parts
    return [Part(part.text, 0, len(raw), part.kind) for part in parts]


def _number_parts(word: str) -> list[Part]:
    """The parts of a number, a version or a measure; none of anything else."""
    number = _NUMBER.fullmatch(word) or _MEASURE.fullmatch(word)
    if number is None:
        return []
    points = number[1].replace(",", "").split(".")
    begin, end = number.span(1)
    parts = [
        Part(".".join(points[:count]), begin, end, "exact") for count in range(min(2, len(points)), len(points) + 1)
    ]
    if number.re is _MEASURE:
        parts.append(Part(number[2], *number.span(2), "word"))
    return parts


def _name_parts(word: str, *, identifiers: bool) -> list[Part]:
    """The parts of a word that is no number."""
    parts: list[Part] = []
    if word.startswith("."):
        parts.append(Part(word, 0, len(word), "exact"))
    pieces = [piece.span() for piece in re.finditer(r"[^.,]+", word)]
    if len(pieces) > 1 and all(end - begin == 1 for begin, end in pieces):
        return [*parts, Part("".join(word[begin:end] for begin, end in pieces), 0, len(word), "name")]
    dotted = len(pieces) > 1 and identifiers
    for begin, end in pieces:
        if "'" in word[begin:end]:
            parts.extend(_apostrophe_parts(word, begin, end))
            continue
        inner = identifier_parts(word[begin:end]) if identifiers else [(0, end - begin)]
        compound = len(inner) > 1
        kind = "name" if dotted or compound else "word"
        parts.extend(
            Part(word[begin + left : begin + right], begin + left, begin + right, kind) for left, right in inner
        )
        if compound:
            parts.append(Part(word[begin:end].replace("_", ""), begin, end, kind))
    return parts


def _apostrophe_parts(word: str, begin: int, end: int) -> list[Part]:
    """The parts of a word with apostrophes inside: the whole if it is a stop word, else those of two letters or more."""
    whole = Part(word[begin:end], begin, end, "contraction")
    pieces = [piece.span() for piece in re.finditer(r"[^']+", word[:end]) if piece.start() >= begin]
    longer = [(left, right) for left, right in pieces if right - left > 1]
    return [whole, *(Part(word[left:right], left, right, "word") for left, right in longer or pieces)]
