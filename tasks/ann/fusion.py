from dataclasses import dataclass, replace
import numpy as np
from fingerpost.tasks.corpus.feedback import FeedbackParams
@dataclass(frozen=True)
class AnswerParams:
    candidates: int = 100
    lexical: float = 0.8
    dense: float = 0.2
    near: float = 0.2
    feedback: FeedbackParams | None = None
    @classmethod
    def of(cls, m):
        m = dict(m); f = m.pop("feedback"); return cls(feedback=None if f is None else FeedbackParams(**f), **m)
    @property
    def uses_neighbors(self): return self.near > 0
    @property
    def uses_dense(self): return self.dense > 0
    @property
    def uses_lexical(self): return self.lexical > 0
def near_scores(scores, cosines): return (scores * cosines).mean(axis=1)
def fuse(lexical, near, dense, params):
    s = (1 - params.near) * lexical + params.near * near
    return (params.lexical * s / max(s.max(initial=0), 1e-9) + params.dense * dense).astype(np.float32)
def only_lexical(p): return replace(p, lexical=1.0, dense=0.0, near=0.0)
def only_dense(p): return replace(p, lexical=0.0, dense=1.0, near=0.0)
