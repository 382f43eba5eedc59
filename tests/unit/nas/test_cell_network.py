"""The network of a NAS-Bench-201 cell: the benchmark's counts of parameters, paths, and sums written out by hand."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fingerpost.tasks.determinism import one_thread  # noqa: E402
from fingerpost.tasks.nas.cell_network import EDGES, OPERATIONS, CellNetwork, live_edges  # noqa: E402

pytestmark = pytest.mark.usefixtures("_one_thread")
NONE, SKIP, CONV1, CONV3, POOL = OPERATIONS


@pytest.fixture(name="_one_thread")
def one() -> Iterator[None]:
    with one_thread():
        yield


def parameters(module: torch.nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


@pytest.mark.parametrize(("operation", "count"), [(SKIP, 73_306), (CONV1, 1_531_546 - 1_290_240), (CONV3, 1_531_546)])
def test_the_network_has_as_many_parameters_as_the_benchmarks(operation: str, count: int) -> None:
    # The benchmark's tables say 0.073306 and 1.531546 million; a 1 × 1 kernel has a ninth of the weights.
    assert parameters(CellNetwork([operation] * 6)) == count


def test_live_edges_are_those_of_a_search_for_paths() -> None:
    paths = [path for length in (1, 2, 3) for path in itertools.permutations(range(6), length)]
    paths = [path for path in paths if leads(path)]
    for chosen in itertools.product((NONE, SKIP), repeat=6):
        used = {edge for path in paths if all(chosen[edge] != NONE for edge in path) for edge in path}
        assert live_edges(chosen) == tuple(edge in used for edge in range(6))


def leads(path: tuple[int, ...]) -> bool:
    """Whether these edges lead from the input to the output of a cell."""
    nodes = [EDGES[edge] for edge in path]
    return nodes[0][0] == 0 and nodes[-1][1] == 3 and all(a[1] == b[0] for a, b in itertools.pairwise(nodes))


def test_a_cell_sums_its_edges() -> None:
    torch.manual_seed(1)
    cell = CellNetwork([SKIP, POOL, SKIP, CONV1, POOL, SKIP], channels=4, cells=1).eval().body[2]
    rows = torch.randn(2, 4, 6, 6)
    first = rows
    second = pooled(rows) + first
    expected = cell.operations[3](rows) + pooled(first) + second
    torch.testing.assert_close(cell(rows), expected)


def pooled(rows: torch.Tensor) -> torch.Tensor:
    """Means of 3 × 3 pixels, of those alone that exist."""
    found = torch.empty_like(rows)
    for row, column in np.ndindex(*rows.shape[2:]):
        window = rows[:, :, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        found[:, :, row, column] = window.mean(dim=(2, 3))
    return found


def test_edges_that_lead_nowhere_have_no_weights_and_a_cell_without_a_path_answers_the_same_for_all() -> None:
    # Node 1 gets a convolution and hands nothing on.
    assert parameters(CellNetwork([CONV3, NONE, NONE, SKIP, NONE, NONE])) == 73_306
    apart = CellNetwork([CONV3, CONV3, CONV3, NONE, NONE, NONE], cells=1)
    answers = apart(torch.randn(3, 3, 8, 8))
    assert (answers == answers[0]).all()


@pytest.mark.parametrize("size", [7, 8, 13])
def test_any_size_of_images_will_do(size: int) -> None:
    network = CellNetwork([CONV3] * 6, channels=2, cells=1, classes=3, inputs=1)
    rows = torch.zeros(2, 1, size, size)
    assert network.features(rows).shape == (2, 8, -(-size // 4), -(-size // 4))
    assert network(rows).shape == (2, 3)


def test_what_is_no_cell_is_said() -> None:
    with pytest.raises(ValueError, match="cell: expected 6 operations of none, skip_connect"):
        CellNetwork([SKIP] * 5)
    with pytest.raises(ValueError, match=r"got \['sep_conv'"):
        CellNetwork(["sep_conv"] * 6)
