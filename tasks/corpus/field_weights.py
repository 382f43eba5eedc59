"""The choice of field weights for a collection, by questions that are made from it (`field_questions`).

The default stays unless another choice is certainly better: a collection whose questions disagree, or of which none can be
made, keeps it. Gains are compared question by question with their standard error, as a paired t-test does (Smucker, Allan
and Carterette, A comparison of statistical significance tests for information retrieval evaluation, CIKM 2007).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.corpus.field_questions import REST, TITLES, Analyzer, make_questions, reciprocal_ranks
from fingerpost.tasks.corpus.impacts import FieldWeights
from fingerpost.tasks.corpus.lexicon import Lexicon
from fingerpost.tasks.corpus.term_counts import TermCounts

#: Reciprocal ranks of the questions of each kind.
Ranks = dict[str, NDArray[np.float64]]
#: The kinds of question that ask for what is not there to be found word by word.
ASKING = (TITLES, REST)
#: Kinds that the default answers worse than this say nothing about weights.
_ANSWERABLE = 0.05


@dataclass(frozen=True)
class FieldWeightParams:
    """Effort and caution of the choice.

    documents: maximum number of documents that are searched, a sample of the collection.
    questions: maximum number of questions of each kind.
    min_questions: number of questions of a kind below which that kind says nothing.
    first: weights of the first sentence that are tried beside the default `FieldWeights`.
    saturation: saturations that are tried beside the default `FieldWeights`.
    deviations: standard errors by which the mean gain over all questions must exceed 0; titles or first sentences
        against the rest must gain two, and no kind may lose one. Without titles nothing is chosen.
    seed: seed of the samples of documents and questions.
    """

    documents: int = 16_384
    questions: int = 300
    min_questions: int = 50
    first: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0)
    saturation: tuple[float, ...] = (1.0, 0.3, 0.1)
    deviations: float = 3.0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.documents, self.questions, self.min_questions) < 1:
            raise ValueError("field weights: expected at least 1 document and question, got fewer; correct them")
        if not (self.first and self.saturation):
            raise ValueError("field weights: expected values to try, got none; give 1, the default, at least")


@dataclass(frozen=True)
class Choice:
    """The weights, and why.

    reasons: (part, value, whether it takes part in answers, reason). figures: (weights, kind of question, metric, value).
    """

    weights: FieldWeights
    reasons: list[tuple[str, str, bool, str]]
    figures: list[tuple[str, str, str, float]]
    quality: dict[str, float]


def best_field_weights(
    titles: Sequence[str],
    texts: Sequence[str],
    *,
    analyzer: Analyzer,
    counts: TermCounts,
    lexicon: Lexicon,
    params: FieldWeightParams,
) -> Choice:
    """The weights with the best mean reciprocal ranks of those that are certainly better than the default, or the default.

    counts: of all documents, in the order of titles and texts. ValueError if their numbers differ.
    """
    if not len(titles) == len(texts) == counts.documents:
        raise ValueError(
            f"counts: expected one row for each of {len(titles)} titles and {len(texts)} texts, got {counts.documents}; "
            "count the same documents"
        )
    made = make_questions(
        titles,
        texts,
        analyzer=analyzer,
        counts=counts,
        lexicon=lexicon,
        documents=params.documents,
        questions=params.questions,
        seed=params.seed,
    )
    ranks: dict[FieldWeights, Ranks] = {}
    for weights in _tried(lexicon, params):
        found = reciprocal_ranks(made, weights, lexicon)
        asked = next(iter(ranks.values()), None) or _telling(found, params.min_questions)
        ranks[weights] = {kind: found[kind] for kind in asked}
        if TITLES not in asked:
            break
    chosen = choose(ranks, params.deviations)
    return Choice(chosen, _reasons(chosen, ranks), _figures(ranks), _quality(chosen, ranks))


def choose(ranks: Mapping[FieldWeights, Ranks], deviations: float) -> FieldWeights:
    """The weights with the highest mean over kinds of those that are certainly better than the first, or the first.

    ranks: reciprocal ranks of the same questions, by weights and by kind.
    """
    default = next(iter(ranks))
    certain = [weights for weights in ranks if _certain(ranks[default], ranks[weights], deviations)]
    return max(certain, key=lambda weights: _mean(ranks[weights]), default=default)


def _telling(ranks: Ranks, least: int) -> Ranks:
    """The kinds of which there are enough questions, some of them answered."""
    return {kind: values for kind, values in ranks.items() if len(values) >= least and values.mean() >= _ANSWERABLE}


def _certain(before: Ranks, after: Ranks, deviations: float) -> bool:
    gains = {kind: after[kind] - before[kind] for kind in before}
    ratios = {kind: _ratio(gain) for kind, gain in gains.items()}
    if TITLES not in ratios or min(ratios.values()) < -1.0:
        return False
    if max(ratios.get(kind, 0.0) for kind in ASKING) < 2.0:
        return False
    return _ratio(np.concatenate(list(gains.values()))) >= deviations


def _ratio(gains: NDArray[np.float64]) -> float:
    """The mean over its standard error; 0 where nothing differs."""
    if len(gains) < 2 or not gains.any():
        return 0.0
    return float(gains.mean() / max(gains.std(ddof=1) / np.sqrt(len(gains)), 1e-12))


def _mean(ranks: Ranks) -> float:
    return float(np.mean([values.mean() for values in ranks.values()])) if ranks else 0.0


def _tried(lexicon: Lexicon, params: FieldWeightParams) -> list[FieldWeights]:
    """The default, and the values to try; weights of the first paragraph only where texts have more than that."""
    default = FieldWeights()
    _, *lengths = lexicon.field_lengths
    firsts = params.first if all(lengths) else (default.first,)
    tried = [replace(default, first=first, saturation=value) for value in params.saturation for first in firsts]
    return [default, *(weights for weights in tried if weights != default)]


def _named(weights: FieldWeights) -> str:
    fields = " : ".join(f"{weight:g}" for weight in weights.fields)
    return f"{fields}, saturation {weights.saturation:g}"


def _reasons(chosen: FieldWeights, ranks: Mapping[FieldWeights, Ranks]) -> list[tuple[str, str, bool, str]]:
    default = next(iter(ranks))
    counts = ", ".join(f"{len(values):,} {kind}" for kind, values in ranks[default].items())
    if TITLES not in ranks[default]:
        reason = "the default; too few questions can be made of titles, or texts do not answer them"
    elif chosen == default:
        reason = f"the default; no other is certainly better at questions made from the documents ({counts})"
    else:
        means = f"{_mean(ranks[chosen]):.3f} instead of {_mean(ranks[default]):.3f}"
        reason = f"mean reciprocal rank {means} at questions made from the documents ({counts})"
    return [("name : first paragraph : rest", _named(chosen), True, reason)]


def _figures(ranks: Mapping[FieldWeights, Ranks]) -> list[tuple[str, str, str, float]]:
    return [
        (_named(weights), kind, metric, round(float(value), 6))
        for weights, kinds in ranks.items()
        for kind, values in kinds.items()
        for metric, value in (("mrr", values.mean()), ("questions", len(values)))
    ]


def _quality(chosen: FieldWeights, ranks: Mapping[FieldWeights, Ranks]) -> dict[str, float]:
    default = next(iter(ranks))
    return {
        "mrr": round(_mean(ranks[chosen]), 6),
        "mrr_of_default": round(_mean(ranks[default]), 6),
        "questions": float(sum(len(values) for values in ranks[default].values())),
    }
