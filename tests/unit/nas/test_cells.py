"""Cells of NAS-Bench-201: text, live edges, canonical form, features, costs, space."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.tasks.nas.cell_costs import macs, parameters
from fingerpost.tasks.nas.cell_features import PATHS, counts, features_of_cells, path_features, places
from fingerpost.tasks.nas.cells import EDGES, OPERATIONS, Cell, CellSpace, canonical_text, live_operations

SPACE = CellSpace()
EVERY = np.array(list(product(range(5), repeat=6)))
genomes = st.tuples(*[st.integers(0, 4)] * 6)


def computed(
    operations: tuple[int, ...], weights: np.ndarray, ordered: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
) -> np.ndarray:
    """The output of a cell as a slow and obvious network on vectors, whose convolutions are fixed non-linear maps."""
    nodes = [np.linspace(-1.0, 2.0, 4), np.zeros(4), np.zeros(4), np.zeros(4)]
    reached = [True, False, False, False]
    for edge, (begin, end) in enumerate(EDGES):
        operation = operations[edge]
        if operation == 0 or not reached[begin]:
            continue
        reached[end] = True
        value = nodes[begin]
        if operation == 4:
            value = np.convolve(value, [0.2, 0.5, 0.3], mode="same")
        elif operation in (2, 3):
            value = np.tanh(weights[operation - 2, ordered[edge]] @ value)
        nodes[end] = nodes[end] + value
    return nodes[3]


def test_text_and_parsing_are_inverses() -> None:
    text = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|skip_connect~1|nor_conv_3x3~2|"
    cell = Cell.parse(text)
    assert cell.operations == (4, 2, 1, 0, 1, 3)
    assert cell.text == text
    assert all(Cell.parse(Cell(tuple(one)).text).operations == tuple(one) for one in EVERY[::97].tolist())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "|none~0|",
        "|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|",
        "|none~0|+|none~1|none~0|+|none~0|none~1|none~2|",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cell: expected six operations"):
        Cell.parse(text)
    with pytest.raises(ValueError, match="cell: expected 6 operations"):
        Cell((0, 1, 2, 3, 4, 5))


def test_live_edges_lie_on_paths() -> None:
    live = live_operations(EVERY)
    on_path = np.zeros_like(live, dtype=bool)
    for path in PATHS:
        on_path[:, path] |= (EVERY[:, path] != 0).all(axis=1)[:, None]
    np.testing.assert_array_equal(live, np.where(on_path, EVERY, 0))
    assert [Cell(tuple(one)).connected for one in EVERY.tolist()] == on_path.any(axis=1).tolist()
    assert on_path.any(axis=1).sum() == 15_284


@given(genomes)
def test_cells_of_one_canonical_text_compute_the_same(genome: tuple[int, ...]) -> None:
    other = tuple(SPACE.canonical(np.array(genome)).tolist())
    assert canonical_text(other) == canonical_text(genome)
    weights = np.random.default_rng(0).normal(size=(2, 6, 4, 4))
    expected = computed(genome, weights)
    from itertools import permutations

    orders = (computed(other, weights, order) for order in permutations(range(6)))
    assert any(np.allclose(expected, one, atol=1e-9) for one in orders)


def test_cells_of_other_canonical_text_compute_something_else() -> None:
    # With equal weights for all convolutions of a kind, what differs only in which convolution is shared is equal: so distinct
    # values are a lower bound, and equal texts never have distinct values.
    weights = np.repeat(np.random.default_rng(1).normal(size=(2, 1, 4, 4)), 6, axis=1)
    values: dict[str, set[bytes]] = {}
    for one in EVERY[::3].tolist():
        found = np.round(computed(tuple(one), weights), 8) + 0.0
        values.setdefault(canonical_text(tuple(one)), set()).add(found.tobytes())
    assert all(len(found) == 1 for found in values.values())
    assert canonical_text((2, 2, 0, 0, 4, 4)) != canonical_text((2, 0, 1, 0, 4, 4))


def test_the_space_has_each_cell_once() -> None:
    listed = [tuple(genome.tolist()) for genome in SPACE.enumerate()]
    assert len(listed) == SPACE.size == len(set(listed)) == 5260
    assert all(tuple(SPACE.canonical(np.array(one)).tolist()) == one for one in listed[::50])


@given(genomes, genomes, st.integers(0, 99))
def test_what_evolution_makes_is_canonical(first: tuple[int, ...], second: tuple[int, ...], seed: int) -> None:
    random = np.random.default_rng(seed)
    one, two = SPACE.canonical(np.array(first)), SPACE.canonical(np.array(second))
    for genome in (SPACE.sample(random), SPACE.mutate(one, random), SPACE.crossover(one, two, random)):
        np.testing.assert_array_equal(SPACE.canonical(genome), genome)
        candidate = SPACE.candidate(genome)
        np.testing.assert_array_equal(SPACE.genome_of(SPACE.parse(candidate.text)), genome)
    assert not np.array_equal(SPACE.mutate(one, random), one)


@given(genomes)
def test_features_are_those_of_the_canonical_cell(genome: tuple[int, ...]) -> None:
    given_one, canonical = np.array([genome]), SPACE.canonical(np.array(genome))[None]
    np.testing.assert_array_equal(SPACE.encode(given_one), SPACE.encode(canonical))
    assert SPACE.encode(given_one).shape == (1, 23)


def test_features_by_hand() -> None:
    cell = np.array([[3, 2, 0, 1, 4, 3]])
    assert counts(cell).tolist() == [[1, 1, 2, 1]]
    assert places(cell).sum() == 5
    found = path_features(cell)[0]
    # Three paths: skip; 3 x 3 and pooling; 1 x 1 and 3 x 3.
    assert found[:5].tolist() == [3, 1, 1, 2, 1]
    assert found[5:11].tolist() == [2, 0, 1, 0, 1, 0]
    assert found[11:].tolist() == [1, 2, 0, 0, 1, 1, 1, 0]
    assert not features_of_cells(np.zeros((1, 6), dtype=np.int64)).any()


def test_costs_of_the_largest_cell() -> None:
    largest = np.array([[OPERATIONS.index("nor_conv_3x3")] * 6])
    assert macs(largest).tolist() == [220_119_680]
    assert parameters(largest).tolist() == [1_531_546]
    smaller = np.array([[3, 3, 3, 3, 3, 2]])
    assert macs(largest) - macs(smaller) == 15 * 8 * 16**2 * 32**2
