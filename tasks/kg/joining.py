"""Two graphs as one: what the entities of a joined entity state, each fact once, and which of conflicting values are kept.

Everything is a number here: a fact is stated by an entity, and texts are numbered in the order of their bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

#: The bits of the graphs that state a fact.
LEFT, RIGHT = 1, 2


class Rule(IntEnum):
    """What is kept of several values that a joined entity has of one attribute (and one language).

    ALL: every value. LEFT, RIGHT: those of that graph, or of the other where it has none. NEWEST: those of the entities
    with the latest date; of equal dates the left one's. LONGEST: one value, the longest. FREQUENT: one value, that of most
    entities. Of equal ones the left graph's is kept, then the first in the order of bytes.
    """

    ALL = 0
    LEFT = 1
    RIGHT = 2
    NEWEST = 3
    LONGEST = 4
    FREQUENT = 5


#: Rules by the names that settings give them.
RULES = {
    "all": Rule.ALL,
    "left": Rule.LEFT,
    "right": Rule.RIGHT,
    "newest": Rule.NEWEST,
    "longest": Rule.LONGEST,
    "most frequent": Rule.FREQUENT,
}
_ONE_VALUE = (Rule.LONGEST, Rule.FREQUENT)


@dataclass(frozen=True)
class JoiningParams:
    """Which values are kept where those of a joined entity differ.

    rules: rule for conflicting values of an attribute, by its name: all, left, right, newest, longest or most
        frequent.
    otherwise: rule for all other attributes.
    names: rule for the name, of which one is kept ("all" is none of its rules).
    dated: the attribute with the date of an entity, for "newest"; dates compare as texts, as those of ISO 8601 do.

    ValueError for an unknown rule, and for "newest" without dates.
    """

    rules: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = "all"
    names: str = "left"
    dated: str = ""

    def __post_init__(self) -> None:
        given = {"otherwise": self.otherwise, "names": self.names} | {
            f"rules.{key}": r for key, r in self.rules.items()
        }
        for where, rule in given.items():
            allowed = [name for name in RULES if where != "names" or name != "all"]
            if rule not in allowed:
                raise ValueError(f"{where}: expected one of {', '.join(allowed)}, got {rule!r}; choose one of these")
            if rule == "newest" and not self.dated:
                raise ValueError(
                    f"{where}: expected an attribute with dates for the rule newest, got none; name it as dated"
                )

    def rule_of(self, attribute: str) -> Rule:
        """The rule of an attribute."""
        return RULES[self.rules.get(attribute, self.otherwise)]


@dataclass(frozen=True)
class Sources:
    """The entities that are joined, those of the left graph before those of the right one.

    joined: int64 (n,), the joined entity of each. sides: uint8 (n,), LEFT or RIGHT. dates: int64 (n,), larger for later,
    -1 for none.
    """

    joined: NDArray[np.int64]
    sides: NDArray[np.uint8]
    dates: NDArray[np.int64]


@dataclass(frozen=True)
class Stated:
    """Values as stated, a row per entity and value, in any order; an entity states a value once.

    owners: int64 (m,), rows of `Sources`. groups: int64 (m,), numbers of what is stated: an attribute and a language.
    values: int64 (m,), numbers of values, datatypes among them.
    """

    owners: NDArray[np.int64]
    groups: NDArray[np.int64]
    values: NDArray[np.int64]


@dataclass(frozen=True)
class Facts:
    """Distinct facts, sorted by joined entity, group and value.

    joined, groups, values: int64 (f,). sides: uint8 (f,), the graphs that state it. kept: bool (f,). conflicting: bool
    (f,), whether the joined entity has another value of the group.
    """

    joined: NDArray[np.int64]
    groups: NDArray[np.int64]
    values: NDArray[np.int64]
    sides: NDArray[np.uint8]
    kept: NDArray[np.bool_]
    conflicting: NDArray[np.bool_]


def joined_facts(
    stated: Stated, sources: Sources, *, rules: NDArray[np.uint8], lengths: NDArray[np.int64], one: bool = False
) -> Facts:
    """The facts of joined entities.

    rules: uint8 (groups,), the `Rule` of each group. lengths: int64 (values,), characters of each value. one: keep one
    value of every group, the first by its rule.
    """
    joined = sources.joined[stated.owners]
    keys = packed(joined, stated.groups, stated.values)
    order = np.argsort(keys, kind="stable")
    firsts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    if not len(firsts):
        none = np.empty(0, np.int64)
        return Facts(none, none, none, none.astype(np.uint8), none.astype(bool), none.astype(bool))
    owners, first = stated.owners[order], order[firsts]
    sides = np.bitwise_or.reduceat(sources.sides[owners], firsts)
    of, groups, values = joined[first], stated.groups[first], stated.values[first]
    statements = np.diff(np.append(firsts, len(owners)))
    dates = np.maximum.reduceat(sources.dates[owners], firsts)
    merits = _merits(rules[groups], sides, statements, dates, lengths[values])
    begins = np.flatnonzero(np.diff(packed(of, groups), prepend=-1))
    kept = _kept(merits, sides, begins, single=one | np.isin(rules[groups], _ONE_VALUE))
    several = np.diff(np.append(begins, len(of))) > 1
    return Facts(of, groups, values, sides, kept, np.repeat(several, np.diff(np.append(begins, len(of)))))


def _merits(
    rules: NDArray[np.uint8],
    sides: NDArray[np.uint8],
    statements: NDArray[np.int64],
    dates: NDArray[np.int64],
    lengths: NDArray[np.int64],
) -> NDArray[np.int64]:
    """What each rule ranks values by; larger is better."""
    is_left, is_right = ((sides & side > 0).astype(np.int64) for side in (LEFT, RIGHT))
    merits = np.zeros(len(rules), np.int64)
    for rule, ranking in (
        (Rule.LEFT, is_left),
        (Rule.RIGHT, is_right),
        (Rule.NEWEST, 2 * dates + is_left),
        (Rule.LONGEST, lengths),
        (Rule.FREQUENT, statements),
    ):
        merits = np.where(rules == rule, ranking, merits)
    return merits


def _kept(
    merits: NDArray[np.int64], sides: NDArray[np.uint8], begins: NDArray[np.int64], *, single: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which facts are the best of their group; one of them where ``single`` says so, the left graph's, then the first."""
    sizes = np.diff(np.append(begins, len(merits)))
    best = merits == np.repeat(np.maximum.reduceat(merits, begins), sizes)
    # Among the best of a group: those of the left graph before others, and then in their order.
    place = np.arange(len(merits)) + np.where(sides & LEFT, 0, len(merits))
    place = np.where(best, place, 2 * len(merits))
    return best & (~single | (place == np.repeat(np.minimum.reduceat(place, begins), sizes)))


