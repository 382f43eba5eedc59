"""Terms of scripts that set no spaces: every two neighbouring characters of a run, so that a word inside is found.

Nie, Gao, Zhang and Zhou (2000), "On the use of words and n-grams for Chinese information retrieval".
"""

import re
from itertools import pairwise

from fingerpost.tasks.corpus.scripts import EAST_ASIAN, SOUTHEAST_ASIAN, caseless, composed

#: A run; the first group is East Asian, the second Southeast Asian.
RUN = re.compile(f"([{EAST_ASIAN}]+)|([{SOUTHEAST_ASIAN}]+)")

# A character with the marks behind it that may join it: voiced kana, tones, vowel signs.
_CLUSTER = re.compile(
    r".[\u3099\u309a\uff9e\uff9f\u0300-\u036f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1-\u0ece\u200b-\u200d\ufe00-\ufe0f]*"
)


def run_terms(run: re.Match[str], *, singles: bool) -> list[str]:
    """The bigrams of a run, or its only character; with ``singles`` East Asian characters also by themselves."""
    text = _comparable(run[0], east_asian=run[1] is not None)
    if len(text) < 2:
        return [text] if text else []
    bigrams = [text[place : place + 2] for place in range(len(text) - 1)]
    return [*bigrams, *text] if singles and run[1] is not None else bigrams


def run_spans(run: re.Match[str], *, singles: bool) -> list[tuple[str, int, int]]:
    """The terms of `run_terms` with their places in the text: (term, begin, end)."""
    terms = run_terms(run, singles=singles)
    edges = _edges(run)
    if len(edges) < 3:
        return [(term, *run.span()) for term in terms]
    count = len(edges) - 1
    spans = [(terms[place], edges[place], edges[place + 2]) for place in range(count - 1)]
    return spans + [(term, *edge) for term, edge in zip(terms[count - 1 :], pairwise(edges), strict=False)]


def _comparable(run: str, *, east_asian: bool) -> str:
    """A run without differences that do not matter.

    Only East Asian characters differ in width. In Thai and Lao form NFKC would break the vowel "am" in two.
    """
    return caseless(composed(run)) if east_asian else composed(run, form="NFC")


def _edges(run: re.Match[str]) -> list[int]:
    """Where each character of the comparable run begins in the text, and the end; none if they cannot be told."""
    begin, end = run.span()
    east_asian = run[1] is not None
    text = _comparable(run[0], east_asian=east_asian)
    if len(text) == end - begin:
        return list(range(begin, end + 1))
    edges: list[int] = []
    joined = ""
    for cluster in _CLUSTER.finditer(run[0]):
        piece = _comparable(cluster[0], east_asian=east_asian)
        edges.extend([begin + cluster.start()] * len(piece))
        joined += piece
    return [*edges, end] if joined == text else []
