"""Random graphs as aligners see them, and aligners over them with random weights."""

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.aligner import Aligner
from fingerpost.tasks.kg.aligner_graphs import NONE, AlignerGraph
from fingerpost.tasks.kg.aligner_net import AlignerNet
from fingerpost.tasks.kg.aligner_params import AlignerParams

INPUTS, MATRICES = 12, 6


def graph_of(
    vectors: NDArray[np.float32], neighbors: list[list[tuple[int, int]]], *, slots: int = 6, texts: int = 0
) -> AlignerGraph:
    """A graph whose entities have these (neighbour, matrix) pairs; the last ``texts`` vectors are those of texts."""
    nodes = np.full((len(neighbors), slots), NONE, np.int32)
    matrices = np.zeros((len(neighbors), slots), np.int32)
    for entity, own in enumerate(neighbors):
        for slot, (node, matrix) in enumerate(own):
            nodes[entity, slot], matrices[entity, slot] = node, matrix
    entities = len(vectors) - texts
    assert len(neighbors) == entities
    return AlignerGraph(vectors[:entities], nodes, matrices, texts, vectors[entities:].__getitem__)


def random_graph(seed: int, *, entities: int = 30, texts: int = 8, slots: int = 6) -> AlignerGraph:
    """Entities with up to as many neighbours as there are slots, some without any."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((entities + texts, INPUTS)).astype(np.float32)
    neighbors = []
    for _ in range(entities):
        found = rng.choice(entities + texts, size=rng.integers(0, slots + 1), replace=False)
        neighbors.append([(int(node), int(rng.integers(MATRICES))) for node in found])
    return graph_of(vectors, neighbors, slots=slots, texts=texts)


def random_net(params: AlignerParams, *, features: int = 0, seed: int = 0) -> AlignerNet:
    """A network none of whose weights is where training begins."""
    import torch

    net = AlignerNet(INPUTS, MATRICES, features, params)
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for tensor in net.parameters():
            tensor += torch.from_numpy(0.3 * rng.standard_normal(tuple(tensor.shape)).astype(np.float32))
    return net


def random_aligner(params: AlignerParams, left: AlignerGraph, right: AlignerGraph, *, seed: int = 0) -> Aligner:
    """An aligner of such a network."""
    return Aligner(random_net(params, seed=seed).arrays(), left, right)
