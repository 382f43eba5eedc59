"""The contracts of the metric domain: rows by class, counts of pairs, their histograms, the assessment of a threshold, and
embedders trained for one.
"""

from schemas import fields as f
from schemas.contract import Contract, Table
from schemas.matrices import dense_table, tensor_table
from schemas.releases import MEMBERS

_CLASS = f.Field("name", f.STRING, "the name of a class", nonempty=True)
_NAMES = Table("names", (_CLASS,), key=("name",))
_GROUP = f.Field("name", f.STRING, "the name of a group of classes", nonempty=True)
#: Not written where no class is in a group.
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
    "the accepted rows of a file of labelled embeddings, in its order, one file a shard",
)
IMAGES = Contract(
    "metric.images",
    1,
    (Table("images", (f.ID, f.LABEL, f.PIXELS), key=("id",)),),
    "the accepted images of an input with their labels, in its order, one file a shard",
)
VECTORS = Contract(
    "metric.vectors",
    1,
    (dense_table("vectors"),),
    "one dense row an embedding or image: as it was given, or as a trained embedder makes it",
)
ROWS = Contract(
    "metric.rows",
    2,
    (_NAMES, _GROUPS, tensor_table("order"), tensor_table("bins"), dense_table("rows")),
    "embeddings sorted by class as pairs are scored, one file a group of rows; their classes as numbers and their rows"
    " in the input; the bins of scores",
)
PAIR_COUNTS = Contract(
    "metric.pair_counts",
    1,
    (tensor_table("counts"),),
    "how many pairs score what by class, one file a pair of groups of rows",
)
HISTOGRAMS = Contract(
    "metric.histograms",
    2,
    (_NAMES, _GROUPS, tensor_table("bins"), tensor_table("histograms")),
    "how many positive and negative pairs of each class score what, and pairs between each two of some drawn classes",
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
                _share("far", "share of its negative pairs accepted at the threshold; null without any"),
                _share("frr", "share of its positive pairs rejected at the threshold; null without any"),
                _share("utility", "mean utility over the calibration range; null without pairs of either kind"),
                f.Field(
                    "role", f.STRING, "worst: set apart by the worst share; few: too few pairs to count; else empty"
                ),
            ),
            key=("name",),
        ),
        Table(
            "groups",
            (
                _GROUP,
                _count("classes", "validation classes with pairs of the target's kind"),
                _share("threshold", "what the group needs for itself; null with too few of these classes"),
                _share("low", "lower end of its interval"),
                _share("high", "upper end of its interval"),
                _share("rate", "the target's rate of these classes at the global threshold"),
                f.Field("worth", f.pa.bool_(), "whether its interval does not hold the global threshold"),
                _count("test_classes", "classes of it that neither threshold was chosen on"),
                _share("test_rate", "the target's rate of these at the global threshold"),
                _share("own_test_rate", "the same at the group's own"),
            ),
            key=("name",),
        ),
        tensor_table("curves"),
    ),
    "OPIS, the threshold chosen on validation classes, and what test classes get by it; utility along thresholds by"
    " class; where classes are in groups, what each group needs",
)
RETRIEVAL = Contract(
    "metric.retrieval",
    1,
    (Table("figures", (f.METHOD, f.SETTING, f.METRIC, f.FIGURE), key=("method", "setting", "metric")),),
    "how well rows find those of their own class: recall@1 and mAP@R",
)
THRESHOLD = Contract(
    "metric.threshold",
    3,
    (
        MEMBERS,
        Table(
            "threshold",
            (
                _number("threshold", "a least similarity, or a largest distance"),
                _number("low", "lower end of its interval"),
                _number("high", "upper end of its interval"),
                f.Field("measure", f.STRING, "cosine or euclidean", nonempty=True),
                f.Field("rate", f.STRING, "the rate that it keeps: far or frr", nonempty=True),
                _number("share", "what that rate is to be"),
                f.Field("model", f.STRING, "the identity of the embedding model that it holds for", nonempty=True),
            ),
        ),
        Table(
            "groups",
            (
                _GROUP,
                _number("threshold", "its own, where one is worth it"),
                _number("low", "lower end of its interval"),
                _number("high", "upper end of its interval"),
            ),
            key=("name",),
        ),
        Table("canaries", (f.ID, f.VECTOR), key=("id",), compression="none"),
    ),
    "one threshold for all classes, those of groups that need their own, the model that it holds for, a few of that"
    " model's vectors to tell it by, and the artifacts that it was chosen and tested on",
)
_TRIED = (
    _share("positive_margin", "m⁺ of TCM; null without TCM"),
    _share("negative_margin", "m⁻ of TCM; null without TCM"),
    _share("weight", "of either term of TCM; null without TCM"),
)
_JUDGED = (
    _number("opis", "OPIS over the calibration range of validation classes"),
    _number("worst_opis", "of the classes with the lowest utility against the others"),
    _number("frr", "at the threshold of the target on validation classes"),
    _number("recall_at_1", "on validation classes"),
    _number("map_at_r", "on validation classes"),
)
_CHECKS = Table(
    "checks",
    (
        _count("embedder", "its place"),
        _count("step", "steps done"),
        _number("loss", "mean over the steps since the check before"),
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
                    "role", f.STRING, "chosen: trained with; will do: keeps recall and FRR, lowers OPIS; else empty"
                ),
            ),
            key=("place",),
        ),
        _CHECKS,
    ),
    "margins of TCM tried by short trainings, what they gave on validation classes, and which are chosen",
)
EMBEDDERS = Contract(
    "metric.embedders",
    1,
    (
        Table(
            "embedders",
            (
                _count("place", "of its weights: the shard"),
                _count("seed", "that it was trained with"),
                *_TRIED,
                _count("step", "of the kept weights"),
                _count("steps", "that were done"),
            ),
            key=("place",),
        ),
        tensor_table("shape"),
        tensor_table("weights"),
        _CHECKS,
    ),
    "networks that make embeddings, trained with and without TCM, one file of weights each; the shape of one input",
)
COMPARISON = Contract(
    "metric.comparison",
    1,
    (
        Table(
            "validation",
            (
                _count("embedder", "its place"),
                *_JUDGED,
                f.Field("role", f.STRING, "taken: makes the embeddings; else empty"),
            ),
            key=("embedder",),
        ),
        Table("figures", (f.METHOD, f.SETTING, f.METRIC, f.FIGURE), key=("method", "setting", "metric")),
        tensor_table("curves"),
    ),
    "embedders on validation classes and on test classes, and which one is taken; utility along thresholds by class",
)

CONTRACTS = (
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
