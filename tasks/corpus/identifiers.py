"""The parts of names that programs use: ``read_csv``, ``DataFrame``, ``float32``."""

import re
from itertools import pairwise

#: What the keys of whole names begin with (`Analyzer.name_keys`); terms of words never do.
NAME_MARK = "="

# A hump begins at a capital after a small letter or a digit, and at the last capital of several before a small letter.
_HUMP = re.compile(r"(?<=[^\W_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][^\W\d_A-Z])")
_ACRONYMS = re.compile(r"[A-Z]{2,}s")
# ASCII digits alone: others were folded.
_NUMBERED = re.compile(r"([^\W\d_]{3,})(\d+)")


def identifier_parts(word: str) -> list[tuple[int, int]]:
    """The parts of a word as (begin, end), in order; one part if the word is no compound name.

    Words are split at ``_``, at capitals inside and between three or more letters and the digits that end the word.
    Capitals split only where every part has two letters or more, so that ``pH``, ``mRNA``, ``PhD``, ``iPhone`` and
    ``DNAs`` stay whole.
    """
    parts: list[tuple[int, int]] = []
    for piece in re.finditer(r"[^_]+", word):
        begin = piece.start()
        for left, right in _humps(piece[0]):
            numbered = _NUMBERED.fullmatch(word, begin + left, begin + right)
            if numbered is None:
                parts.append((begin + left, begin + right))
            else:
                parts.extend([numbered.span(1), numbered.span(2)])
    return parts


def _humps(piece: str) -> list[tuple[int, int]]:
    """The humps of a word without ``_`` as (begin, end)."""
    if piece.islower() or _ACRONYMS.fullmatch(piece):
        return [(0, len(piece))]
    edges = [0, *(hump.start() for hump in _HUMP.finditer(piece)), len(piece)]
    parts = list(pairwise(edges))
    return parts if min(right - left for left, right in parts) > 1 else [(0, len(piece))]
