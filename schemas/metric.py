"""The contracts of the metric domain: rows by class, counts of pairs, their histograms, and the assessment of a threshold."""

from schemas import fields as f
from schemas.contract import Contract, Table
from schemas.matrices import dense_table, tensor_table

_CLASS = f.Field("name", f.STRING, "the name of a class", nonempty=True)
_NAMES = Table("names", (_CLASS,), key=("name",))


def _count(name: str, about: str) -> f.Field:
    return f.Field(name, f.pa.int64(), about)


def _share(name: str, about: str) -> f.Field:
    return f.Field(name, f.pa.float64(), about, nullable=True, finite=True)


def _number(name: str, about: str) -> f.Field:
    return f.Field(name, f.pa.float64(), about, finite=True)


ROWS = Contract(
    "metric.rows",
    1,
    (_NAMES, tensor_table("order"), tensor_table("bins"), dense_table("rows")),
    "embeddings sorted by class as pairs are scored, one file a group of rows; their classes as numbers and their rows in "
    "the input; the bins of scores",
)
PAIR_COUNTS = Contract(
    "metric.pair_counts",
    1,
    (tensor_table("counts"),),
    "how many pairs score what by class, one file a pair of groups of rows",
)
HISTOGRAMS = Contract(
    "metric.histograms",
    1,
    (_NAMES, tensor_table("bins"), tensor_table("histograms")),
    "how many positive and negative pairs of each class score what",
)
ASSESSMENT = Contract(
    "metric.assessment",
    1,
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
        tensor_table("curves"),
    ),
    "OPIS, the threshold chosen on validation classes, and what test classes get by it; utility along thresholds by class",
)
RETRIEVAL = Contract(
    "metric.retrieval",
    1,
    (Table("figures", (f.METHOD, f.SETTING, f.METRIC, f.FIGURE), key=("method", "setting", "metric")),),
    "how well rows find those of their own class: recall@1 and mAP@R",
)
THRESHOLD = Contract(
    "metric.threshold",
    1,
    (
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
        Table("canaries", (f.ID, f.VECTOR), key=("id",), compression="none"),
    ),
    "one threshold for all classes, the model that it holds for, and a few of that model's vectors to tell it by",
)

CONTRACTS = (ROWS, PAIR_COUNTS, HISTOGRAMS, ASSESSMENT, RETRIEVAL, THRESHOLD)
