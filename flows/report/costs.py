"""What the parts of a product take: their size in the store, and the time in which they were computed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fingerpost.schemas.figures import significant
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import Estimate


@dataclass(frozen=True)
class PartCost:
    """Bytes and seconds of some artifacts of a run; the seconds of a reused artifact are those of its computation."""

    title: str
    bytes: int
    seconds: float

    @property
    def megabytes(self) -> str:
        """The size in MB, with two digits where it is small."""
        size = self.bytes / 1e6
        return f"{size:,.0f}" if size >= 10 else significant(size, 2)


def part_costs(store: Store, record: Mapping[str, Any], parts: Mapping[str, Sequence[str]]) -> list[PartCost]:
    """The cost of each part, by title and the names of its stages; parts that the run has nothing of are left out."""
    costs = []
    for title, stages in parts.items():
        refs = [stage["ref"] for stage in record["stages"] if stage["stage"] in stages and not stage.get("part")]
        known = [cost for ref in dict.fromkeys(refs) if (cost := Estimate.of(store.manifest(Ref.parse(ref))))]
        if known:
            costs.append(PartCost(title, sum(cost.bytes for cost in known), sum(cost.seconds for cost in known)))
    return costs
