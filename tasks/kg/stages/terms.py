"""The stage that chooses what pairs are compared by, and weighs the terms of both graphs."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.entity_texts import EntityTexts
from fingerpost.tasks.kg.pair_features import neighbor_attribute, relation_of
from fingerpost.tasks.kg.stages.graph_tables import GraphTables
from fingerpost.tasks.kg.stages.texts import attribute_counts, read_texts, terms_tables
from fingerpost.tasks.kg.terms import (
    NAME,
    NEIGHBORS,
    OF_NEIGHBORS,
    OF_WHOLE,
    TEXT,
    WHOLE,
    Rarity,
    TermParams,
    Terms,
    added,
    frequencies,
    kind_of,
    most_common,
)
from fingerpost.tasks.kg.text_parts import as_terms
from fingerpost.tasks.shards import Shard, even_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

FAMILIES = ("words", "letters")


@stage(contracts.TERMS)
def weigh_attributes(run: StageRun, left: Ref, right: Ref, *, params: TermParams, rows_per_shard: int) -> None:
    """Chooses the attributes and relations that both graphs have, and counts how rare their terms are over both."""
    kinds = chosen_kinds(GraphTables.open(run.store, left), GraphTables.open(run.store, right), params)
    parts: list[dict[tuple[str, str], Any]] = []
    texts = 0
    for ref in (left,) if left == right else (left, right):
        rows = run.store.open(ref, contracts.GRAPH).rows("entities")
        parts += run.gather(_count_shard, even_shards(rows, rows_per_shard), graph=ref, kinds=kinds, params=params)
        texts += rows
    counted = {key: added([part[key] for part in parts]) for key in parts[0]}
    rarity = {key: Rarity.of(*found, texts) for key, found in counted.items()}
    for name, table in terms_tables(Terms(kinds, rarity, params)).items():
        run.write(name, table)
    run.quality = {
        "attributes": len(kinds),
        "relations": sum(1 for kind in kinds.values() if kind == OF_NEIGHBORS),
        "terms": sum(len(one.terms) for one in rarity.values()),
    }


def chosen_kinds(left: GraphTables, right: GraphTables, params: TermParams) -> dict[str, str]:
    """What pairs are compared by, in order: attributes, name, all together, relations; with the kind of each."""
    names = most_common(attribute_counts(left), attribute_counts(right), params.attributes)
    sides = [read_texts(tables, names) for tables in (left, right)]
    kinds = {
        name: kind_of([text for side in sides for text in side.texts(name, np.arange(len(side))) if text])
        for name in names
    }
    if all(any(side.names) for side in sides) and not any(_are_names(sides, name) for name in names):
        kinds[NAME] = TEXT
    kinds[WHOLE] = OF_WHOLE
    related = most_common(_named_relations(sides[0]), _named_relations(sides[1]), params.relations)
    if related or all(len(side.triples) for side in sides):
        kinds |= {neighbor_attribute(name): OF_NEIGHBORS for name in (NEIGHBORS, *related)}
    return kinds


def _are_names(sides: list[EntityTexts], attribute: str) -> bool:
    """Whether an attribute says what the names say."""
    return all(
        not name or name == text
        for side in sides
        for name, text in zip(side.names, side.texts(attribute, np.arange(len(side))), strict=True)
    )


def _named_relations(side: EntityTexts) -> Mapping[str, int]:
    return side.related() if any(side.names) else {}


def _count_shard(
    store: Store, shard: Shard, *, graph: Ref, kinds: Mapping[str, str], params: TermParams
) -> dict[tuple[str, str], Any]:
    """How many entities of a shard have each term, by attribute and family."""
    tables = GraphTables.open(store, graph)
    side = read_texts(
        tables, [name for name, kind in kinds.items() if kind != OF_NEIGHBORS and name not in (NAME, WHOLE)]
    )
    rows = np.arange(shard.start, shard.stop)
    found: dict[tuple[str, str], Any] = {}
    for name, kind in kinds.items():
        if kind != OF_NEIGHBORS:
            texts = side.texts(name, rows)
            found |= {(name, family): frequencies(texts, family, params) for family in FAMILIES}
            continue
        near = side.neighbor_names(relation_of(name), rows, most=params.neighbors)
        found[name, "words"] = frequencies([as_terms(names) for names in near], "words", params)
        found[name, "letters"] = frequencies([" ".join(names) for names in near], "letters", params)
    return found
