"""A small shop: queries of words about goods, and the whole ranker over them without Prefect."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fingerpost.schemas.inputs.interactions import InteractionFile
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.corpus.ngrams import FamilyParams, NgramParams
from fingerpost.tasks.corpus.stages import features as corpus
from fingerpost.tasks.corpus.weighed_rows import TfidfParams
from fingerpost.tasks.xmr.clustering import ClusterParams
from fingerpost.tasks.xmr.interactions import InteractionParams, RowParams
from fingerpost.tasks.xmr.label_blocks import BlockParams
from fingerpost.tasks.xmr.label_features import EmbeddingParams
from fingerpost.tasks.xmr.ranking import BeamParams
from fingerpost.tasks.xmr.stages import interactions as interactions_stages
from fingerpost.tasks.xmr.stages import packed as packed_stages
from fingerpost.tasks.xmr.stages import release as ranking
from fingerpost.tasks.xmr.stages import training as training_stages
from fingerpost.tasks.xmr.stages import trees as trees_stages
from fingerpost.tasks.xmr.training import TrainingParams

_KINDS = ["hammer", "saw", "drill", "bread", "soup", "cheese", "lamp", "chair", "sofa", "shirt", "coat", "glove"]
_COLOURS = ["red", "green", "blue", "white", "black", "grey", "pink", "brown"]


def write_shop(folder: Path, *, rows: int = 900, seed: int = 0) -> Path:
    """Interactions (query, label, weight) and labels (id, name), as CSV files; the path of the first."""
    random = np.random.default_rng(seed)
    labels = [(f"{kind}-{colour}", f"{colour} {kind}") for kind in _KINDS for colour in _COLOURS]
    lines = ["query,label,weight"]
    for row in range(rows):
        key, name = labels[int(random.integers(len(labels)))]
        colour, kind = name.split()
        extra = ["cheap", "large", "small", "new"][int(random.integers(4))]
        query = [f"{extra} {kind} {colour}", f"{kind} in {colour} {extra}", f"{colour} {kind}s"][row % 3]
        lines.append(f"{query} {row % 7},{key},{1 + row % 3}")
    (folder / "interactions.csv").write_text("\n".join(lines) + "\n")
    (folder / "labels.csv").write_text("\n".join(["id,name", *(",".join(label) for label in labels)]) + "\n")
    return folder / "interactions.csv"


@dataclass(frozen=True)
class Shop:
    """How the small ranker is made; every setting so small that each fan-out has several shards."""

    ngrams: NgramParams = field(
        default_factory=lambda: NgramParams((FamilyParams("word", 1, 2), FamilyParams("char", 3, 3)), 0.0, 1.0, 0.0)
    )
    tfidf: TfidfParams = field(default_factory=TfidfParams)
    interactions: InteractionParams = field(
        default_factory=lambda: InteractionParams(test_share=0.2, calibration_share=0.1)
    )
    rows: RowParams = field(default_factory=RowParams)
    blocks: BlockParams = field(default_factory=lambda: BlockParams(labels=30, rows=200))
    clusters: ClusterParams = field(default_factory=lambda: ClusterParams(max_leaf_size=8, branching=4, flat_labels=0))
    embedding: EmbeddingParams = field(default_factory=EmbeddingParams)
    training: TrainingParams = field(default_factory=TrainingParams)
    beam: BeamParams = field(default_factory=BeamParams)
    source: InteractionFile | None = None

    def make(self, env: Any, interactions: Path) -> dict[str, Ref]:
        """Every artifact by its role."""
        source = self.source or InteractionFile(str(interactions), str(interactions.parent / "labels.csv"))
        made: dict[str, Ref] = {}
        made["interactions"] = taken = interactions_stages.import_interactions.execute(
            env, source, params=self.interactions
        )
        made["queries"] = interactions_stages.list_queries.execute(
            env, taken, held_out=False, label_words=50, rows_per_shard=300
        )
        made["ngrams"] = corpus.count_ngrams.execute(env, made["queries"], params=self.ngrams)
        made["vocabulary"] = words = corpus.merge_vocabulary.execute(env, made["ngrams"], params=self.ngrams)
        made["features"] = features = corpus.weigh_terms.execute(env, made["ngrams"], words, params=self.tfidf)
        made["held_queries"] = interactions_stages.list_queries.execute(
            env, taken, held_out=True, label_words=0, rows_per_shard=300
        )
        made["held_ngrams"] = corpus.count_ngrams.execute(env, made["held_queries"], params=self.ngrams)
        made["held_features"] = corpus.weigh_terms.execute(env, made["held_ngrams"], words, params=self.tfidf)
        made["label_features"] = trees_stages.embed_labels.execute(
            env, taken, features, params=self.embedding, rows=self.rows, blocks=self.blocks
        )
        made["tree"] = tree = trees_stages.cluster_labels.execute(
            env, made["label_features"], params=self.clusters, blocks=self.blocks
        )
        made["model"] = training_stages.train_rankers.execute(
            env, taken, features, tree, params=self.training, rows=self.rows, blocks=self.blocks
        )
        made["predictions"] = ranking.predict_labels.execute(
            env, taken, made["held_features"], tree, made["model"], k=20, beam=self.beam, blocks=self.blocks
        )
        made["calibration"] = ranking.calibrate_scores.execute(env, taken, made["predictions"], k=5)
        made["evaluation"] = ranking.evaluate_ranker.execute(env, taken, made["predictions"])
        made["packed"] = packed_stages.pack_ranker.execute(env, taken, words, tree, made["model"])
        roles = tuple(sorted(made))
        made["ranker"] = ranking.assemble_ranker.execute(env, *(made[role] for role in roles), roles=roles)
        return made
