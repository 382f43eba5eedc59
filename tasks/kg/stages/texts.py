"""What stages read to compare pairs: texts of both graphs, and the terms that they are compared by."""

from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.matrices import tensors_from_arrow, tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.entity_texts import EntityTexts
from fingerpost.tasks.kg.stages.graph_tables import GraphTables
from fingerpost.tasks.kg.terms import Rarity, TermParams, Terms

_PARAMS = ("attributes", "relations", "neighbors", "ngram_min", "ngram_max", "buckets")


def read_texts(tables: GraphTables, attributes: Iterable[str]) -> EntityTexts:
    """The texts of a graph, of some attributes one by one and of all together; and its relations."""
    rows = tables.artifact.read("relations")
    triples = np.stack([rows[name].to_numpy() for name in ("head", "relation", "tail")], axis=1)
    return EntityTexts(
        tables.names,
        tables.texts_of,
        {name: partial(attribute_texts, tables, name) for name in attributes},
        triples,
        tables.artifact.read("relation_names")["name"].to_pylist(),
    )


def attribute_texts(tables: GraphTables, key: str, entities: NDArray[np.integer]) -> list[str]:
    """The text of an attribute of some entities, ascending: its values with a blank between, "" for none."""
    rows = tables.attributes.filter(pc.equal(tables.attributes["key"], key))
    place = np.full(len(tables), -1, dtype=np.int64)
    place[entities] = np.arange(len(entities))
    owners, found = place[rows["entity"].to_numpy()], [""] * len(entities)
    values = rows["value"].filter(pa.array(owners >= 0)).to_pylist()
    for entity, value in zip(owners[owners >= 0].tolist(), values, strict=True):
        found[entity] = f"{found[entity]} {value}" if found[entity] else value
    return found


def attribute_counts(tables: GraphTables) -> dict[str, int]:
    """Number of values of each attribute."""
    counts = pc.value_counts(tables.attributes["key"])
    return {row["values"]: row["counts"] for row in counts.to_pylist()}


def terms_tables(terms: Terms) -> dict[str, pa.Table]:
    """The tables of their contract."""
    kinds = {"attribute": list(terms.kinds), "kind": list(terms.kinds.values())}
    weights: dict[str, np.ndarray] = {
        "params": np.array([getattr(terms.params, name) for name in _PARAMS], dtype=np.int64)
    }
    place = {name: number for number, name in enumerate(terms.kinds)}
    for (name, family), rarity in terms.rarity.items():
        start = f"{place[name]}.{family}"
        weights |= {f"{start}.terms": rarity.terms, f"{start}.values": rarity.values}
        weights[f"{start}.unseen"] = np.array([rarity.unseen])
    return {
        "attributes": pa.table({name: pa.array(column, pa.string()) for name, column in kinds.items()}),
        "weights": tensors_to_arrow(weights),
    }


def read_terms(store: Store, ref: Ref) -> Terms:
    """Stored terms."""
    artifact = store.open(ref, contracts.TERMS)
    rows, weights = artifact.read("attributes"), tensors_from_arrow(artifact.read("weights"))
    kinds = dict(zip(rows["attribute"].to_pylist(), rows["kind"].to_pylist(), strict=True))
    params = dict(zip(_PARAMS, weights["params"].tolist(), strict=True))
    return Terms(kinds, _rarity(list(kinds), weights), TermParams(**params))


def _rarity(names: list[str], weights: Mapping[str, np.ndarray]) -> dict[tuple[str, str], Rarity]:
    found = {}
    for number, name in enumerate(names):
        for family in ("words", "letters"):
            if f"{number}.{family}.terms" in weights:
                parts = (weights[f"{number}.{family}.{part}"] for part in ("terms", "values", "unseen"))
                terms, values, unseen = parts
                found[name, family] = Rarity(terms, values, float(unseen[0]))
    return found
