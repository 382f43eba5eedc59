"""Alignments of a first day, and of a later one on which few entities changed, by the stages."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fingerpost.schemas import kg
from fingerpost.schemas.inputs.graphs import GraphBatch
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.kg.blocking import BlockingParams
from fingerpost.tasks.kg.boosting import BoostingParams
from fingerpost.tasks.kg.changes import ChangeParams
from fingerpost.tasks.kg.embeddings import EmbeddingParams
from fingerpost.tasks.kg.labels import LabelParams
from fingerpost.tasks.kg.pair_scorer import FeatureParams
from fingerpost.tasks.kg.pair_shards import PairShards
from fingerpost.tasks.kg.scorer import ScorerParams
from fingerpost.tasks.kg.search import SearchParams
from fingerpost.tasks.kg.splits import LinkParams
from fingerpost.tasks.kg.stages.changes import compare_graphs
from fingerpost.tasks.kg.stages.comparison import compare_pairs, fit_scorer, score_labelled, train_baseline
from fingerpost.tasks.kg.stages.embeddings import read_contexts
from fingerpost.tasks.kg.stages.labels import label_pairs
from fingerpost.tasks.kg.stages.refresh import refresh_labels, refresh_structure, refresh_vectors
from fingerpost.tasks.kg.stages.refresh_candidates import refresh_candidates
from fingerpost.tasks.kg.stages.refresh_rivals import refresh_rivals
from fingerpost.tasks.kg.stages.refresh_scores import refresh_scores
from fingerpost.tasks.kg.stages.rivals import find_rivals
from fingerpost.tasks.kg.stages.scores import score_pairs
from fingerpost.tasks.kg.stages.terms import weigh_attributes
from fingerpost.tasks.kg.terms import TermParams
from tests.support.alignments import pairs_artifact
from tests.support.blocking import blocked, links_of
from tests.support.suggestion_artifacts import committed

ROWS = 4096
PAIRS = PairShards(200)
BOOSTING = BoostingParams(trees=20, least_pairs=2)
Rows = dict[tuple[str, str], tuple[float, int]]


@dataclass
class Days:
    """The artifacts of a first day, and those of a later one that start from it."""

    env: Environment
    search: SearchParams = field(default_factory=lambda: SearchParams(nearest=5))
    blocking: BlockingParams = field(default_factory=lambda: BlockingParams(candidates=6, shared=3, rules=("id",)))
    links: list[tuple[Any, ...]] = field(default_factory=list)

    def graph(self, batch: GraphBatch, name: str) -> Ref:
        return committed(self.env.store, kg.GRAPH, batch.tables(), name=name)

    def first(self, left: GraphBatch, right: GraphBatch | None) -> dict[str, Ref]:
        graphs = {"left": self.graph(left, "left before")}
        graphs["right"] = graphs["left"] if right is None else self.graph(right, "right before")
        made = graphs | {"links": links_of(self.env.store, [], "before"), "structure": self.structure([])}
        found = blocked(
            self.env, graphs["left"], graphs["right"], made["links"], search=self.search, blocking=self.blocking
        )
        return made | found | {"matches": pairs_artifact(self.env.store, "matches", [])}

    def structure(self, rows: list[tuple[int, int, float]]) -> Ref:
        return pairs_artifact(self.env.store, "structure", rows, number=len(rows))

    def refreshed(self, old: dict[str, Ref], left: GraphBatch, right: GraphBatch | None) -> dict[str, Ref]:
        env, new = self.env, {"left": self.graph(left, "left now")}
        new["right"] = new["left"] if right is None else self.graph(right, "right now")
        new["links"] = links_of(env.store, self.links, "now")
        for side in ("left", "right"):
            new[f"{side}_changes"] = compare_graphs.execute(
                env, new[side], old[side], params=ChangeParams(neighbors=0.0)
            )
            new[f"{side}_vectors"] = refresh_vectors.execute(
                env,
                new[side],
                new[f"{side}_changes"],
                old[f"{side}_vectors"],
                params=EmbeddingParams(),
                rows_per_shard=ROWS,
            )
        new["structure"] = refresh_structure.execute(env, new["left_changes"], new["right_changes"], old["structure"])
        ours = ("left", "right", "left_changes", "right_changes", "left_vectors", "right_vectors", "links", "structure")
        theirs = ("left", "right", "left_vectors", "right_vectors", "left_index", "right_index", "links", "candidates")
        new["candidates"] = refresh_candidates.execute(
            env,
            *(new[role] for role in ours),
            *(old[role] for role in (*theirs, "matches")),
            search=self.search,
            params=self.blocking,
            rows_per_shard=ROWS,
        )
        return new

    def trained(self, made: dict[str, Ref]) -> dict[str, Ref]:
        """What follows the candidates of a first day, up to the scores."""
        env, graphs = self.env, (made["left"], made["right"])
        new = dict(made)
        new["terms"] = weigh_attributes.execute(env, *graphs, params=TermParams(), rows_per_shard=ROWS)
        texts = (new["terms"], made["candidates"])
        new["rivals"] = find_rivals.execute(env, *graphs, *texts, made["links"], params=PAIRS)
        compared = (*texts, new["rivals"])
        new["labels"] = label_pairs.execute(
            env, *graphs, *compared, made["links"], params=LabelParams(), splits=LinkParams()
        )
        new["features"] = compare_pairs.execute(
            env, *graphs, *compared, new["labels"], made["structure"], params=FeatureParams()
        )
        new["baseline"] = train_baseline.execute(env, new["features"], new["labels"], params=BOOSTING)
        new["scorer"] = fit_scorer.execute(
            env, new["features"], new["labels"], params=ScorerParams(BOOSTING, forests=2)
        )
        return new | {"scores": self.scored(new)}

    def scored(self, made: dict[str, Ref]) -> Ref:
        """The scores of all candidates."""
        roles = ("left", "right", "terms", "candidates", "rivals", "labels", "scorer", "structure")
        return score_pairs.execute(self.env, *(made[role] for role in roles), roles=("structure",), params=PAIRS)

    def rescored(self, old: dict[str, Ref], new: dict[str, Ref]) -> dict[str, Ref]:
        """What follows the candidates of a later day, up to the scores."""
        env, made = self.env, {**new, **{role: old[role] for role in ("terms", "baseline", "scorer")}}
        changes, graphs = (new["left_changes"], new["right_changes"]), (new["left"], new["right"])
        made["labels"] = refresh_labels.execute(env, new["links"], *changes, old["links"], old["labels"])
        theirs = (old["left"], old["right"], old["candidates"])
        texts = (made["terms"], made["candidates"])
        made["rivals"] = refresh_rivals.execute(
            env, *graphs, *texts, made["labels"], *changes, *theirs, old["rivals"], params=PAIRS
        )
        compared = (*texts, made["rivals"], made["labels"])
        made["features"] = compare_pairs.execute(env, *graphs, *compared, made["structure"], params=FeatureParams())
        made["labelled"] = score_labelled.execute(
            env, made["features"], made["labels"], made["baseline"], made["scorer"]
        )
        made["scores"] = refresh_scores.execute(
            env,
            *graphs,
            *compared,
            made["scorer"],
            *changes,
            old["candidates"],
            old["scores"],
            made["structure"],
            roles=("structure",),
            params=PAIRS,
        )
        return made

    def keys(self, graph: Ref) -> list[str]:
        keys: list[str] = self.env.store.open(graph, kg.GRAPH).read("entities")["id"].to_pylist()
        return keys

    def scores(self, made: dict[str, Ref]) -> dict[tuple[str, str], float]:
        """The scores by keys."""
        left, right = self.keys(made["left"]), self.keys(made["right"])
        table = self.env.store.open(made["scores"], kg.SCORES).read("scores").to_pylist()
        return {(left[row["left"]], right[row["right"]]): row["score"] for row in table}

    def rows(self, made: dict[str, Ref]) -> Rows:
        """The candidates by keys."""
        left, right = self.keys(made["left"]), self.keys(made["right"])
        table = self.env.store.open(made["candidates"], kg.CANDIDATES).read("candidates").to_pylist()
        return {(left[row["left"]], right[row["right"]]): (row["similarity"], row["sources"]) for row in table}

    def contexts(self, made: dict[str, Ref], side: str) -> dict[str, np.ndarray]:
        vectors = read_contexts(self.env.store.open(made[f"{side}_vectors"], kg.VECTORS))
        return dict(zip(self.keys(made[side]), vectors, strict=True))

    def quality(self, ref: Ref) -> Any:
        return self.env.store.manifest(ref).quality
