from dataclasses import dataclass
@dataclass(frozen=True)
class FeedbackParams:
    documents: int = 20
    terms: int = 50
    keep: float = 0.5
def expand(columns, weights, rows, scores, postings, params): return columns, weights
