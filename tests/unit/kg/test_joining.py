"""Joined facts and relations against an obvious account of each rule, and the rules one by one."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.tasks.kg.joining import (
    LEFT,
    RIGHT,
    Facts,
    JoiningParams,
    Rule,
    Sources,
    Stated,
    conflicts_by,
    joined_facts,
    joined_relations,
    names_of,
    packed,
)

LENGTHS = np.array([3, 5, 5, 2])
ENTITY = st.tuples(st.integers(0, 3), st.sampled_from([LEFT, RIGHT]), st.integers(-1, 2))


def sources_of(entities: list[tuple[int, int, int]]) -> Sources:
    joined, sides, dates = (np.array(column) for column in zip(*entities, strict=True))
    return Sources(joined, sides.astype(np.uint8), dates)


def stated_of(rows: list[tuple[int, int, int]]) -> Stated:
    return Stated(*(np.array([row[place] for row in rows], np.int64) for place in range(3)))


def rows_of(facts: Facts) -> list[tuple[int, int, int, int, bool, bool]]:
    columns = (facts.joined, facts.groups, facts.values, facts.sides, facts.kept, facts.conflicting)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def kept_by(rule: Rule, values: dict[int, list[tuple[int, int]]], *, one: bool) -> set[int]:
    """The values that a rule keeps, of values with the (side, date) of the entities that state them."""

    def is_left(value: int) -> bool:
        return any(side == LEFT for side, _ in values[value])

    if rule in (Rule.LEFT, Rule.RIGHT):
        of_side = {value for value, by in values.items() if any(side == int(rule) for side, _ in by)}
        best = of_side or set(values)
    elif rule == Rule.NEWEST:
        latest = max(date for by in values.values() for _, date in by)
        best = {value for value, by in values.items() if any(date == latest for _, date in by)}
        best = {value for value in best if is_left(value)} or best
    elif rule == Rule.LONGEST:
        best = {value for value in values if LENGTHS[value] == max(LENGTHS[other] for other in values)}
    elif rule == Rule.FREQUENT:
        best = {value for value, by in values.items() if len(by) == max(len(other) for other in values.values())}
    else:
        best = set(values)
    if one or rule in (Rule.LONGEST, Rule.FREQUENT):
        return {min(best, key=lambda value: (not is_left(value), value))}
    return best


@given(
    entities=st.lists(ENTITY, min_size=1, max_size=8),
    rows=st.sets(st.tuples(st.integers(0, 7), st.integers(0, 1), st.integers(0, 3)), max_size=25),
    rules=st.tuples(st.sampled_from(list(Rule)), st.sampled_from(list(Rule))),
    one=st.booleans(),
    random=st.randoms(use_true_random=False),
)
def test_facts_are_those_of_an_obvious_account(entities, rows, rules, one, random):  # type: ignore[no-untyped-def]
    rows = sorted(row for row in rows if row[0] < len(entities))
    random.shuffle(rows)
    found = joined_facts(
        stated_of(rows), sources_of(entities), rules=np.array(rules, np.uint8), lengths=LENGTHS, one=one
    )
    groups: dict[tuple[int, int], dict[int, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    for entity, group, value in rows:
        joined, side, date = entities[entity]
        groups[joined, group][value].append((side, date))
    wanted = []
    for (joined, group), values in sorted(groups.items()):
        kept = kept_by(rules[group], values, one=one)
        for value in sorted(values):
            sides = int(np.bitwise_or.reduce([side for side, _ in values[value]]))
            wanted.append((joined, group, value, sides, value in kept, len(values) > 1))
    assert rows_of(found) == wanted


@given(
    entities=st.lists(ENTITY, min_size=1, max_size=6),
    triples=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(0, 5)), max_size=20),
)
def test_relations_are_mapped_and_each_is_there_once(entities, triples):  # type: ignore[no-untyped-def]
    last = len(entities)
    # Relations are within a graph: of one side.
    triples = [row for row in triples if max(row[0], row[2]) < last and entities[row[0]][1] == entities[row[2]][1]]
    found = joined_relations(np.array(triples, np.int64).reshape(-1, 3), sources_of(entities))
    wanted: dict[tuple[int, int, int], int] = defaultdict(int)
    for head, relation, tail in triples:
        wanted[entities[head][0], relation, entities[tail][0]] |= entities[head][1]
    columns = (found.heads, found.relations, found.tails, found.sides)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == [
        (*key, wanted[key]) for key in sorted(wanted)
    ]


@given(st.lists(st.tuples(*[st.integers(0, 2**40)] * 4), min_size=1, max_size=10))
def test_packed_numbers_are_ordered_as_rows_are_though_they_overflow(rows: list[tuple[int, ...]]) -> None:
    keys = packed(*np.array(rows, np.int64).T).tolist()
    assert [rows[place] for place in np.argsort(keys, kind="stable")] == sorted(rows)
    assert len(set(keys)) == len(set(rows))


def test_a_name_is_one_value_and_none_where_there_is_none() -> None:
    sources = sources_of([(0, LEFT, -1), (0, LEFT, -1), (0, RIGHT, -1), (1, RIGHT, -1), (2, LEFT, -1)])
    stated = stated_of([(0, 0, 2), (1, 0, 1), (2, 0, 0), (3, 0, 3)])
    facts = joined_facts(stated, sources, rules=np.array([Rule.LEFT], np.uint8), lengths=LENGTHS, one=True)
    assert names_of(facts, count=3).tolist() == [1, 3, -1]


def test_conflicts_count_an_entity_once_for_all_languages() -> None:
    sources = sources_of([(0, LEFT, -1), (0, RIGHT, -1), (1, LEFT, -1)])
    # Groups 0 and 1 are languages of attribute 0, group 2 is attribute 1.
    stated = stated_of([(0, 0, 0), (1, 0, 1), (0, 1, 0), (1, 1, 1), (2, 0, 0), (2, 2, 0)])
    facts = joined_facts(stated, sources, rules=np.zeros(3, np.uint8), lengths=LENGTHS)
    assert conflicts_by([0, 0, 1], facts, count=2).tolist() == [[2, 1], [1, 0]]


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"rules": {"price": "lowest"}}, r"rules\.price: expected one of all, left, .*'lowest'"),
        ({"otherwise": ""}, "otherwise: expected one of"),
        ({"names": "all"}, "names: expected one of left, right, newest"),
        ({"rules": {"price": "newest"}}, r"rules\.price: expected an attribute with dates"),
    ],
)
def test_rules_that_cannot_be_followed_are_refused(params: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        JoiningParams(**params)  # type: ignore[arg-type]
    assert JoiningParams({"price": "newest"}, dated="modified").rule_of("price") is Rule.NEWEST
    assert JoiningParams({"price": "longest"}).rule_of("title") is Rule.ALL
