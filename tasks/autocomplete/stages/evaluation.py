"""The stages that measure a completer beside baselines on held-out sessions, and list prefixes without a good answer."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.autocomplete.baselines import following, popular_many
from fingerpost.tasks.autocomplete.completer import Completer, ServingParams
from fingerpost.tasks.autocomplete.evaluation import (
    SUCCESS,
    EvaluationParams,
    Outcomes,
    bleu_by_rank,
    by_setting,
    positions,
)
from fingerpost.tasks.autocomplete.open import COUNTED, TRAINED, open_completer
from fingerpost.tasks.autocomplete.request import Request
from fingerpost.tasks.autocomplete.sessions import TEST, TRAINING
from fingerpost.tasks.autocomplete.stages.pair_tables import PairTable
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

#: What answers, beside sessions and pairs, in the order of the stages' inputs.
_ROLES = (*COUNTED, *TRAINED)


@stage(contracts.EVALUATION)
def evaluate_completer(
    run: StageRun, sessions: Ref, pairs: Ref, *members: Ref, params: EvaluationParams, serving: ServingParams
) -> None:
    """Measures the completer, popularity and bigrams on test pairs, by length of the prefix, seen or unseen query before.

    members: suggestions, trie, followers and, if there is a ranker, vocabulary, tree, model.
    """
    tested = _Tested.read(run.store, sessions, pairs, params)
    completer = open_completer(run.store, dict(zip(_ROLES, members, strict=False)), serving)
    rows: list[tuple[str, str, str, float]] = []
    for method in ("completer", "popularity", "bigram"):
        outcomes = {
            length: tested.outcomes(completer, tested.ranked(completer, method, length, params, run.threads))
            for length in params.prefixes
        }
        for setting, values in by_setting(outcomes, tested.seen, params).items():
            rows += [(method, setting, metric, value) for metric, value in values.items()]
        run.write("figures", _figures(rows))
    run.quality = _quality(rows, tested)


@dataclass(frozen=True)
class _Tested:
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
    def read(store: Store, sessions: Ref, pairs: Ref, params: EvaluationParams) -> "_Tested":
        queries = store.open(sessions, contracts.SESSIONS).read("queries")
        artifact = store.open(pairs, contracts.PAIRS)
        table, (start, previous) = _test_pairs(PairTable.of(artifact, TEST), params.pairs)
        trained = PairTable.of(artifact, TRAINING, suggested=True)
        last = trained.previous[1][trained.previous[0][:-1]]
        texts, keys, users = (queries[name].to_pylist() for name in ("query", "key", "users"))
        nexts = table.column("next").tolist()
        asked = [previous[begin:end].tolist() for begin, end in pairwise(start.tolist())]
        return _Tested(
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
        self, completer: Completer, method: str, length: int, params: EvaluationParams, threads: int
    ) -> list[NDArray[np.uint32]]:
        """The completions by a method of the first characters of each next query."""
        prefixes, k = [key[:length] for key in self.keys], params.suggestions
        if method == "popularity":
            return popular_many(completer.trie, prefixes, k)
        if method == "bigram":
            both = zip(self.before, prefixes, strict=True)
            return [following(completer.blend, completer.trie, before, prefix, k) for before, prefix in both]
        requests = [Request(previous, prefix) for previous, prefix in zip(self.previous, prefixes, strict=True)]
        return [found.rows for found in completer.rank_many(requests, k, typos=False, threads=threads)]

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


def _figures(rows: list[tuple[str, str, str, float]]) -> pa.Table:
    columns = (list(column) for column in zip(*rows, strict=True))
    return pa.table(dict(zip(("method", "setting", "metric", "value"), columns, strict=True)))


def _quality(rows: list[tuple[str, str, str, float]], tested: _Tested) -> dict[str, object]:
    """The figures of all prefixes above 0; without a test pair only their number."""
    by_name = {(method, metric): round(value, 6) for method, setting, metric, value in rows if setting == "all"}
    quality: dict[str, object] = {"tested": len(tested.keys)}
    if not tested.keys:
        return quality
    names = ("mrr", "mrr_low", "mrr_high", *(f"success_at_{k}" for k in SUCCESS), "coverage", "bleu_rr")
    quality |= {name: by_name["completer", name] for name in names}
    return quality | {f"{method}_mrr": by_name[method, "mrr"] for method in ("popularity", "bigram")}


@stage(contracts.WEAK_PREFIXES, observes=True)
def list_weak_prefixes(
    run: StageRun, sessions: Ref, pairs: Ref, *members: Ref, params: EvaluationParams, serving: ServingParams
) -> None:
    """Lists frequent prefixes of test pairs whose next query is seldom among the suggestions."""
    tested = _Tested.read(run.store, sessions, pairs, params)
    completer = open_completer(run.store, dict(zip(_ROLES, members, strict=False)), serving)
    found: dict[str, list[bool]] = {}
    for length in (n for n in params.prefixes if n):
        ranks = positions(tested.ranked(completer, "completer", length, params, run.threads), tested.truth)
        for key, rank, users in zip(tested.keys, ranks.tolist(), tested.users.tolist(), strict=True):
            if users >= params.weak.users and len(key) >= length:
                found.setdefault(key[:length], []).append(rank > 0)
    weak = {
        prefix: hits
        for prefix, hits in found.items()
        if len(hits) >= params.weak.pairs and sum(hits) <= params.weak.success * len(hits)
    }
    chosen = sorted(weak, key=lambda prefix: (sum(weak[prefix]) - len(weak[prefix]), prefix))[: params.weak.most]
    run.write("prefixes", _weak_table(completer, {prefix: weak[prefix] for prefix in chosen}))
    run.quality = {"prefixes": len(found), "weak": len(weak)}


def _weak_table(completer: Completer, weak: dict[str, list[bool]]) -> pa.Table:
    ranges = [completer.trie.find(prefix) for prefix in weak]
    return pa.table(
        {
            "prefix": pa.array(weak, pa.string()),
            "pairs": pa.array([len(hits) for hits in weak.values()], pa.int64()),
            "success_at_10": pa.array([sum(hits) / len(hits) for hits in weak.values()], pa.float64()),
            "suggestions": pa.array([high - low for low, high in ranges], pa.int64()),
        }
    )
