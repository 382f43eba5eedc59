"""The contracts of the kg domain, from two graphs and known links to the released alignment and the joined graph."""

from fingerpost.schemas import fields as f
from fingerpost.schemas.contract import Contract, Table, same_lengths
from fingerpost.schemas.matrices import dense_table, tensor_table
from fingerpost.schemas.releases import MEMBERS

_LEFT = f.Field("left", f.pa.uint32(), "the row of an entity of the left graph")
_RIGHT = f.Field("right", f.pa.uint32(), "the row of an entity of the right graph")
_PROBABILITY = f.Field("probability", f.pa.float32(), "probability that a pair is one entity", finite=True)
_SIDE = f.Field("side", f.STRING, "left or right: the graph of an entity", nonempty=True)
_FIGURES = Table("figures", (f.METHOD, f.SETTING, f.METRIC, f.FIGURE), key=("method", "setting", "metric"))

_SIMILARITIES = f.Field("vector", f.pa.float32(), "its similarities; NaN for unknown", vector=True)
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
                _LEFT,
                _RIGHT,
                f.Field("label", f.pa.int8(), "1: the same entity; 0: two entities"),
                f.Field("split", f.STRING, "the split of a pair: training, validation or test; empty for none"),
                f.Field("source", f.STRING, "where it comes from: given, reviewed or assumed", nonempty=True),
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

