"""What was measured of an alignment, as tables of the report: by method, and by type where there are several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fingerpost.schemas import kg
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

#: Display names of methods, in the order of the tables.
METHODS = {
    "baseline": "boosting on similarities (baseline)",
    "structure": "structure alone",
    "aligner": "neighbourhoods (aligner)",
    "scorer": "published scorer",
    "matches": "decisions",
}
#: Populations of pairs that are measured: setting, heading, what it is.
_PAIRS = (
    (
        "given",
        "Labelled test pairs",
        "Each method scores the test pairs as they are given; thresholds are chosen on validation pairs. Recall at precision is"
        " that at the precision of kg.evaluation.precision; decisions are what is published, one match for each entity at most"
        " unless kg.assignment says otherwise.",
    ),
    (
        "sampled",
        "Known matches and assumed others",
        "No pair is known to be of two entities: negatives were drawn from the most similar other pairs, so that these figures"
        " compare methods and promise nothing.",
    ),
    (
        "linked",
        "Candidates of entities with a known match",
        "All candidates of the entities of the test are scored; a match that is no candidate counts as missed.",
    ),
)
_PAIR_COLUMNS = (
    ("prauc", "PRAUC"),
    ("recall_at_precision", "recall at precision"),
    ("f1_best", "best F1"),
    ("f1", "F1"),
    ("precision", "precision"),
    ("recall", "recall"),
)
_RANKS = (
    (
        "all entities",
        "Ranks among all entities",
        "The place of the match of each left entity of the test among its candidates.",
    ),
    (
        "test entities",
        "Ranks among the entities of the test",
        "The same where only right entities of the test are candidates, as published figures have it.",
    ),
)
_RANK_COLUMNS = (("hits_at_1", "hits@1"), ("hits_at_10", "hits@10"), ("mrr", "MRR"))
#: Columns that count, and so have no best value.
_COUNTS = (("pairs", "pairs"), ("matches", "matches"))
#: Rows of types that a table shows.
_TYPES = 12


@dataclass(frozen=True)
class MeasuredRow:
    """A method's metrics on all pairs, or on those of a type."""

    method: str
    type: str
    metrics: Mapping[str, float]

    @property
    def name(self) -> str:
        """The display name of the method."""
        return METHODS.get(self.method, self.method.replace("_", " "))


@dataclass(frozen=True)
class MeasuredTable:
    """Methods on the same pairs. rows: those of all pairs before those of types. types: the number of types left out."""

    title: str
    about: str
    columns: Sequence[tuple[str, str]]
    counts: Sequence[tuple[str, str]]
    rows: Sequence[MeasuredRow]
    left_out: int = 0

    @property
    def has_types(self) -> bool:
        """Whether there are rows of types."""
        return any(row.type for row in self.rows)

    def best(self, row: MeasuredRow, metric: str) -> bool:
        """Whether a row has the highest value of a metric among several methods on the same pairs."""
        same = [one.metrics[metric] for one in self.rows if one.type == row.type and metric in one.metrics]
        return len(same) > 1 and row.metrics[metric] == max(same)


def read_measured(store: Store, ref: Ref) -> list[MeasuredTable]:
    """The tables of an evaluation; none where no pair was held out."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in store.open(ref, kg.EVALUATION).read("figures").to_pylist():
        found.setdefault((row["method"], row["setting"]), {})[row["metric"]] = row["value"]
    tables = [
        _measured(found, setting, title, about, columns, counts)
        for settings, columns, counts in ((_PAIRS, _PAIR_COLUMNS, _COUNTS), (_RANKS, _RANK_COLUMNS, ()))
        for setting, title, about in settings
    ]
    return [table for table in tables if table.rows]


def blocking_recall(store: Store, ref: Ref) -> dict[str, float]:
    """The share of the known matches of each split that are candidates."""
    rows = store.open(ref, kg.EVALUATION).read("figures").to_pylist()
    splits = ("training", "validation", "test")
    found = {row["setting"]: row["value"] for row in rows if (row["method"], row["metric"]) == ("blocking", "recall")}
    return {split: found[split] for split in splits if split in found}


def _measured(
    found: Mapping[tuple[str, str], Mapping[str, float]],
    setting: str,
    title: str,
    about: str,
    columns: Sequence[tuple[str, str]],
    counts: Sequence[tuple[str, str]],
) -> MeasuredTable:
    rows = [
        MeasuredRow(method, kind, metrics)
        for (method, name), metrics in found.items()
        if method in METHODS
        and (kind := _type_of(name, setting)) is not None
        and any(key in metrics for key, _ in columns)
    ]
    order = list(METHODS)
    sizes = {row.type: max(row.metrics.get("matches", 0.0), row.metrics.get("pairs", 0.0)) for row in rows}
    kinds = sorted((kind for kind in sizes if kind), key=lambda kind: (-sizes[kind], kind))
    shown = ["", *kinds[:_TYPES]]
    rows = sorted(
        (row for row in rows if row.type in shown), key=lambda row: (shown.index(row.type), order.index(row.method))
    )
    there, counted = (
        [(key, heading) for key, heading in some if any(key in row.metrics for row in rows)]
        for some in (columns, counts)
    )
    return MeasuredTable(title, about, there, counted, rows, max(len(kinds) - _TYPES, 0))


def _type_of(name: str, setting: str) -> str | None:
    """The type of a setting's name, empty for all pairs; None for another setting."""
    if name == setting:
        return ""
    return name.removeprefix(f"{setting} ") if name.startswith(f"{setting} ") else None
