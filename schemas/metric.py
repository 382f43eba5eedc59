"""The contracts of the metric domain: labelled rows, pair counts and histograms, thresholds, and trained embedders."""

from fingerpost.schemas import fields as f
from fingerpost.schemas.contract import Contract, Table
from fingerpost.schemas.matrices import dense_table, tensor_table
from fingerpost.schemas.releases import MEMBERS

_CLASS = f.Field("name", f.STRING, "the name of a class", nonempty=True)
_NAMES = Table("names", (_CLASS,), key=("name",))
_GROUP = f.Field("name", f.STRING, "the name of a group of classes", nonempty=True)
#: Not written if no class is in a group.
_GROUPS = Table("groups", (_CLASS, f.GROUP), key=("name",))


def _count(name: str, about: str) -> f.Field:
    return f.Field(name, f.pa.int64(), about)


def _share(name: str, about: str) -> f.Field:
    return f.Field(name, f.pa.float64(), about, nullable=True, finite=True)


def _number(name: str, about: str) -> f.Field:
    return f.Field(name, f.pa.float64(), about, finite=True)


EMBEDDINGS = Contract(
    "metric.embeddings",
    1,
    (Table("embeddings", (f.ID, f.LABEL, f.GROUP, f.VECTOR), key=("id",), compression="none"),),
    "the accepted rows of a file of labelled embeddings, in its order, one file per shard",
)
DAILY_EMBEDDINGS = Contract(
    "metric.daily_embeddings",
    1,
    (*EMBEDDINGS.tables, Table("deleted", (f.ID,), key=("id",))),
    "the accepted rows of one day's file of labelled embeddings, and the ids that it marks as deleted",
)
IMAGES = Contract(
    "metric.images",
    1,
    (Table("images", (f.ID, f.LABEL, f.PIXELS), key=("id",)),),
    "the accepted images of an input with their labels, in its order, one file per shard",
)
VECTORS = Contract(
    "metric.vectors",
    1,
    (dense_table("vectors"),),
    "one dense row per embedding or image: imported, or computed by a trained embedder",
)
ROWS = Contract(
    "metric.rows",
    2,
    (_NAMES, _GROUPS, tensor_table("order"), tensor_table("bins"), dense_table("rows")),
    "embeddings sorted by class and prepared for the measure, one file per group of rows; their class indices and their"
    " rows in the input; the bins of scores",
)
PAIR_COUNTS = Contract(
    "metric.pair_counts",
    1,
    (tensor_table("counts"),),
    "score histograms of pairs by class, one file per pair of row groups",
)
HISTOGRAMS = Contract(
    "metric.histograms",
    2,
    (_NAMES, _GROUPS, tensor_table("bins"), tensor_table("histograms")),
    "score histograms of the positive and negative pairs of each class, and of pairs between sampled classes",
)
ASSESSMENT = Contract(
    "metric.assessment",
    2,
    (
        Table("figures", (f.METHOD, f.SETTING, f.METRIC, f.FIGURE), key=("method", "setting", "metric")),
        Table(
            "classes",
            (
                _CLASS,
                _count("positives", "pairs inside the class"),
                _count("negatives", "pairs with one end in it"),
                _share("far", "fraction of its negative pairs accepted at the threshold; null without any"),
                _share("frr", "fraction of its positive pairs rejected at the threshold; null without any"),
                _share("utility", "mean utility over the calibration range; null without pairs of either kind"),
                f.Field(
                    "role",
                    f.STRING,
                    "worst: a worst class of ε-OPIS; few: too few pairs to count; else empty",
                ),
            ),
            key=("name",),
        ),
        Table(
            "groups",
            (
                _GROUP,
                _count("classes", "validation classes with pairs of the target's kind"),
                _share("threshold", "the group's own threshold; null with too few of these classes"),
                _share("low", "lower end of its interval"),
                _share("high", "upper end of its interval"),
                _share("rate", "the target's rate of these classes at the global threshold"),
                f.Field("worth", f.pa.bool_(), "whether its interval excludes the global threshold"),
                _count("test_classes", "its classes that neither threshold was chosen on"),
                _share("test_rate", "the target's rate of these at the global threshold"),
                _share("own_test_rate", "the same at the group's own"),
            ),
            key=("name",),
        ),
        tensor_table("curves"),
    ),
    "OPIS, the threshold chosen on validation classes, and the rates of test classes at it; utility curves by class;"
    " thresholds of groups of classes, if there are groups",
)
RETRIEVAL = Contract(
    "metric.retrieval",
    1,
    (Table("figures", (f.METHOD, f.SETTING, f.METRIC, f.FIGURE), key=("method", "setting", "metric")),),
    "retrieval of rows of the same class: recall@1 and mAP@R",
)
THRESHOLD = Contract(
    "metric.threshold",
    3,
    (
        MEMBERS,
        Table(
            "threshold",
            (
                _number("threshold", "a minimum similarity, or a maximum distance"),
                _number("low", "lower end of its interval"),
                _number("high", "upper end of its interval"),
                f.Field("measure", f.STRING, "cosine or euclidean", nonempty=True),
                f.Field("rate", f.STRING, "the rate that it keeps: far or frr", nonempty=True),
                _number("share", "the target value of that rate"),
                f.Field("model", f.STRING, "the identity of the embedding model that it holds for", nonempty=True),
            ),
        ),
        Table(
            "groups",
            (
                _GROUP,
                _number("threshold", "its own threshold"),
                _number("low", "lower end of its interval"),
                _number("high", "upper end of its interval"),
            ),
            key=("name",),
        ),
        Table("canaries", (f.ID, f.VECTOR), key=("id",), compression="none"),
    ),
    "one threshold for all classes, those of groups that need their own, the model that it holds for, a few of that"
    " model's vectors to identify it, and the artifacts that it was chosen and tested on",
)
_TRIED = (
    _share("positive_margin", "m⁺ of TCM; null without TCM"),
    _share("negative_margin", "m⁻ of TCM; null without TCM"),
    _share("weight", "of either term of TCM; null without TCM"),
)
_JUDGED = (
    _number("opis", "OPIS over the calibration range of validation classes"),
    _number("worst_opis", "ε-OPIS: of the classes with the lowest utility against the others"),
    _number("frr", "at the threshold of the target on validation classes"),
    _number("recall_at_1", "on validation classes"),
    _number("map_at_r", "on validation classes"),
)
_CHECKS = Table(
    "checks",
    (
        _count("embedder", "its index"),
        _count("step", "steps done"),
        _number("loss", "mean over the steps since the previous check"),
        _number("map_at_r", "on validation classes"),
        _number("recall_at_1", "on validation classes"),
    ),
    key=("embedder", "step"),
)
MARGINS = Contract(
    "metric.margins",
    1,
    (
        Table(
            "trials",
            (
                _count("place", "0: without TCM"),
                *_TRIED,
                *_JUDGED,
                f.Field(
                    "role",
                    f.STRING,
                    "chosen: used to train; will do: keeps recall and FRR, lowers OPIS; else empty",
                ),
            ),
            key=("place",),
        ),
        _CHECKS,
    ),
    "margins of TCM tried by short training runs, their metrics on validation classes, and the selected ones",
)
EMBEDDERS = Contract(
    "metric.embedders",
    1,
    (
        Table(
            "embedders",
            (
                _count("place", "its index, and the shard of its weights"),
                _count("seed", "the seed of its training"),
                *_TRIED,
                _count("step", "the step of its weights"),
                _count("steps", "number of steps trained"),
            ),
            key=("place",),
        ),
        tensor_table("shape"),
        tensor_table("weights"),
        _CHECKS,
    ),
    "embedding networks trained with and without TCM, one file of weights each; the shape of one input",
)
COMPARISON = Contract(
    "metric.comparison",
    1,
    (
        Table(
            "validation",
            (
                _count("embedder", "its index"),
                *_JUDGED,
                f.Field("role", f.STRING, "taken: selected to compute the embeddings; else empty"),
            ),
            key=("embedder",),
        ),
        Table("figures", (f.METHOD, f.SETTING, f.METRIC, f.FIGURE), key=("method", "setting", "metric")),
        tensor_table("curves"),
    ),
    "embedders on validation classes and on test classes, and the selected one; utility curves by class",
)

CONTRACTS = (
    DAILY_EMBEDDINGS,
    EMBEDDINGS,
    IMAGES,
    VECTORS,
    ROWS,
    PAIR_COUNTS,
    HISTOGRAMS,
    ASSESSMENT,
    RETRIEVAL,
    MARGINS,
    EMBEDDERS,
    COMPARISON,
    THRESHOLD,
)
