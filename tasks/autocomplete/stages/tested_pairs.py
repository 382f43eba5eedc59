"""Test pairs as requests, their completions by a method, and what these are worth."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.autocomplete.baselines import following, popular_many
from fingerpost.tasks.autocomplete.completer import Completer
from fingerpost.tasks.autocomplete.evaluation import EvaluationParams, Outcomes, bleu_by_rank, by_setting, positions
from fingerpost.tasks.autocomplete.request import Request
from fingerpost.tasks.autocomplete.sessions import TEST, TRAINING
from fingerpost.tasks.autocomplete.stages.pair_tables import PairTable
from fingerpost.tasks.autocomplete.suggestions import looks_personal

#: completer: as published; popularity: the most popular completions; bigram: those after the previous query.
Method = Literal["completer", "popularity", "bigram"]
METHODS: tuple[Method, ...] = ("completer", "popularity", "bigram")
#: The rows of completions for the first characters of each next query, by their number.
Complete = Callable[[int], list[NDArray[np.uint32]]]
#: Completions before the first that is timed.
_WARM_UP = 20


@dataclass(frozen=True)
class TestedPairs:
    """The test pairs: requests without a prefix, the next query's key and text, and its row among the suggestions.

    users: int64 (n,), distinct users of the next query. seen: bool (n,), whether training pairs follow the previous query.
    """

    previous: list[tuple[str, ...]]
    before: list[str]
    keys: list[str]
    texts: list[str]
    truth: NDArray[np.int32]
    users: NDArray[np.int64]
    sessions: NDArray[np.int64]
    seen: NDArray[np.bool_]

    @staticmethod
    def read(store: Store, sessions: Ref, pairs: Ref, params: EvaluationParams) -> "TestedPairs":
        """The test pairs, at most ``params.pairs`` of them."""
        queries = store.open(sessions, contracts.SESSIONS).read("queries")
        artifact = store.open(pairs, contracts.PAIRS)
        table, (start, previous) = _test_pairs(PairTable.of(artifact, TEST), params.pairs)
        trained = PairTable.of(artifact, TRAINING, suggested=True)
        last = trained.previous[1][trained.previous[0][:-1]]
        texts, keys, users = (queries[name].to_pylist() for name in ("query", "key", "users"))
        nexts = table.column("next").tolist()
        asked = [previous[begin:end].tolist() for begin, end in pairwise(start.tolist())]
        return TestedPairs(
            [tuple(texts[row] for row in reversed(rows)) for rows in asked],
            [keys[rows[0]] for rows in asked],
            [keys[row] for row in nexts],
            [texts[row] for row in nexts],
            table.column("suggestion"),
            np.array([users[row] for row in nexts], dtype=np.int64),
            table.column("session").astype(np.int64),
            np.isin(previous[start[:-1]], last),
        )

    def ranked(
        self, completer: Completer, method: Method, length: int, params: EvaluationParams, threads: int
    ) -> list[NDArray[np.uint32]]:
        """The completions by a method of the first characters of each next query."""
        prefixes, k = [key[:length] for key in self.keys], params.suggestions
        if method == "popularity":
            return popular_many(completer.trie, prefixes, k)
        if method == "bigram":
            both = zip(self.before, prefixes, strict=True)
            return [following(completer.blend, completer.trie, before, prefix, k) for before, prefix in both]
        return [found.rows for found in completer.rank_many(self.requests(length), k, typos=False, threads=threads)]

    def figures(
        self, completer: Completer, method: str, complete: Complete, params: EvaluationParams
    ) -> list[tuple[str, str, str, float]]:
        """Method, setting, metric and value of a method's completions for each length of the prefix."""
        outcomes = {length: self.outcomes(completer, complete(length)) for length in params.prefixes}
        by_name = by_setting(outcomes, self.seen, params)
        return [
            (method, setting, metric, value) for setting, values in by_name.items() for metric, value in values.items()
        ]

    def latency(self, completer: Completer, params: EvaluationParams) -> dict[str, float]:
        """Milliseconds of single completions from text to names, one thread, by percentile; empty where none is timed."""
        asked = [request for length in params.prefixes for request in self.requests(length)]
        chosen = np.random.default_rng(params.seed).permutation(len(asked))[: params.timed].tolist()
        seconds = []
        for row in chosen[:_WARM_UP] + chosen:
            started = time.perf_counter()
            completer.complete(asked[row].previous, asked[row].prefix, params.suggestions)
            seconds.append(time.perf_counter() - started)
        timed = seconds[len(chosen[:_WARM_UP]) :]
        return {f"p{share}_ms": round(1e3 * float(np.percentile(timed, share)), 4) for share in (50, 95, 99) if timed}

    def shown(self, least: int) -> list[bool]:
        """Whether each next query's beginning may be shown: enough users asked it, and it does not look like personal data."""
        enough = (self.users >= least).tolist()
        rows = zip(enough, self.texts, self.keys, strict=True)
        return [some and not (looks_personal(text) or looks_personal(key)) for some, text, key in rows]

    def requests(self, length: int) -> list[Request]:
        """The queries before, and the first characters of each next query."""
        return [Request(previous, key[:length]) for previous, key in zip(self.previous, self.keys, strict=True)]

    def outcomes(self, completer: Completer, ranked: list[NDArray[np.uint32]]) -> Outcomes:
        """What these completions are worth."""
        bleu = [
            bleu_by_rank([text.casefold() for text in completer.names.take(rows)], truth.casefold())
            for rows, truth in zip(ranked, self.texts, strict=True)
        ]
        answered = np.array([len(rows) > 0 for rows in ranked], dtype=bool)
        return Outcomes(positions(ranked, self.truth), np.array(bleu), answered, self.sessions)


def _test_pairs(table: PairTable, most: int) -> tuple[PairTable, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """At most so many of the test pairs, evenly, and the queries before them."""
    if len(table) > most:
        chosen = np.linspace(0, len(table) - 1, most).astype(np.int64)
        table = PairTable(table.table.take(pa.array(chosen)), table.numbers[chosen])
    return table, table.previous
