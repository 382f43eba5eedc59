"""The part of a text that shows best why it was found, with the matched words marked."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fingerpost.tasks.corpus.analyzer import Analyzer, Span

# Beginnings of longer texts are enough: finding the terms takes time.
_MAX_CHARACTERS = 20_000
# Another occurrence of a term says less than its first.
_REPEATED = 0.1
# Without a blank so near, words are cut where the excerpt ends.
_LONGEST_WORD = 24
_SENTENCE_BEGIN = re.compile(r"(?<=[.!?…] )|(?<=[。！？।])")


@dataclass(frozen=True)
class Snippet:
    """An excerpt on one line, with … where it was cut, and where its matched words are: [begin, end), ascending."""

    text: str
    marks: tuple[tuple[int, int], ...]


def best_snippet(text: str, weights: Mapping[str, float], analyzer: Analyzer, *, length: int = 160) -> Snippet:
    """The excerpt of about ``length`` characters whose distinct terms weigh the most; the earliest of equal ones.

    weights: of the query's terms. Where nothing matches, it is the beginning of the text. White space is collapsed.
    """
    line = " ".join(text[:_MAX_CHARACTERS].split())
    found = [span for span in analyzer.spans(line) if weights.get(span[0], 0) > 0]
    first, last = _heaviest(found, weights, length)
    begin, end = _grown(line, first, last, length)
    before = "… " if begin else ""
    after = " …" if end < len(line) or len(text) > _MAX_CHARACTERS else ""
    shift = len(before) - begin
    marks = _joined([(left + shift, right + shift) for _, left, right in found if begin <= left and right <= end])
    return Snippet(before + line[begin:end] + after, marks)


def _heaviest(found: Sequence[Span], weights: Mapping[str, float], length: int) -> tuple[int, int]:
    """Where the heaviest window begins and ends, from matched word to matched word; (0, 0) without one."""
    best, window = 0.0, (0, 0)
    for number, (_, begin, _) in enumerate(found):
        seen: set[str] = set()
        weight, end = 0.0, begin
        for term, left, right in found[number:]:
            if left - begin >= length:
                break
            if right - begin <= length or not seen:
                weight += weights[term] * (_REPEATED if term in seen else 1.0)
                seen.add(term)
                end = max(end, right)
        if weight > best:
            best, window = weight, (begin, end)
    return window


def _grown(line: str, first: int, last: int, length: int) -> tuple[int, int]:
    """A window grown to about ``length`` characters: from the beginning of its sentence where that fits, in whole words."""
    spare = max(0, length - (last - first))
    begins = [0, *(place.start() for place in _SENTENCE_BEGIN.finditer(line, max(0, first - spare), first + 1))]
    begin = begins[-1] if begins[-1] >= first - spare else max(0, first - spare // 2)
    begin = max(0, min(begin, len(line) - length))
    end = min(len(line), max(last, begin + length))
    if begin and line[begin - 1] != " ":
        blank = line.find(" ", begin, min(first, begin + _LONGEST_WORD))
        begin = blank + 1 if blank >= 0 else begin
    if end < len(line) and line[end] != " ":
        blank = line.rfind(" ", max(last, end - _LONGEST_WORD), end)
        end = blank if blank >= 0 else end
    while begin < first and unicodedata.category(line[begin]).startswith("M"):
        begin += 1
    while end < len(line) and unicodedata.category(line[end]).startswith("M"):
        end += 1
    return begin, end


def _joined(places: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Places in order, those that overlap joined."""
    joined: list[tuple[int, int]] = []
    for begin, end in sorted(places):
        if joined and begin < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return tuple(joined)
