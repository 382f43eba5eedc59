"""The stages that measure a completer beside baselines on held-out sessions, and list prefixes without a good answer."""

from functools import partial

import pyarrow as pa

from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas.matrices import figures_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.autocomplete.completer import Completer, ServingParams
from fingerpost.tasks.autocomplete.evaluation import (
    SUCCESS,
    EvaluationParams,
    positions,
)
from fingerpost.tasks.autocomplete.open import COUNTED, TRAINED, open_completer
from fingerpost.tasks.autocomplete.stages.tested_pairs import METHODS, TestedPairs
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
    tested = TestedPairs.read(run.store, sessions, pairs, params)
    completer = open_completer(run.store, dict(zip(_ROLES, members, strict=False)), serving)
    rows: list[tuple[str, str, str, float]] = []
    for method in METHODS:
        complete = partial(tested.ranked, completer, method, params=params, threads=run.threads)
        rows += tested.figures(completer, method, complete, params)
    run.write("figures", figures_to_arrow(rows))
    run.quality = _quality(rows, tested)
    run.measured = {"completer": tested.latency(completer, params)}


def _quality(rows: list[tuple[str, str, str, float]], tested: TestedPairs) -> dict[str, object]:
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
    tested = TestedPairs.read(run.store, sessions, pairs, params)
    completer = open_completer(run.store, dict(zip(_ROLES, members, strict=False)), serving)
    found: dict[str, list[bool]] = {}
    shown = tested.shown(params.weak.users)
    for length in (n for n in params.prefixes if n):
        ranks = positions(tested.ranked(completer, "completer", length, params, run.threads), tested.truth)
        for key, rank, may_be_shown in zip(tested.keys, ranks.tolist(), shown, strict=True):
            if may_be_shown and len(key) >= length:
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
