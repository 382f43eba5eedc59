"""Completion of a prefix after the queries before: candidates of a ranker, of followers and of popularity, blended.

All candidates begin with the prefix (in matching keys), because every source is restricted to the range of suggestions
that do: suggestions are sorted by their keys. Source: Yadav et al., KDD 2021 (arXiv 2012.07654), for the ranker.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext.trie import Texts
from fingerpost.tasks.autocomplete.blend import Blend, BlendParams
from fingerpost.tasks.autocomplete.contexts import ContextFeaturizer, Contexts
from fingerpost.tasks.autocomplete.matching import matching_key, prefix_key
from fingerpost.tasks.autocomplete.request import Request
from fingerpost.tasks.autocomplete.trie import LEAST_CHARACTERS, Ranges, Trie
from fingerpost.tasks.xmr.label_ranges import LabelRanges
from fingerpost.tasks.xmr.ranking import NONE, BeamParams, Ranker

if TYPE_CHECKING:  # a completion makes no sparse matrix, and scipy takes time and memory
    from scipy import sparse

#: The first of these that listed a suggestion: the counts of what followed the queries before, the ranker, popularity; or
#: a search that allows one typing error.
Source = Literal["follower", "ranker", "popular", "typo"]
SOURCES: tuple[Source, ...] = ("follower", "ranker", "popular", "typo")
_TYPO = SOURCES.index("typo")

#: The number of queries before that count.
PREVIOUS = 3
#: The number of suggestions that are listed for several requests at a time, which bounds the memory of a batch.
_TOGETHER = 1 << 20
#: The longest text that is looked at, in characters, so that work per completion is bounded: queries are shorter.
LONGEST = 4096


@dataclass(frozen=True)
class ServingParams:
    """How a completer answers.

    beam: parameters of the ranker's search, whose scores are logarithms. blend: how the sources are weighed. candidates: number of suggestions that
    each source lists, at least; with a larger k it is k. typos: whether suggestions with one typing error in the prefix
    fill up too few answers.
    """

    beam: BeamParams = field(default_factory=lambda: BeamParams(beam=10, post_processor="log-l3-hinge"))
    blend: BlendParams = field(default_factory=BlendParams)
    candidates: int = 30
    typos: bool = True

    def __post_init__(self) -> None:
        if self.candidates < 1:
            raise ValueError(f"candidates: expected at least 1, got {self.candidates}; raise it")
        if not self.beam.post_processor.startswith("log-"):
            raise ValueError(
                f"beam.post_processor: expected log- and a transform, since scores are added to logarithms of counts, got"
                f" {self.beam.post_processor!r}; use log-l3-hinge"
            )


@dataclass(frozen=True)
class Suggestion:
    """One completion: the query as shown, its blended score (higher is better), and the source that listed it."""

    query: str
    score: float
    source: Source


@dataclass(frozen=True)
class Ranked:
    """Rows of suggestions uint32 (n,), best first, ties by row; scores float32 (n,); sources uint8 (n,) of SOURCES."""

    rows: NDArray[np.uint32]
    scores: NDArray[np.float32]
    sources: NDArray[np.uint8]


@dataclass(frozen=True)
class Asked:
    """A request as it is answered: keys of the queries before, the most recent first, and the prefix's key.

    possible: whether any query can begin with the prefix.
    """

    previous: tuple[str, ...]
    prefix: str
    possible: bool


@dataclass(frozen=True)
class _Listed:
    """The rows and scores that the ranker lists for a request, uint32 and float32 (n,)."""

    rows: NDArray[np.uint32]
    scores: NDArray[np.float32]


_EMPTY: Ranges = (np.empty(0, np.uint32), np.empty(0, np.uint32))
_NONE_LISTED = _Listed(np.empty(0, np.uint32), np.empty(0, np.float32))
_NOTHING = Ranked(np.empty(0, np.uint32), np.empty(0, np.float32), np.empty(0, np.uint8))


class Completer:
    """Completes prefixes; any number of threads may use one at a time, since nothing in it changes.

    names: the suggestions as shown, in the order of their keys. trie: over these keys. ranker, featurizer: None where
    no query of the log follows another, so that nothing was trained.
    """

    def __init__(
        self,
        names: Texts,
        trie: Trie,
        blend: Blend,
        *,
        ranker: Ranker | None = None,
        featurizer: ContextFeaturizer | None = None,
        serving: ServingParams = ServingParams(),
    ) -> None:
        if len(names) != trie.keys:
            raise ValueError(
                f"completer: expected as many names as keys, got {len(names)} and {trie.keys}; take both from one set of"
                " suggestions"
            )
        self.names, self.trie, self.blend, self.serving = names, trie, blend, serving
        self.ranker, self.featurizer = ranker, featurizer

    def __len__(self) -> int:
        """Number of suggestions."""
        return len(self.names)

    def complete(
        self, previous: Sequence[str] = (), prefix: str = "", k: int = 10, *, typos: bool | None = None
    ) -> list[Suggestion]:
        """The k best completions of a prefix, after some queries in the order in which they were asked.

        Only the last three of them count. Without a prefix: the queries that come next. typos: as in ServingParams.
        """
        return self._shown(self.rank(previous, prefix, k, typos=typos))

    def complete_many(
        self, requests: Sequence[Request], k: int = 10, *, typos: bool | None = None, threads: int = 1
    ) -> list[list[Suggestion]]:
        """The completions of each request; the same as one by one, and faster."""
        return [self._shown(ranked) for ranked in self.rank_many(requests, k, typos=typos, threads=threads)]

    def rank(self, previous: Sequence[str] = (), prefix: str = "", k: int = 10, *, typos: bool | None = None) -> Ranked:
        """The rows of the k best completions."""
        return self.rank_many((Request(tuple(previous), prefix),), k, typos=typos)[0]

    def rank_many(
        self, requests: Sequence[Request], k: int = 10, *, typos: bool | None = None, threads: int = 1
    ) -> list[Ranked]:
        """The rows of the k best completions of each request. Raises ValueError for a k below 0."""
        if k < 0:
            raise ValueError(f"k: expected at least 0, got {k}; raise it")
        k = min(k, len(self))
        if k == 0:
            return [_NOTHING] * len(requests)
        filled = self.serving.typos if typos is None else typos
        together = max(_TOGETHER // max(k, self.serving.candidates), 1)
        found: list[Ranked] = []
        for start in range(0, len(requests), together):
            asked = [self.asked(request) for request in requests[start : start + together]]
            part = self._ranked(asked, [self._exact(request) for request in asked], k, threads)
            if filled:
                self._fill_up(asked, part, k, threads)
            found += part
        return found

    def features(self, requests: Sequence[Request]) -> "sparse.csr_array":
        """The features of requests that the ranker gets, CSR (requests, columns); ValueError without a ranker."""
        if self.featurizer is None:
            raise ValueError("completer: expected one with a ranker, got one of counts alone; train a ranker")
        return _features(self.featurizer, [self.asked(request) for request in requests])

    @staticmethod
    def asked(request: Request) -> Asked:
        """A request as it is answered."""
        prefix = request.prefix.lstrip()
        possible = len(prefix) <= LONGEST
        return Asked(_recent(request.previous), prefix_key(prefix) if possible else "", possible)

    def _exact(self, asked: Asked) -> Ranges:
        """The suggestions that begin with the prefix."""
        return self.trie.range_of(asked.prefix) if asked.possible else _EMPTY

    def _fill_up(self, asked: list[Asked], found: list[Ranked], k: int, threads: int) -> None:
        """Adds suggestions with one typing error in the prefix to those that are too few."""
        short = [
            row
            for row, (request, ranked) in enumerate(zip(asked, found, strict=True))
            if len(ranked.rows) < k and len(request.prefix) >= LEAST_CHARACTERS
        ]
        if not short:
            return
        again = [asked[row] for row in short]
        more = self._ranked(again, [self.trie.within_one_edit(request.prefix) for request in again], k, threads)
        for row, ranked in zip(short, more, strict=True):
            found[row] = _followed(found[row], ranked, k)

    def _ranked(self, asked: list[Asked], ranges: list[Ranges], k: int, threads: int) -> list[Ranked]:
        """The best suggestions in the ranges of each request."""
        count = max(k, self.serving.candidates)
        listed = self._listed(asked, ranges, count, threads)
        return [
            self._blended(request, part, first, k, count)
            for request, part, first in zip(asked, ranges, listed, strict=True)
        ]

    def _blended(self, asked: Asked, ranges: Ranges, listed: _Listed, k: int, count: int) -> Ranked:
        """The k best of what all sources list, by their blended scores."""
        if not len(ranges[0]):
            return _NOTHING
        followers = self.blend.candidates(asked.previous, ranges, count)
        popular = self.trie.best(ranges, count)
        rows, first = np.unique(np.concatenate((followers, listed.rows, popular)), return_index=True)
        of_ranker = np.full(len(rows), -np.inf, dtype=np.float32)
        of_ranker[np.searchsorted(rows, listed.rows)] = listed.scores
        scores = self.blend.scores(asked.previous, rows, of_ranker)
        best = np.argsort(-scores, kind="stable")[:k]
        ends = np.array([len(followers), len(followers) + len(listed.rows)])
        return Ranked(rows[best], scores[best], np.searchsorted(ends, first[best], side="right").astype(np.uint8))

    def _listed(self, asked: list[Asked], ranges: list[Ranges], count: int, threads: int) -> list[_Listed]:
        """What the ranker lists within the ranges of each request."""
        if self.ranker is None or self.featurizer is None:
            return [_NONE_LISTED] * len(asked)
        if len(asked) == 1:
            indices, values = self.featurizer.row(asked[0].previous, asked[0].prefix)
            # Of a request without a known feature the ranker knows nothing: it would rank by the biases of the labels.
            if not len(indices) or not len(ranges[0][0]):
                return [_NONE_LISTED]
            ids, scores = self.ranker.rank_row(indices, values, count, ranges[0], params=self.serving.beam)
            trust = self.featurizer.trust(np.array([0, len(indices)]), indices, values)
            return [_real(ids, scores, trust[0])]
        matrix = _features(self.featurizer, asked)
        known = np.diff(matrix.indptr) > 0
        ranges = [part if has_any else _EMPTY for has_any, part in zip(known.tolist(), ranges, strict=True)]
        low, high = (np.concatenate([part[side] for part in ranges]) for side in (0, 1))
        wanted = LabelRanges(_starts([len(part) for part, _ in ranges]), low, high)
        found = self.ranker.rank(matrix, count, params=self.serving.beam, ranges=wanted, threads=threads)
        trust = self.featurizer.trust(matrix.indptr, matrix.indices, matrix.data)
        return [_real(*row) for row in zip(found.ids, found.scores, trust, strict=True)]

    def _shown(self, ranked: Ranked) -> list[Suggestion]:
        columns = self.names.take(ranked.rows), ranked.scores.tolist(), ranked.sources.tolist()
        return [Suggestion(query, score, SOURCES[source]) for query, score, source in zip(*columns, strict=True)]


def _recent(previous: Sequence[str]) -> tuple[str, ...]:
    """Keys of the last queries, the most recent first; as in sessions, the same one twice in a row counts once."""
    keys: list[str] = []
    for query in reversed(previous):
        key = matching_key(query[:LONGEST])
        if key and (not keys or key != keys[-1]):
            keys.append(key)
            if len(keys) == PREVIOUS:
                break
    return tuple(keys)


def _features(featurizer: ContextFeaturizer, asked: list[Asked]) -> "sparse.csr_array":
    """The features of requests; each distinct query before is looked up once."""
    numbers: dict[str, int] = {}
    previous = [numbers.setdefault(key, len(numbers)) for request in asked for key in request.previous]
    indptr = _starts([len(request.previous) for request in asked])
    contexts = Contexts(list(numbers), indptr, np.array(previous, dtype=np.int64))
    return featurizer.rows(contexts, [request.prefix for request in asked])


def _starts(sizes: list[int]) -> NDArray[np.int64]:
    return np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))).astype(np.int64)


def _real(ids: NDArray[np.uint32], scores: NDArray[np.float32], trust: np.float32) -> _Listed:
    """What is listed, without the padding; scores are multiplied by the trust in the ranker."""
    count = int((ids != NONE).sum())
    return _Listed(ids[:count], scores[:count] * trust)


def _followed(first: Ranked, then: Ranked, k: int) -> Ranked:
    """The first k of two rankings one after the other; those of the second have a typing error."""
    rows = np.concatenate((first.rows, then.rows))[:k]
    scores = np.concatenate((first.scores, then.scores))[:k]
    sources = np.concatenate((first.sources, np.full(len(then.rows), _TYPO, dtype=np.uint8)))[:k]
    return Ranked(rows, scores, sources)
