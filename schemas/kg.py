"""The contracts of the kg domain: the two graphs, known links between them, and sampled neighbourhoods."""

from fingerpost.schemas import fields as f
from fingerpost.schemas.contract import Contract, Table, same_lengths

_ENTITY = f.Field("entity", f.pa.uint32(), "the row of its entity")
_RELATIONS = f.Field(
    "relations",
    f.pa.list_(f.pa.uint32()),
    "rows of relation_names, plus the number of these where it leads from the neighbour to the entity",
)

ENTITIES = Table(
    "entities",
    (
        f.Field("id", f.STRING, "the user's key of an entity", nonempty=True),
        f.Field("type", f.STRING, "the type of an entity; empty for none"),
        f.Field("name", f.STRING, "its name; empty for none"),
    ),
    key=("id",),
    holds_keys=("id", "name"),
)
RELATION_NAMES = Table(
    "relation_names", (f.Field("name", f.STRING, "the name of a relation", nonempty=True),), ("name",)
)
RELATIONS = Table(
    "relations",
    (
        f.Field("head", f.pa.uint32(), "the row of the entity that it leads from"),
        f.Field("relation", f.pa.uint32(), "the row of its name"),
        f.Field("tail", f.pa.uint32(), "the row of the entity that it leads to"),
    ),
    key=("head", "relation", "tail"),
)
ATTRIBUTES = Table(
    "attributes",
    (
        _ENTITY,
        f.Field("key", f.STRING, "the name of an attribute", nonempty=True),
        f.Field("value", f.STRING, "its value as written"),
        f.Field("datatype", f.STRING, "the IRI of the type of its value; empty for text"),
        f.Field("language", f.STRING, "the tag of the language of its value, in lower case; empty for none"),
    ),
    key=("entity", "key", "value", "datatype", "language"),
    holds_keys=("value",),
)

GRAPH = Contract(
    "kg.graph",
    1,
    (ENTITIES, RELATION_NAMES, RELATIONS, ATTRIBUTES),
    "one side of an alignment: entities, how they are related, and their attributes",
)
LINKS = Contract(
    "kg.links",
    1,
    (
        Table(
            "links",
            (
                f.Field("left", f.pa.uint32(), "the row of an entity of the left graph"),
                f.Field("right", f.pa.uint32(), "the row of an entity of the right graph"),
                f.Field("label", f.pa.int8(), "1: the same entity; 0: two entities"),
                f.Field("split", f.STRING, "the split of a pair: training, validation or test; empty for none"),
            ),
            key=("left", "right"),
        ),
    ),
    "pairs of entities of two graphs that are known to be the same, or not to be",
)
NEIGHBORHOODS = Contract(
    "kg.neighborhoods",
    1,
    (
        Table(
            "neighborhoods",
            (
                _ENTITY,
                f.Field("neighbors", f.pa.list_(f.pa.uint32()), "rows of its sampled neighbours, sorted by relation"),
                _RELATIONS,
            ),
            key=("entity",),
            rule=same_lengths("neighbors", "relations"),
        ),
    ),
    "sampled neighbours of entities, one file per shard",
)

CONTRACTS = (GRAPH, LINKS, NEIGHBORHOODS)
