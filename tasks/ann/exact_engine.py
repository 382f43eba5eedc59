"""The engine of an index with exact search: what ``why`` compares with."""

from dataclasses import replace

import numpy as np

from fingerpost.tasks.ann.dense_side import ExactNeighbors
from fingerpost.tasks.ann.engine import Engine
from fingerpost.tasks.ann.exact import ExactIndex


def exact_engine(engine: Engine) -> Engine:
    """The engine with all vectors compared in place of searches of the graph, also for the neighbours of documents."""
    if engine.dense is None:
        return engine
    index = ExactIndex(engine.dense.index.vectors, engine.dense.metric)
    ids, _ = engine.dense.neighbors.of(np.zeros(0, np.int64))
    neighbors = ExactNeighbors(index, ids.shape[1])
    return replace(engine, dense=replace(engine.dense, index=index, neighbors=neighbors))
