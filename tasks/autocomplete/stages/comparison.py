"""The stage that compares a completer with the default index, with other searches, and with neighbours."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas.matrices import figures_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.autocomplete.baselines import popular_many
from fingerpost.tasks.autocomplete.comparison import ComparisonParams, ContextNeighbors, filled_up, filtered
from fingerpost.tasks.autocomplete.completer import Completer, ServingParams
from fingerpost.tasks.autocomplete.evaluation import EvaluationParams
from fingerpost.tasks.autocomplete.open import COUNTED, TRAINED, open_completer
from fingerpost.tasks.autocomplete.prefixes import PrefixParams
from fingerpost.tasks.autocomplete.stages.pair_tables import TrainingPairs
from fingerpost.tasks.autocomplete.stages.tested_pairs import TestedPairs
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun
from fingerpost.tasks.xmr.ranking import NONE

#: The rows of completions for the first characters of each next query, by their number; and the number of ``threads``.
Method = Callable[..., list[NDArray[np.uint32]]]


@stage(contracts.COMPARISON, observes=True)
def compare_completers(
    run: StageRun,
    sessions: Ref,
    pairs: Ref,
    *members: Ref,
    params: ComparisonParams,
    evaluation: EvaluationParams,
    serving: ServingParams,
) -> None:
    """Measures the completer with the default index, rankers filtered after their search, and neighbours, on test pairs.

    members: suggestions, trie, followers, vocabulary, tree, model, then tree and model of the default index.
    """
    tested = TestedPairs.read(run.store, sessions, pairs, evaluation)
    completer, default = _completers(run.store, members, serving)
    training = TrainingPairs.read(run.store, sessions, members[0], pairs, PrefixParams())
    neighbors = _neighbors(completer, training, params, run.threads)
    methods = _Methods(tested, completer, default, neighbors, params, evaluation)
    rows = methods.figures(run.threads)
    run.write("figures", figures_to_arrow(rows))
    overall = ((method, value) for method, *of, value in rows if of == ["all", "mrr"])
    run.quality = {"tested": len(tested.keys)} | {f"{method}_mrr": round(value, 6) for method, value in overall}


def _completers(store: Store, members: Sequence[Ref], serving: ServingParams) -> tuple[Completer, Completer]:
    """The completer, and the same over the default index."""
    roles = (*COUNTED, *TRAINED)
    own, (tree, model) = dict(zip(roles, members, strict=False)), members[len(roles) :]
    default = own | {"tree": tree, "model": model}
    return open_completer(store, own, serving), open_completer(store, default, serving)


def _neighbors(
    completer: Completer, training: TrainingPairs, params: ComparisonParams, threads: int
) -> ContextNeighbors:
    """The neighbours of queries before, among those of the training pairs."""
    featurizer = completer.featurizer
    assert featurizer is not None
    contexts = featurizer.rows(training.contexts, [""] * len(training.table))
    following, weights = (training.table.column(name) for name in ("suggestion", "weight"))
    return ContextNeighbors(contexts, following, weights, params.neighbors, threads=threads)


@dataclass(frozen=True)
class _Methods:
    """What is compared: a completer, the same over the default index, and neighbours."""

    tested: TestedPairs
    completer: Completer
    default: Completer
    neighbors: ContextNeighbors
    params: ComparisonParams
    evaluation: EvaluationParams

    def figures(self, threads: int) -> list[tuple[str, str, str, float]]:
        """Method, setting, metric and value of each."""
        named = ((name, partial(complete, threads=threads)) for name, complete in self.by_name().items())
        figures = (self.tested.figures(self.completer, name, complete, self.evaluation) for name, complete in named)
        return [row for rows in figures for row in rows]

    def by_name(self) -> dict[str, Method]:
        """The methods by the names that the figures have."""
        return {
            "default_index": self._default,
            "filtered": partial(self._filtered, self.completer),
            "default_index_filtered": partial(self._filtered, self.default),
            "neighbors": self._near,
        }

    def _default(self, length: int, threads: int) -> list[NDArray[np.uint32]]:
        return self.tested.ranked(self.default, "completer", length, self.evaluation, threads)

    def _filtered(self, completer: Completer, length: int, threads: int) -> list[NDArray[np.uint32]]:
        """The ranker alone, searched without the prefix, and filtered after that."""
        ranker, k, depth = completer.ranker, self.evaluation.suggestions, self.params.depth
        assert ranker is not None
        requests = completer.features(self.tested.requests(length))
        ids = filtered(ranker, requests, *self._ranges(length), k=k, depth=depth, threads=threads)
        return [row[row != NONE] for row in ids]

    def _near(self, length: int, threads: int) -> list[NDArray[np.uint32]]:
        """What followed the nearest queries before, filled up with popular completions."""
        k, prefixes = self.evaluation.suggestions, [key[:length] for key in self.tested.keys]
        contexts = self.completer.features(self.tested.requests(0))
        found = self.neighbors.complete(contexts, *self._ranges(length), k, threads=threads)
        further = popular_many(self.completer.trie, prefixes, 2 * k)
        return [filled_up(rows, more, k) for rows, more in zip(found, further, strict=True)]

    def _ranges(self, length: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        return self.completer.trie.find_many([key[:length] for key in self.tested.keys])