TERMS = Contract(
    "kg.terms",
    1,
    (
        Table(
            "attributes",
            (
                f.Field("attribute", f.STRING, "an attribute that both sides have", nonempty=True),
                f.Field(
                    "kind", f.STRING, "how it is compared: as text, number, date, neighbors or whole", nonempty=True
                ),
            ),
            key=("attribute",),
        ),
        tensor_table("weights"),
    ),
    "the attributes that pairs are compared by, and the weights of their terms over both graphs",
)
VECTORS = Contract(
    "kg.vectors",
    1,
    (dense_table("vectors"), dense_table("contexts"), tensor_table("frequencies")),
    "a vector per entity, from hashed n-grams of its name and attributes; in contexts also of the names of its neighbours,"
    " without rows where no entity has any",
)
INDEX = Contract(
    "kg.index",
    1,
    (
        Table(
            "types",
            (
                f.Field("type", f.STRING, "a type of entities; empty for none"),
                f.Field("entities", f.pa.int64(), "the number of those that have a vector"),
                f.Field("indexed", f.pa.bool_(), "whether there is a graph; else they are searched exactly"),
            ),
            key=("type",),
        ),
        tensor_table("graphs"),
    ),
    "the HNSW graphs over the vectors of one side, one per large type",
)
_NEAREST = Table(
    "nearest",
    (
        f.Field("entities", f.pa.list_(f.pa.uint32()), "rows of entities of the other side, of the same type"),
        f.Field(
            "similarities", f.pa.list_(f.pa.float32()), "how similar they are, from 0 to 1, the most similar first"
        ),
    ),
    rule=same_lengths("entities", "similarities"),
    compression="none",
)
NEAREST = Contract(
    "kg.nearest", 1, (_NEAREST,), "the entities of the other side with the nearest vectors, a row per entity"
)
SHARED = Contract(
    "kg.shared", 1, (_NEAREST,), "the entities of the other side that share most rare neighbours, a row per entity"
)
CANDIDATES = Contract(
    "kg.candidates",
    1,
    (
        Table(
            "candidates",
            (
                _LEFT,
                _RIGHT,
                f.Field("similarity", f.pa.float32(), "cosine of their vectors", finite=True),
                f.Field(
                    "sources",
                    f.pa.uint8(),
                    "bits of what proposed it: 1 vectors, 2 neighbours, 4 rules, 8 links, 16 structure",
                ),
            ),
            key=("left", "right"),
        ),
    ),
    "pairs of entities that are compared in full, one file per shard of left entities",
)
RIVALS = Contract(
    "kg.rivals",
    1,
    (
        Table(
            "rivals",
            (
                _SIDE,
                _ENTITY,
                f.Field(
                    "partners", f.pa.list_(f.pa.uint32()), "by text, its most similar candidate; 2**32 - 1 for none"
                ),
                f.Field("best", f.pa.list_(f.pa.float32()), "by text, how similar that one is"),
                f.Field("second", f.pa.list_(f.pa.float32()), "by text, how similar the next one is"),
            ),
            rule=same_lengths("partners", "best"),
        ),
    ),
    "the most similar candidates of every entity, one file per shard of left entities: right ones occur in several",
)
STRUCTURE = Contract(
    "kg.structure",
    1,
    (Table("pairs", (_LEFT, _RIGHT, _PROBABILITY), key=("left", "right")),),
    "pairs by the structure of both graphs alone, propagated from known pairs",
)
FEATURES = Contract(
    "kg.features",
    1,
    (
        Table(
            "names",
            (
                f.Field("name", f.STRING, "attribute:measure", nonempty=True),
                f.Field("plain", f.pa.bool_(), "whether the baseline looks at it"),
            ),
            key=("name",),
        ),
        Table("pairs", (_LEFT, _RIGHT), key=("left", "right")),
        Table("features", (_SIMILARITIES,), compression="none"),
    ),
    "similarities of labelled pairs, a row per pair",
)
MATCHER = Contract(
    "kg.matcher",
    1,
    (
        Table("names", (f.Field("name", f.STRING, "a feature that it looks at", nonempty=True),), key=("name",)),
        tensor_table("trees"),
    ),
    "a boosted matcher of pairs by their features: the trees as arrays",
)
MODEL = Contract(
    "kg.model",
    1,
    (
        Table(
            "epochs",
            (
                f.Field("epoch", f.pa.int32(), "number of the epoch, from 1"),
                f.Field("loss", f.pa.float64(), "mean loss of its batches", finite=True),
                f.Field("validation", f.pa.float64(), "average precision on validation pairs", finite=True),
            ),
            key=("epoch",),
        ),
        Table(
            "matrices",
            (
                f.Field("kind", f.STRING, "what goes through it: relation or attribute", nonempty=True),
                f.Field("name", f.STRING, "of which name; empty for all without a matrix of their own"),
                f.Field("inverse", f.pa.bool_(), "whether it leads from the neighbour to the entity"),
            ),
            key=("kind", "name", "inverse"),
        ),
        tensor_table("weights"),
        Table(
            "crossed",
            (_LEFT, _RIGHT, f.Field("logit", f.pa.float64(), "by a model that was not trained on it", finite=True)),
            key=("left", "right"),
        ),
    ),
    "the aligner that looks at neighbourhoods: its weights, how its training went, and logits of pairs it was trained on by"
    " models that were not",
)
SCORES = Contract(
    "kg.scores",
    1,
    (
        Table(
            "scores",
            (_LEFT, _RIGHT, f.Field("score", f.pa.float32(), "log odds before calibration", finite=True)),
            key=("left", "right"),
        ),
    ),
    "the score of every candidate, one file per shard of left entities",
)
LABELLED = Contract(
    "kg.labelled",
    1,
    (
        Table(
            "scores",
            (_LEFT, _RIGHT, f.METHOD, f.Field("score", f.pa.float32(), "log odds before calibration", finite=True)),
            key=("left", "right", "method"),
        ),
    ),
    "the scores of labelled pairs by the parts of the model",
)
CALIBRATION = Contract(
    "kg.calibration",
    1,
    (
        tensor_table("calibration"),
        Table(
            "thresholds",
            (
                f.Field("target", f.STRING, "f1, precision, accepted or far", nonempty=True),
                f.Field("value", f.pa.float64(), "the value of the target asked for", finite=True),
                f.Field("threshold", f.pa.float64(), "the least probability accepted", finite=True),
                f.Field("low", f.pa.float64(), "lower end of its interval", finite=True),
                f.Field("high", f.pa.float64(), "upper end of its interval", finite=True),
                f.Field(
                    "population", f.STRING, "the pairs that it holds for: given, linked or estimated", nonempty=True
                ),
                f.Field("accepted", f.pa.int64(), "number of these accepted"),
                f.Field("precision", f.pa.float64(), "precision of these; 1 if none is accepted", finite=True),
                f.Field("precision_low", f.pa.float64(), "lower end of its interval", finite=True),
                f.Field("precision_high", f.pa.float64(), "upper end of its interval", finite=True),
                f.Field("recall", f.pa.float64(), "share of their matches that is accepted", finite=True),
                f.Field("kept", f.pa.bool_(), "whether the target is kept for them; if not, no threshold keeps it"),
                f.Field("chosen", f.pa.bool_(), "whether decisions use it"),
            ),
            key=("target", "value"),
        ),
    ),
    "from scores to probabilities, and the thresholds of several targets",
)
MATCHES = Contract(
    "kg.matches",
    1,
    (Table("matches", (_LEFT, _RIGHT, _PROBABILITY), key=("left", "right")),),
    "the pairs that are accepted as one entity",
)
CLUSTERS = Contract(
    "kg.clusters",
    1,
    (
        Table(
            "members",
            (f.Field("cluster", f.STRING, "the id of a joined entity", nonempty=True), _SIDE, _ENTITY),
            key=("side", "entity"),
        ),
        Table(
            "history",
            (
                f.Field("event", f.STRING, "new, gone, merged, split or moved", nonempty=True),
                f.Field("before", f.STRING, "the id of a joined entity of the version before; empty for none"),
                f.Field("after", f.STRING, "its id now; empty for none"),
                f.Field("members", f.pa.int64(), "number of entities concerned"),
            ),
        ),
    ),
    "which entities are one, under ids that stay from run to run, and what changed since the version before",
)
JOINED = Contract(
    "kg.joined",
    1,
    (
        Table(
            "entities",
            (
                f.Field("id", f.STRING, "the id of a joined entity", nonempty=True),
                f.Field("type", f.STRING, "its type; empty for none"),
                f.Field("name", f.STRING, "its name; empty for none"),
            ),
            key=("id",),
        ),
        Table(
            "sources",
            (
                f.Field("joined", f.pa.uint32(), "the row of a joined entity"),
                _SIDE,
                f.Field("id", f.STRING, "the user's key of one of its entities", nonempty=True),
                f.Field("name", f.STRING, "the name of that entity; empty for none"),
            ),
            key=("side", "id"),
        ),
        Table("relation_names", RELATION_NAMES.fields, ("name",)),
        Table(
            "relations",
            (
                f.Field("head", f.pa.uint32(), "the row of the joined entity that it leads from"),
                f.Field("relation", f.pa.uint32(), "the row of its name"),
                f.Field("tail", f.pa.uint32(), "the row of the joined entity that it leads to"),
                f.Field("sides", f.pa.uint8(), "bits of the graphs that have it: 1 left, 2 right"),
            ),
            key=("head", "relation", "tail"),
        ),
        Table(
            "attributes",
            (
                f.Field("joined", f.pa.uint32(), "the row of a joined entity"),
                f.Field("key", f.STRING, "the name of an attribute", nonempty=True),
                f.Field("value", f.STRING, "its value as written"),
                f.Field("datatype", f.STRING, "the IRI of the type of its value; empty for text"),
                f.Field("language", f.STRING, "the tag of the language of its value, in lower case; empty for none"),
                f.Field("sides", f.pa.uint8(), "bits of the graphs that have it: 1 left, 2 right"),
                f.Field("kept", f.pa.bool_(), "whether the rule for conflicts keeps it"),
            ),
            key=("joined", "key", "value", "datatype", "language"),
        ),
        Table(
            "rules",
            (
                f.Field("attribute", f.STRING, "the name of an attribute", nonempty=True),
                f.Field("rule", f.STRING, "what is kept of several values", nonempty=True),
                f.Field("entities", f.pa.int64(), "number of joined entities with it"),
                f.Field("conflicts", f.pa.int64(), "number of those with several values in one language"),
            ),
            key=("attribute",),
        ),
    ),
    "the joined graph: entities under stable ids, every fact with the graphs that state it, and what conflicts decided",
)
REVIEW = Contract(
    "kg.review",
    1,
    (
        Table(
            "pairs",
            (
                f.Field("left", f.STRING, "the user's key of the left entity", nonempty=True),
                f.Field("right", f.STRING, "the user's key of the right entity", nonempty=True),
                f.Field("left_name", f.STRING, "its name and its attributes, shortened"),
                f.Field("right_name", f.STRING, "its name and its attributes, shortened"),
                _PROBABILITY,
                f.Field("accepted", f.pa.bool_(), "whether it is a match now"),
                f.Field("reason", f.STRING, "why it is doubtful", nonempty=True),
            ),
            key=("left", "right"),
            holds_keys=("left", "right"),
        ),
    ),
    "the pairs whose review helps most, the most doubtful first",
)
CHANGES = Contract(
    "kg.changes",
    1,
    (
        Table(
            "entities",
            (
                f.Field("before", f.pa.int64(), "the row of an entity in the earlier version; -1: it is new"),
                f.Field("changed", f.pa.bool_(), "whether it is new, or anything else is said of it"),
            ),
        ),
    ),
    "the entities of a graph beside those of an earlier version, a row per entity",
)
EVALUATION = Contract(
    "kg.evaluation",
    1,
    (_FIGURES,),
    "metrics of blocking, of the baseline, of the parts of the model and of the decisions on held-out pairs, by type",
)
ALIGNMENT = Contract(
    "kg.alignment", 1, (MEMBERS,), "a released alignment of two graphs, or of one: the artifacts that it consists of"
)

CONTRACTS = (
    GRAPH,
    LINKS,
    NEIGHBORHOODS,
    TERMS,
    VECTORS,
    INDEX,
    NEAREST,
    SHARED,
    CANDIDATES,
    RIVALS,
    STRUCTURE,
    FEATURES,
    MATCHER,
    MODEL,
    SCORES,
    LABELLED,
    CALIBRATION,
    MATCHES,
    CLUSTERS,
    CHANGES,
    JOINED,
    REVIEW,
    EVALUATION,
    ALIGNMENT,
)
