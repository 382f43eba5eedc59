"""Questions whose answers are known, and how much of the best possible gain a blend of both sides reaches on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.engine import Engine
from fingerpost.tasks.ann.fusion import AnswerParams, fuse
from fingerpost.tasks.ann.judged import Judgements, query_metrics

#: What is asked, as people read it.
HALVES, JUDGED = "halves of documents", "judged queries"


class Candidates(Protocol):
    """The candidates of a question: rows int64 (c,), ascending, and their scores on both sides, float32 (c,).

    lexical_rank, dense_rank: int64 (c,), 0 where the side did not propose the row.
    """

    @property
    def rows(self) -> NDArray[np.int64]: ...

    @property
    def lexical(self) -> NDArray[np.float32]: ...

    @property
    def near(self) -> NDArray[np.float32]: ...

    @property
    def dense(self) -> NDArray[np.float32]: ...

    @property
    def lexical_rank(self) -> NDArray[np.int64]: ...

    @property
    def dense_rank(self) -> NDArray[np.int64]: ...


def blended(sides: Candidates, params: AnswerParams) -> NDArray[np.float32]:
    """The scores of candidates, float32 (c,), -inf for those that no side proposed which takes part."""
    scores = fuse(sides.lexical, sides.near, sides.dense, params)
    if not params.uses_dense:
        scores[sides.lexical_rank == 0] = -np.inf
    elif not params.uses_lexical:
        scores[sides.dense_rank == 0] = -np.inf
    return scores


@dataclass(frozen=True)
class Asked:
    """Questions with known answers. kind: `HALVES` or `JUDGED`; engine: what is asked; depth: of the gain that counts."""

    kind: str
    engine: Engine
    texts: Sequence[str]
    judgements: Judgements
    depth: int

    @property
    def metric(self) -> str:
        """The name of the gain."""
        return f"ndcg_at_{self.depth}"

    @property
    def counted(self) -> str:
        """The name of the number of questions."""
        return "judged_queries" if self.kind == JUDGED else "questions"

    def gains(self, found: Sequence[Candidates], params: AnswerParams) -> NDArray[np.float64]:
        """The normalized discounted cumulative gain of each question's answers, float64 (q,)."""
        scores = [blended(sides, params) for sides in found]
        if self.kind == JUDGED:
            return query_metrics(self._ranked(found, scores), self.judgements)["ndcg_at_10"]
        return self._discounts(found, scores)

    def _ranked(self, found: Sequence[Candidates], scores: Sequence[NDArray[np.float32]]) -> NDArray[np.int64]:
        """The best rows, int64 (q, depth), padded with -1."""
        ranked = np.full((len(found), self.depth), -1, dtype=np.int64)
        for place, (sides, own) in enumerate(zip(found, scores, strict=True)):
            order = np.lexsort((sides.rows, -own))[: min(self.depth, np.count_nonzero(own > -np.inf))]
            ranked[place, : len(order)] = sides.rows[order]
        return ranked

    def _discounts(self, found: Sequence[Candidates], scores: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
        """The gain of the one document that each question asks for, whose ideal is 1: its discount, 0 beyond the depth."""
        gains = np.zeros(len(found))
        for place, (target, sides, own) in enumerate(zip(self.judgements.documents, found, scores, strict=True)):
            at = int(np.searchsorted(sides.rows, target))
            if at == len(sides.rows) or sides.rows[at] != target or own[at] == -np.inf:
                continue
            rank = 1 + np.count_nonzero(own > own[at]) + np.count_nonzero(own[:at] == own[at])
            gains[place] = 1 / np.log2(rank + 1) if rank <= self.depth else 0.0
        return gains
