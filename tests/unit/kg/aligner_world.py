"""Two shops' tables as stages import them, up to what an aligner is trained on."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fingerpost.schemas import kg
from fingerpost.schemas.inputs.graph_links import LinkFile
from fingerpost.schemas.inputs.graph_sources import graph_source
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.kg.aligner_params import AlignerParams
from fingerpost.tasks.kg.embeddings import EmbeddingParams
from fingerpost.tasks.kg.neighborhoods import SamplingParams
from fingerpost.tasks.kg.splits import LinkParams
from fingerpost.tasks.kg.stages.aligner import train_aligner
from fingerpost.tasks.kg.stages.embeddings import embed_entities
from fingerpost.tasks.kg.stages.inputs import import_graph, import_links
from fingerpost.tasks.kg.stages.neighborhoods import sample_neighborhoods
from tests.support.matched_tables import write, write_shops
from tests.support.suggestion_artifacts import committed
from tests.worlds import DAY

PARAMS = AlignerParams(hidden=16, epochs=4, patience=0, folds=2, batch=32)
CHOICES: dict[str, dict[str, Any]] = {
    "left": {"id": "sku", "name": "title", "kind": "product", "shared": ("maker",)},
    "right": {"id": "number", "name": "name", "kind": "product", "shared": ("brand",)},
}
_SIDES = ("left", "right")


def environment(folder: Path, executor: Any = None) -> Environment:
    env = Environment(Store(str(folder / "store")).prepare(), "shop", DAY)
    if executor is not None:
        env.executor = executor
    return env


def inputs(env: Environment, folder: Path, *, alone: bool = False) -> dict[str, Ref]:
    """Everything that an aligner is trained on; alone: without the pairs that are known to be two products."""
    write_shops(folder)
    links = str(folder / "links.csv")
    if alone:
        rows = [line.split(",") for line in Path(links).read_text().split()[1:]]
        matches = [{"left": one, "right": other} for one, other, label in rows if label == "1"]
        links = str(write(folder / "matches.csv", matches))
    made = {}
    for side in _SIDES:
        source = graph_source(str(folder / f"{side}.csv"), form="table", **CHOICES[side])
        made[side] = import_graph.execute(env, source, params=ImportParams(), side=side)
    made["links"] = import_links.execute(env, made["left"], made["right"], LinkFile(links), params=LinkParams())
    for side, other in (_SIDES, _SIDES[::-1]):
        made[f"{side}_neighborhoods"] = sample_neighborhoods.execute(
            env, made[side], params=SamplingParams(cap=4), rows_per_shard=50
        )
        made[f"{side}_vectors"] = embed_entities.execute(
            env, made[side], made[other], params=EmbeddingParams(dimensions=64), rows_per_shard=50
        )
    made["candidates"] = every_pair(env.store, made["left"], made["right"])
    return made


def every_pair(store: Store, left: Ref, right: Ref) -> Ref:
    """All pairs of products as candidates."""
    rows = [
        np.array([kind == "product" for kind in store.open(side, kg.GRAPH).read("entities")["type"].to_pylist()])
        for side in (left, right)
    ]
    one, other = np.nonzero(rows[0][:, None] & rows[1][None])
    table = pa.table(
        {
            "left": pa.array(one, pa.uint32()),
            "right": pa.array(other, pa.uint32()),
            "similarity": pa.array(np.zeros(len(one)), pa.float32()),
            "sources": pa.array(np.ones(len(one)), pa.uint8()),
        }
    )
    return committed(store, kg.CANDIDATES, {"candidates": table}, pairs=len(one))


def train(env: Environment, made: dict[str, Ref], params: AlignerParams = PARAMS) -> Ref:
    """A trained aligner."""
    parts = ("", "_neighborhoods", "_vectors")
    given = [made[f"{side}{part}"] for part in parts for side in _SIDES]
    return train_aligner.execute(env, *given, made["candidates"], made["links"], params=params)
