"""Zero-shot scores: cases computed by hand, slow oracles, and the same answer for the same seed whatever the module held."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from numpy.typing import NDArray  # noqa: E402

from fingerpost.tasks.determinism import seeded  # noqa: E402
from fingerpost.tasks.nas.cell_network import CellNetwork  # noqa: E402
from fingerpost.tasks.nas.networks import network  # noqa: E402
from fingerpost.tasks.nas.operators import operators_of  # noqa: E402
from fingerpost.tasks.nas.score_params import SCORES, ScoreName, ScoreParams  # noqa: E402
from fingerpost.tasks.nas.zero_shot import jacobian_covariance, log_determinant, scores  # noqa: E402
from tests.unit.nas.worlds import small  # noqa: E402

nn = torch.nn
Images = NDArray[np.float32]
CELL = ("nor_conv_3x3", "skip_connect", "nor_conv_1x1", "avg_pool_3x3", "none", "nor_conv_3x3")


def images(count: int = 6, channels: int = 3, size: int = 8) -> Images:
    return np.random.default_rng(3).standard_normal((count, channels, size, size)).astype(np.float32)


def score(name: ScoreName, module: nn.Module, batch: Images, seed: int = 5) -> float:
    labels = np.arange(len(batch)) % 3
    return scores(module, batch, labels, ScoreParams((name,), seed=seed))[name]


def drawn(make: Callable[[], nn.Module], seed: int = 5) -> nn.Module:
    """The module with the weights that a score draws for it."""
    with seeded(seed):
        return make()


def flat(*parts: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Flatten(), *parts)


def test_synflow_of_linear_layers_is_the_sum_of_their_paths() -> None:
    one = drawn(lambda: flat(nn.Linear(4, 3)))
    assert score("synflow", one, images(2, 1, 2)) == pytest.approx(float(one[1].weight.detach().abs().sum()), rel=1e-6)
    two = drawn(lambda: flat(nn.Linear(4, 5, bias=False), nn.ReLU(), nn.Linear(5, 3, bias=False)))
    paths = two[3].weight.detach().abs() @ two[1].weight.detach().abs()
    assert score("synflow", two, images(2, 1, 2)) == pytest.approx(2 * float(paths.sum()), rel=1e-6)


def test_synflow_leaves_batch_norm_out_and_survives_depth() -> None:
    def deep(*norm: nn.Module) -> nn.Module:
        return flat(*[part for _ in range(150) for part in (nn.Linear(64, 64), *norm)])

    plain = score("synflow", deep(), images(2, 1, 8))
    assert float(np.finfo(np.float32).max) < plain < math.inf
    assert score("synflow", deep(nn.BatchNorm1d(64)), images(2, 1, 8)) == plain
    huge = flat(*[nn.Linear(64, 64) for _ in range(600)])
    assert score("synflow", huge, images(2, 1, 8)) == np.finfo(np.float64).max


def test_naswot_of_equal_images_is_minus_infinity_and_of_others_a_hand_counted_kernel() -> None:
    batch = np.array([[1, 1, -1], [1, -1, -1], [-1, 1, 1]], dtype=np.float32)[:, :, None, None]
    kernel = np.array([[3, 2, 1], [2, 3, 0], [1, 0, 3]])  # in how many of the three units two images agree
    assert score("naswot", nn.ReLU(), batch) == pytest.approx(math.log(np.linalg.det(kernel)))
    assert score("naswot", nn.ReLU(), batch[[0, 1, 0]]) == -math.inf
    assert score("naswot", flat(nn.Linear(3, 2)), batch) == -math.inf  # no ReLU
    random = np.random.default_rng(0).integers(0, 2, (40, 300)).astype(float)
    twice = np.vstack([random, random[:1]])
    assert log_determinant(twice @ twice.T) == -math.inf


def test_naswot_of_a_network_is_that_of_its_codes() -> None:
    network, batch = drawn(lambda: CellNetwork(CELL, channels=4, cells=1)), images()
    kernel = np.zeros((len(batch), len(batch)))

    def add(_: nn.Module, inputs: tuple[torch.Tensor, ...], __: torch.Tensor) -> None:
        code = (inputs[0].detach().flatten(1) > 0).numpy().astype(float)
        kernel.__iadd__(code @ code.T + (1 - code) @ (1 - code).T)

    for part in network.modules():
        if isinstance(part, nn.ReLU):
            part.register_forward_hook(add)
    network.train()(torch.from_numpy(batch))
    expected = np.linalg.slogdet(kernel)[1]
    assert score("naswot", network, batch) == pytest.approx(expected)


def test_the_jacobian_covariance_by_hand() -> None:
    guard = 1e-5
    apart = np.array([[1.0, -1, 1, -1], [1, 1, -1, -1]])  # uncorrelated: both eigenvalues are 1
    assert jacobian_covariance(apart) == pytest.approx(-2 * (math.log(1 + guard) + 1 / (1 + guard)))
    equal = -(math.log(2 + guard) + 1 / (2 + guard) + math.log(guard) + 1 / guard)  # eigenvalues 2 and 0
    assert jacobian_covariance(apart[[0, 0]]) == pytest.approx(equal)
    assert jacobian_covariance(np.array([[1.0, 2], [3, 3]])) == -math.inf
    # The gradients of a linear network do not depend on the image.
    assert score("jacobian", flat(nn.Linear(12, 3)), images(2, 3, 2)) == pytest.approx(equal, rel=1e-6)


def test_gradients_of_a_linear_layer_by_hand() -> None:
    layer, batch = drawn(lambda: flat(nn.Linear(12, 3))), images(6, 3, 2)
    weight, bias = (value.detach().numpy().astype(np.float64) for value in layer[1].parameters())
    rows = batch.reshape(6, 12).astype(np.float64)
    odds = np.exp(rows @ weight.T + bias)
    gradient = (odds / odds.sum(axis=1, keepdims=True) - np.eye(3)[np.arange(6) % 3]).T @ rows / 6
    assert score("grad_norm", layer, batch) == pytest.approx(np.linalg.norm(gradient), rel=1e-5)
    assert score("snip", layer, batch) == pytest.approx(abs(weight * gradient).sum(), rel=1e-5)


def test_the_zen_score_by_hand() -> None:
    batch = images(2, 3, 16)
    # Features are the input: the mean of |N(0, 1)| over 768 values, moved by a hundredth.
    expected = math.log(0.01 * 768 * math.sqrt(2 / math.pi))
    assert score("zen", nn.Identity(), batch) == pytest.approx(expected, abs=0.01)
    # One channel: what batch norm divides by is added again.
    convolution = nn.Conv2d(3, 1, 3)
    normed = score("zen", nn.Sequential(convolution, nn.BatchNorm2d(1)), batch)
    assert normed == pytest.approx(score("zen", convolution, batch), abs=0.01)

    class Classifier(nn.Module):
        """A network whose output says nothing and whose features say all."""

        def features(self, rows: torch.Tensor) -> torch.Tensor:
            return rows

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(rows), 2)

    assert score("zen", Classifier(), batch) == score("zen", nn.Identity(), batch)
    assert score("zen", nn.Sequential(nn.Identity(), nn.Threshold(100, 0)), batch) == -math.inf


def test_counts_of_parameters_and_multiply_accumulates() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, groups=4))
    batch = images(2, 3, 8)
    assert score("parameters", module, batch) == 3 * 4 * 9 + 4 + 8 + 4 * 9 + 4
    assert score("macs", module, batch) == 16 * 27 * 4 + 4 * 9 * 4


def test_scores_depend_on_the_seed_and_on_nothing_else() -> None:
    batch, labels = images(), np.arange(6)
    module = CellNetwork(CELL, channels=4, cells=1)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    first = scores(module, batch, labels, ScoreParams(zen_repeats=2))
    assert set(first) == set(SCORES)
    assert all(math.isfinite(value) for value in first.values())
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    with torch.no_grad():
        for value in module.parameters():
            value.mul_(-3)
    state = torch.random.get_rng_state()
    again = scores(module.eval(), batch, labels, ScoreParams(tuple(reversed(SCORES)), zen_repeats=2))
    assert again == first
    assert list(again) == list(reversed(SCORES))
    assert torch.equal(torch.random.get_rng_state(), state)
    other = scores(module, batch, labels, ScoreParams(seed=1, zen_repeats=2))
    assert [name for name in SCORES if other[name] == first[name]] == ["parameters", "macs"]


@pytest.mark.parametrize("output", [0, 8])
@pytest.mark.parametrize("kind", ["ibn", "fused", "conv"])
def test_every_score_of_a_network_of_blocks_is_finite_and_higher_with_more_channels(kind: str, output: int) -> None:
    batch = images(6, 1)
    labels = np.zeros((6, 8, 8), dtype=np.int64) if output else np.arange(6)
    one = small(kind, output=output)
    wide = replace(one, stages=tuple(replace(stage, channels=2 * stage.channels) for stage in one.stages))
    found = [scores(network(each), batch, labels, ScoreParams(zen_repeats=2)) for each in (one, wide)]
    assert all(math.isfinite(value) for values in found for value in values.values())
    for name in ("synflow", "naswot", "parameters", "macs"):
        assert found[1][name] > found[0][name]
    assert found[0]["macs"] == sum(operator.macs for operator in operators_of(one))


def test_a_cell_without_a_path_has_documented_scores() -> None:
    found = scores(CellNetwork(["none"] * 6, channels=4, cells=1), images(), np.arange(6), ScoreParams())
    assert found["jacobian"] == found["zen"] == -math.inf
    assert not any(math.isnan(value) or value == math.inf for value in found.values())


def test_masks_will_do_as_labels_and_unknown_scores_are_named() -> None:
    found = scores(nn.Conv2d(3, 2, 1), images(), np.zeros((6, 8, 8), dtype=np.int64), ScoreParams(("snip",)))
    assert found["snip"] > 0
    with pytest.raises(ValueError, match=r"expected names among synflow, naswot.*, got \['grasp'\]"):
        ScoreParams(("grasp",))  # type: ignore[arg-type]
