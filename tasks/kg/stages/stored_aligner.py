"""What an aligner looks at, and a trained aligner, read from artifacts; no Prefect, no Dask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.matrices import dense_from_arrow, tensors_from_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store, parameters_of
from fingerpost.tasks.kg.aligner import Aligner
from fingerpost.tasks.kg.aligner_graphs import AlignerGraph, EntityFacts, EntityValues, Matrix, aligner_graph
from fingerpost.tasks.kg.aligner_params import AlignerParams
from fingerpost.tasks.kg.embeddings import TextEmbedder
from fingerpost.tasks.kg.neighborhoods import Neighborhoods
from fingerpost.tasks.kg.stages.graph_tables import is_within
from fingerpost.tasks.kg.stages.stored_embedder import read_embedder

#: The members of a release that an aligner is read from, of each side.
MEMBERS = ("", "neighborhoods", "vectors")


@dataclass(frozen=True)
class NeighborWeight:
    """How heavily an entity's neighbour counts: the row of an entity, or -1 and the text of an attribute's value.

    relation: its name, or that of the attribute. into: whether it leads from the neighbour to the entity.
    """

    row: int
    text: str
    relation: str
    into: bool
    weight: float


@dataclass(frozen=True)
class StoredSide:
    """One side as an aligner needs it; tables are read when they are needed."""

    store: Store
    graph: Ref
    neighborhoods: Ref
    vectors: Ref

    @cached_property
    def facts(self) -> EntityFacts:
        """Vectors, sampled neighbours and values of attributes."""
        artifact = self.store.open(self.graph, contracts.GRAPH)
        vectors = dense_from_arrow(self.store.open(self.vectors, contracts.VECTORS).read("vectors"))
        names = artifact.read("relation_names")["name"].to_pylist()
        return EntityFacts(vectors, self._sampled(), names, self._values())

    @cached_property
    def texts(self) -> pa.Array:
        """The distinct values of attributes."""
        return self._attributes[1].dictionary

    def graph_for(self, matrices: Sequence[Matrix], params: AlignerParams) -> AlignerGraph:
        """The graph as an aligner with some matrices sees it."""
        return aligner_graph(self.facts, matrices, self._embed, cap=params.neighbors, attribute_cap=params.attributes)

    @cached_property
    def _embedder(self) -> TextEmbedder:
        """The embedder of the entities."""
        return read_embedder(self.store, self.vectors)

    def _embed(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._embedder.vectors(self.texts.take(pa.array(numbers)).to_pylist())

    @cached_property
    def _attributes(self) -> tuple[pa.DictionaryArray, pa.DictionaryArray, NDArray[np.uint32]]:
        """Keys, values and entities."""
        rows = self.store.open(self.graph, contracts.GRAPH).read("attributes")
        keys, values = (rows[name].combine_chunks().dictionary_encode() for name in ("key", "value"))
        return keys, values, rows["entity"].to_numpy()

    def _values(self) -> EntityValues:
        keys, values, entities = self._attributes
        key, text = (column.indices.to_numpy(zero_copy_only=False).astype(np.int64) for column in (keys, values))
        return EntityValues(keys.dictionary.to_pylist(), entities, key, text, len(values.dictionary))

    def _sampled(self) -> Neighborhoods:
        rows = self.store.open(self.neighborhoods, contracts.NEIGHBORHOODS).read("neighborhoods").combine_chunks()
        sizes = rows["neighbors"].combine_chunks().value_lengths().to_numpy(zero_copy_only=False)
        flat = [rows[name].combine_chunks().flatten().to_numpy() for name in ("neighbors", "relations")]
        indptr = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
        return Neighborhoods(rows["entity"].to_numpy(), indptr, *flat)


class StoredAligner:
    """A trained aligner over the graphs that it was trained on."""

    def __init__(self, store: Store, members: Mapping[str, Ref]) -> None:
        artifact = store.open(members["aligner"], contracts.MODEL)
        self.matrices = tuple(Matrix(**row) for row in artifact.read("matrices").to_pylist())
        params = parameters_of(store, members["aligner"], lambda values: AlignerParams(**values["params"]))
        self.sides = sides_of(store, members)
        graphs = [side.graph_for(self.matrices, params) for side in self.sides[: 1 if is_within(members) else 2]]
        self.aligner = Aligner(tensors_from_arrow(artifact.read("weights")), graphs[0], graphs[-1])

    def logits(self, pairs: NDArray[np.integer]) -> NDArray[np.float64]:
        """float64 (m,): log odds of pairs (m, 2) before calibration."""
        return self.aligner.logits(pairs)

    def attended(self, left: int, right: int) -> tuple[list[NeighborWeight], list[NeighborWeight]]:
        """The neighbours of both entities, the heaviest first; the weights of each entity sum to one."""
        found = []
        for side, ends in zip(self.sides, self.aligner.explain(left, right), strict=True):
            entities = len(side.facts.vectors)
            rows = []
            for node, through, weight in zip(
                ends.nodes.tolist(), ends.matrices.tolist(), ends.weights.tolist(), strict=True
            ):
                text = "" if node < entities else str(side.texts[node - entities].as_py())
                matrix = self.matrices[through]
                rows.append(NeighborWeight(node if node < entities else -1, text, matrix.name, matrix.inverse, weight))
            found.append(rows)
        return found[0], found[1]


def sides_of(store: Store, members: Mapping[str, Ref]) -> tuple[StoredSide, StoredSide]:
    """Both sides by the roles of their parts; the same one twice within one graph."""
    left = StoredSide(store, members["left"], members["left_neighborhoods"], members["left_vectors"])
    if is_within(members):
        return left, left
    return left, StoredSide(store, members["right"], members["right_neighborhoods"], members["right_vectors"])
