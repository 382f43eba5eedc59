"""The pictures on the pages in Prefect's UI: of days, and of lineage."""

import re
import xml.etree.ElementTree
from collections import Counter
from collections.abc import Sequence
from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.flows.run import calendar_picture, lineage_picture
from fingerpost.flows.run.calendar import days_between
from fingerpost.flows.run.calendar_picture import WEEKDAYS
from fingerpost.flows.run.day_states import STATES
from fingerpost.flows.run.lineage import Lineage, Node, direct_inputs
from fingerpost.flows.run.lineage_picture import ACROSS, BOX, GAP, LANE, alternative, folded, layout

#: Pixels that a window of 1,200 pixels leaves for a picture.
NARROWEST = 860


def texts_of(svg: str) -> list[tuple[str, float, float]]:
    """The texts of a picture and where they stand."""
    found = xml.etree.ElementTree.fromstring(svg).iter()
    return [
        (element.text or "", float(element.get("x", 0)), float(element.get("y", 0)))
        for element in found
        if element.tag.endswith("text")
    ]


def width_of(svg: str) -> float:
    return float(xml.etree.ElementTree.fromstring(svg).get("width", 0))


def test_each_day_has_a_square_under_its_weekday_with_the_sign_of_its_state() -> None:
    days = days_between("2025-12-30", "2026-03-02")
    states = {day: list(STATES)[number % len(STATES)] for number, day in enumerate(days)}
    svg = calendar_picture.as_svg(states)
    texts = texts_of(svg)
    assert [name for name, *_ in texts if re.fullmatch(r"\d{4}-\d\d", name)] == [
        "2025-12",
        "2026-01",
        "2026-02",
        "2026-03",
    ]
    weekdays = {x: name for name, x, _ in texts if name in WEEKDAYS}
    numbers = [(name, x, y) for name, x, y in texts if name.isdigit()]
    assert [int(name) for name, *_ in numbers] == [int(day[8:]) for day in days]
    for day, (_, x, y) in zip(days, numbers, strict=True):
        assert weekdays[x] == WEEKDAYS[date.fromisoformat(day).weekday()]
        assert [name for name, left, top in texts if left == x and 0 < top - y < 20] == [STATES[states[day]][0]]
    counts = {f"{count} {state}" for state, count in Counter(states.values()).items()}
    assert counts <= {name for name, *_ in texts}
    assert width_of(svg) <= NARROWEST


@pytest.mark.parametrize("states", [{}, {"2026-01-02": "fresh"}])
def test_few_days_make_a_picture_too(states: dict[str, str]) -> None:
    assert [name for name, *_ in texts_of(calendar_picture.as_svg(states)) if name.isdigit()] == ["2"][: len(states)]


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    """Nodes with some of those before them as inputs."""
    nodes: list[Node] = []
    for number in range(draw(st.integers(1, 14))):
        chosen = draw(st.lists(st.integers(0, number - 1), max_size=4, unique=True)) if number else []
        inputs = {str(role): f"k{other}" for role, other in enumerate(chosen)}
        nodes.append(Node(f"k{number}", f"part.{number}", "2026-01-05" if inputs else "", inputs=inputs))
    return nodes


@given(graphs(), st.integers(1, ACROSS))
@settings(max_examples=60)
def test_every_arrow_leads_down_to_its_node_and_nothing_lies_upon_another(nodes: Sequence[Node], across: int) -> None:
    arrows = [(source, key) for key, source in direct_inputs(nodes)]
    found = layout([node.key for node in nodes], arrows, across=across)
    drawn = {(source[0], target[0]) for _, source, target in found.steps if not target[1]}
    assert drawn == set(arrows)
    for number, source, target in found.steps:
        assert source in found.layers[number]
        assert target in found.layers[number + 1]
    assert sorted(item[0] for items in found.layers for item in items if not item[1]) == sorted(n.key for n in nodes)
    for number, items in enumerate(found.layers):
        assert sum(not item[1] for item in items) <= across
        sizes = [LANE if item[1] else BOX for item in items]
        middles = [found.middles[number, item] for item in items]
        for (left, right), (a, b) in zip(pairwise(middles), pairwise(sizes), strict=True):
            assert right - left >= (a + b) / 2 + GAP * (max(a, b) == BOX) - 1e-6
        assert middles[0] - sizes[0] / 2 >= -1e-6
        assert middles[-1] + sizes[-1] / 2 <= found.width + 1e-6


def month_of_files() -> Lineage:
    """An index over the files of thirty days, each imported by itself."""
    days = days_between("2026-01-01", "2026-01-30")
    files = [Node(f"f{day}", f"drop-{day}.csv", quality={"digest": "0123456789ab"}) for day in days]
    imports = [
        Node(f"i{day}", "corpus.import", day, "reused", rows={"documents": 10}, inputs={"source": f"f{day}"})
        for day in days
    ]
    merged = Node(
        "m",
        "corpus.documents",
        days[-1],
        "computed",
        rows={"documents": 1},
        inputs={f"d{day}": f"i{day}" for day in days},
    )
    index = Node("x", "ann.index<b>", days[-1], "computed", inputs={"documents": "m"})
    nodes = [node for pair in zip(files, imports, strict=True) for node in pair]
    return Lineage("x", "run", ("toys/ann.index, generation 3",), (*nodes, merged, index))


def test_the_files_of_many_days_are_one_box() -> None:
    shown = folded(month_of_files())
    assert [node.title for node in shown.nodes] == [
        "30 inputs",
        "30 × corpus.import",
        "corpus.documents",
        "ann.index<b>",
    ]
    assert list(direct_inputs(shown.nodes)) == [
        (shown.nodes[1].key, shown.nodes[0].key),
        ("m", shown.nodes[1].key),
        ("x", "m"),
    ]


def test_the_picture_of_lineage_names_each_node_its_rows_its_state_and_what_is_live() -> None:
    svg = lineage_picture.as_svg(month_of_files())
    assert [text for text, *_ in texts_of(svg)] == [
        *("30 inputs", "drop-2026-01-01.csv …"),
        *("30 × corpus.import", "300 rows, reused"),
        *("corpus.documents", "1 row, computed"),
        *("ann.index<b>", "computed"),
        *("toys/ann.index", "live, generation 3"),
    ]
    assert width_of(svg) <= NARROWEST
    assert alternative(month_of_files()).startswith(
        "x: 32 artifacts, made from drop-2026-01-01.csv, drop-2026-01-02.csv"
    )


def test_a_wide_lineage_stays_narrow_enough_to_be_read() -> None:
    sources = [Node(f"k{n}", f"corpus.part_{n}", "2026-01-05", rows={"rows": n}) for n in range(12)]
    merged = Node("m", "ann.index", "2026-01-05", inputs={str(n): f"k{n}" for n in range(12)})
    assert width_of(lineage_picture.as_svg(Lineage("m", "", (), (*sources, merged)))) <= NARROWEST
