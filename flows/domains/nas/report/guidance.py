"""What edits of the chosen network would save, and what edits changed in the searches, as a report shows them."""

from dataclasses import dataclass

from fingerpost.schemas import nas
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.nas.advice import AdviceParams, advise
from fingerpost.tasks.nas.advice_text import advice_rows
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.costing import estimated_costs
from fingerpost.tasks.nas.open import read_patterns
from fingerpost.tasks.nas.patterns import Pattern
from fingerpost.tasks.nas.stages.latency_tables import read_latency

#: Rows of each table.
_ROWS = 8
#: The least fraction of the networks of fronts that have an edit which is called a pattern.
_OFTEN = 0.5


@dataclass(frozen=True)
class Advised:
    """Edits of the chosen network with the largest savings of latency, as rows of texts, and how many there are."""

    rows: list[tuple[str, ...]]
    count: int


def read_advice(store: Store, trained: Ref, latency: Ref, patterns: Ref) -> Advised:
    """The advice on the chosen network, by the patterns of this run."""
    text = store.open(trained, nas.TRAINED).read("architecture")["description"][0].as_py()
    estimator = read_latency(store, latency)
    known, params = read_patterns(store, patterns), AdviceParams(parallelism=estimator.parallelism)
    try:
        found = advise(Architecture.parse(text), estimated_costs(estimator), known, params=params)
    except ValueError as problem:
        raise FingerpostError(f"{latency}: {problem}") from problem
    return Advised(advice_rows(found[:_ROWS]), len(found))


def read_frequent(store: Store, patterns: Ref) -> list[Pattern]:
    """Edits that most networks of the fronts have, the fastest first."""
    found = [one for one in read_patterns(store, patterns) if one.measured and one.chosen >= _OFTEN]
    return sorted(found, key=lambda one: (one.latency_change, one.edit, one.part))[:_ROWS]
