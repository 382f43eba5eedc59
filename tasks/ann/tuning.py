"""The choice of how texts are answered, on questions whose answers are known.

A blend replaces the one that was asked for only where it is certainly better on the questions: where the interval of its
gain lies above 0. So a part that does harm is switched off, and noise moves nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.asked import HALVES, JUDGED, Asked, Candidates
from fingerpost.tasks.ann.blend_reasons import FEEDBACK, Reason, blend_name, plain_reasons, reasons_of
from fingerpost.tasks.ann.engine import Engine
from fingerpost.tasks.ann.evaluation import Figure
from fingerpost.tasks.ann.fusion import AnswerParams, only_dense, only_lexical
from fingerpost.tasks.ann.halved_documents import halved_engine
from fingerpost.tasks.ann.judged import IntervalParams, JudgedQueries, Judgements, mean_of
from fingerpost.tasks.ann.questions import QuestionParams, make_questions
from fingerpost.tasks.corpus.impacts import FieldWeights
from fingerpost.tasks.corpus.svd import SvdParams


@dataclass(frozen=True)
class TuningParams:
    """Parameters of the choice.

    answers: how texts are answered where nothing else is certainly better.
    choose: whether other parameters of answering are tried; otherwise texts are answered as ``answers`` says.
    dense_shares: values of ``answers.dense_share`` that are tried beside its own.
    near_shares: values of ``answers.near_share`` that are tried beside its own.
    questions: made from the documents.
    fitted: maximum number of documents, other than those that questions are made from, that the trial's vectors are
        fitted on.
    depth: the rank up to which an answer to a question counts.
    minimum: number of questions, and of judged queries, below which nothing is chosen on them.
    interval: of a gain.
    """

    answers: AnswerParams = field(default_factory=AnswerParams)
    choose: bool = True
    dense_shares: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4)
    near_shares: tuple[float, ...] = (0.0, 0.2, 0.4)
    questions: QuestionParams = field(default_factory=QuestionParams)
    fitted: int = 12_000
    depth: int = 300
    minimum: int = 30
    interval: IntervalParams = field(default_factory=lambda: IntervalParams(confidence=0.99))

    def __post_init__(self) -> None:
        if self.depth < 1 or self.minimum < 2 or self.fitted < 0:
            raise ValueError(
                "tuning: expected depth of at least 1, minimum of at least 2 and fitted of at least 0, got "
                f"{self.depth}, {self.minimum} and {self.fitted}; correct them"
            )


@dataclass(frozen=True)
class Choice:
    """How texts are answered, and why.

    reasons: (part, value, whether it takes part, reason). figures: (blend, questions, metric, value). quality: the few
    that sum it up.
    """

    params: AnswerParams
    reasons: list[Reason]
    figures: list[Figure]
    quality: dict[str, float]


def choose_answers(
    titles: Sequence[str],
    texts: Sequence[str],
    engine: Engine,
    *,
    weights: FieldWeights,
    svd: SvdParams,
    judged: JudgedQueries | None,
    params: TuningParams,
) -> Choice:
    """The blend that is certainly the best on judged queries, or on questions made from the documents, or the default.

    titles, texts: of all documents of the engine. weights: of their fields. svd: as their vectors are made. judged: queries
    to choose on, if there are any.
    """
    default = params.answers if engine.dense else only_lexical(params.answers)
    if not params.choose:
        return _kept(default, engine, "as set", 0)
    asked = _judged(engine, judged, params) or _halves(titles, texts, engine, weights, svd, params)
    if len(asked.texts) < params.minimum:
        why = f"as by default: only {len(asked.texts)} questions could be made, fewer than {params.minimum}"
        return _kept(default, engine, why, len(asked.texts))
    gains = _gains(asked, default, params)
    tried = {blend: values for blend, values in gains.items() if blend.uses_lexical}
    chosen = best_blend(tried, default, params.interval)
    reasons = reasons_of(
        tried, chosen, default, params.interval, f"nDCG@{asked.depth} on {len(asked.texts)} {asked.kind}"
    )
    return Choice(
        chosen,
        [reason for reason in reasons if engine.dense or reason[0] == FEEDBACK],
        [(blend_name(blend), asked.kind, asked.metric, round(float(v.mean()), 6)) for blend, v in gains.items()],
        {**_numbers(chosen), asked.counted: float(len(asked.texts)), **_summary(gains, chosen)},
    )


def best_blend(
    gains: Mapping[AnswerParams, NDArray[np.float64]], default: AnswerParams, interval: IntervalParams
) -> AnswerParams:
    """The blend whose gain over the default has the highest lower end of its interval, if that is above 0, or the default.

    A share that is not the default's stays only if it is certainly better than none, where none is certainly better than
    the default. gains: float64 (q,) of each blend, the default among them. Ties go to the earlier one.
    """
    best, lowest = default, 0.0
    for blend, values in gains.items():
        difference = values - gains[default]
        if difference.mean() > lowest and (low := mean_of(difference, interval).low) > lowest:
            best, lowest = blend, low
    if best.near_share != default.near_share:
        best = _without(replace(best, near_share=0.0), best, default, gains, interval)
    if best.dense_share != default.dense_share:
        best = _without(replace(best, dense_share=0.0), best, default, gains, interval)
    return best


def _without(
    simpler: AnswerParams,
    best: AnswerParams,
    default: AnswerParams,
    gains: Mapping[AnswerParams, NDArray[np.float64]],
    interval: IntervalParams,
) -> AnswerParams:
    """The simpler blend if that is certainly better than the default and the best is not certainly better than that."""
    if simpler not in gains or mean_of(gains[simpler] - gains[default], interval).low <= 0:
        return best
    return best if mean_of(gains[best] - gains[simpler], interval).low > 0 else simpler


def _judged(engine: Engine, judged: JudgedQueries | None, params: TuningParams) -> Asked | None:
    """Judged queries, if there are enough."""
    if judged is None or len(judged.texts) < params.minimum:
        return None
    return Asked(JUDGED, engine, judged.texts, judged.judgements, 10)


def _halves(
    titles: Sequence[str],
    texts: Sequence[str],
    engine: Engine,
    weights: FieldWeights,
    svd: SvdParams,
    params: TuningParams,
) -> Asked:
    """Questions made from documents, each of which lacks the half that it is asked by."""
    made = make_questions(titles, texts, analyzer=engine.analyzer, lexicon=engine.lexicon, params=params.questions)
    count = len(made.rows)
    if count >= params.minimum:
        seed = params.questions.seed
        engine = halved_engine(engine, made, weights=weights, svd=svd, fitted=params.fitted, seed=seed)
    judgements = Judgements.of(np.arange(count), made.rows, np.ones(count), count=count)
    return Asked(HALVES, engine, made.queries, judgements, params.depth)


def _gains(asked: Asked, default: AnswerParams, params: TuningParams) -> dict[AnswerParams, NDArray[np.float64]]:
    """The gains of every blend: of the default, and of all that are tried, with and without feedback."""
    engine, gains = asked.engine, {}
    dense_shares = sorted({default.dense_share, *params.dense_shares}) if engine.dense else [0.0]
    near_shares = sorted({default.near_share, *params.near_shares}) if engine.dense else [0.0]
    for feedback in dict.fromkeys([default.feedback, None]):
        found = _candidates(asked, replace(default, feedback=feedback))
        for dense, near in product(dense_shares, near_shares):
            blend = replace(default, dense_share=dense, near_share=near, feedback=feedback)
            gains[blend] = asked.gains(found, blend)
        if engine.dense and feedback is None:
            gains[only_dense(default)] = asked.gains(found, only_dense(default))
    return gains


def _candidates(asked: Asked, params: AnswerParams) -> list[Candidates]:
    """What both sides propose to each question, measured by both, whatever their shares."""
    engine = asked.engine
    # Shares of 0 would leave a side out.
    measured = replace(params, dense_share=0.5, near_share=0.5) if engine.dense else params
    engine = replace(engine, params=measured)
    return [engine.sides(engine.question(text), asked.depth) for text in asked.texts]


def _kept(params: AnswerParams, engine: Engine, why: str, questions: int) -> Choice:
    """The parameters as they are."""
    parts = [reason for reason in plain_reasons(params, why) if engine.dense or reason[0] == FEEDBACK]
    return Choice(params, parts, [], {**_numbers(params), "questions": float(questions)})


def _numbers(params: AnswerParams) -> dict[str, float]:
    return {
        "dense_share": params.dense_share,
        "near_share": params.near_share,
        "feedback_documents": float(params.feedback.documents if params.feedback else 0),
    }


def _summary(gains: Mapping[AnswerParams, NDArray[np.float64]], chosen: AnswerParams) -> dict[str, float]:
    """What the chosen blend, words alone with feedback as chosen, and vectors alone reach."""
    sides = {"fused": chosen, "lexical": only_lexical(chosen), "dense": only_dense(chosen)}
    return {f"{name}_ndcg": round(float(gains[one].mean()), 6) for name, one in sides.items() if one in gains}
