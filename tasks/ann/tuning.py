from dataclasses import dataclass, field
from fingerpost.tasks.ann.fusion import AnswerParams
@dataclass(frozen=True)
class TuningParams:
    questions: int = 400
@dataclass
class Choice:
    params: AnswerParams; reasons: list; figures: list; quality: dict
def choose_answers(titles, texts, engine, *, judged, params):
    return Choice(AnswerParams(), [("blend", "0.8 / 0.2", True, "default")], [("fused", "x", "mrr", 0.5)], {"questions": 3})