@dataclass(frozen=True)
class JoinedRelations:
    """Distinct relations between joined entities, sorted: int64 (r,) each, and the graphs that state them, uint8 (r,)."""

    heads: NDArray[np.int64]
    relations: NDArray[np.int64]
    tails: NDArray[np.int64]
    sides: NDArray[np.uint8]


def joined_relations(triples: NDArray[np.int64], sources: Sources) -> JoinedRelations:
    """The relations of both graphs between joined entities.

    triples: int64 (t, 3): head and tail as rows of `Sources`, and the number of the relation. A relation between two
    entities of one joined entity leads from it to itself.
    """
    heads, tails = sources.joined[triples[:, 0]], sources.joined[triples[:, 2]]
    keys = packed(heads, triples[:, 1], tails)
    order = np.argsort(keys, kind="stable")
    firsts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    first = order[firsts]
    sides = sources.sides[triples[order, 0]]
    found = np.bitwise_or.reduceat(sides, firsts) if len(firsts) else sides
    return JoinedRelations(heads[first], triples[first, 1], tails[first], found)


def packed(*columns: NDArray[np.integer]) -> NDArray[np.int64]:
    """int64 (n,): numbers that are equal and ordered as the rows of columns of numbers from 0 are, the first column first."""
    keys, size = np.zeros(len(columns[0]), np.int64), 1
    for column in columns:
        width = int(column.max(initial=0)) + 1
        if size * width >= 2**62:  # too many for 64 bits: only those that occur are numbered
            known, keys = np.unique(keys, return_inverse=True)
            size = max(len(known), 1)
        keys, size = keys * width + column, size * width
    return keys


def names_of(facts: Facts, *, count: int) -> NDArray[np.int64]:
    """int64 (count,): the value that is kept of each joined entity, of facts of one group; -1 for none."""
    found = np.full(count, -1, np.int64)
    found[facts.joined[facts.kept]] = facts.values[facts.kept]
    return found


def conflicts_by(attributes: Sequence[int] | NDArray[np.int64], facts: Facts, *, count: int) -> NDArray[np.int64]:
    """int64 (count, 2): of each attribute the joined entities that have it, and those with several values of it.

    attributes: the attribute of each group. Entities with values of several languages count once.
    """
    of = np.asarray(attributes, dtype=np.int64)[facts.groups]
    rows = []
    for chosen in (np.ones(len(of), bool), facts.conflicting):
        pairs = np.unique(packed(of[chosen], facts.joined[chosen]), return_index=True)[1]
        rows.append(np.bincount(of[chosen][pairs], minlength=count))
    return np.stack(rows, axis=1).astype(np.int64)
