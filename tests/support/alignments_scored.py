"""Artifacts of scored candidates of two graphs whose entities have the same numbers, and of their links."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import pyarrow as pa

from fingerpost.schemas import kg
from fingerpost.schemas.contract import Contract
from fingerpost.schemas.inputs.graphs import table_of
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.environment import Environment
from tests.support.suggestion_artifacts import committed

_numbers = count()


def artifact(env: Environment, contract: Contract, tables: Mapping[str, pa.Table], **quality: object) -> Ref:
    """A committed artifact of its own; tables that are not given have no rows."""
    every = {table.name: table_of(table, []) for table in contract.tables} | dict(tables)
    return committed(env.store, contract, every, number=next(_numbers), **quality)


def graph(env: Environment, rows: Sequence[tuple[str, str, str]]) -> Ref:
    """A graph of entities (id, type, name) without relations."""
    return artifact(env, kg.GRAPH, {"entities": table_of(kg.ENTITIES, rows)})


def links(env: Environment, rows: Sequence[tuple[int, int, int, str, str]]) -> Ref:
    """Links (left, right, label, split, source)."""
    return artifact(env, kg.LINKS, {"links": table_of(kg.LINKS.table("links"), sorted(rows))})


@dataclass(frozen=True)
class Scored:
    """Candidates by their pairs: the score of each, and what proposed it where that is not bit 1."""

    pairs: Mapping[tuple[int, int], float]
    sources: Mapping[tuple[int, int], int] = field(default_factory=dict)

    def write(self, env: Environment) -> tuple[Ref, Ref]:
        """Artifacts of candidates and of scores."""
        rows = sorted(self.pairs)
        candidates = [(*pair, 0.5, self.sources.get(pair, 1)) for pair in rows]
        scores = [(*pair, self.pairs[pair]) for pair in rows]
        return (
            artifact(env, kg.CANDIDATES, {"candidates": table_of(kg.CANDIDATES.table("candidates"), candidates)}),
            artifact(env, kg.SCORES, {"scores": table_of(kg.SCORES.table("scores"), scores)}),
        )


def labelled(env: Environment, scores: Mapping[str, Mapping[tuple[int, int], float]]) -> Ref:
    """Scores of labelled pairs by method."""
    rows = [(*pair, method, value) for method, pairs in scores.items() for pair, value in pairs.items()]
    return artifact(env, kg.LABELLED, {"scores": table_of(kg.LABELLED.table("scores"), sorted(rows))})


def random_scores(seed: int, entities: int, *, rivals: int = 4, slope: float = 1.5) -> dict[tuple[int, int], float]:
    """Each entity's own pair and some rivals, with log odds that are true once divided by ``slope``."""
    rng = np.random.default_rng(seed)
    found = {}
    for one in range(entities):
        for other in {one, *rng.integers(0, entities, rivals).tolist()}:
            found[one, other] = float(
                np.float32(slope * (rng.normal(2.5, 1.5) if one == other else rng.normal(-2.5, 1.5)))
            )
    return found
