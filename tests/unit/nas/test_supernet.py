"""Supernets: the networks of a space with shared weights, fair paths, training that resumes, and what is refused."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.schemas.matrices import tensors_from_bytes, tensors_to_bytes
from fingerpost.tasks.nas.paths import largest_beside, paths, some_networks
from fingerpost.tasks.nas.shared_weights import cuts_of, own_weights, shapes_of
from fingerpost.tasks.nas.space import SearchSpace
from fingerpost.tasks.nas.space_choices import BlockChoices, StageChoices
from fingerpost.tasks.nas.supernet_params import SupernetParams
from fingerpost.tasks.nas.training_params import Arrays, Examples
from tests.unit.nas.small_spaces import spaces

torch = pytest.importorskip("torch")

from fingerpost.tasks.nas import supernet  # noqa: E402
from fingerpost.tasks.nas.networks import network, weights_of  # noqa: E402
from fingerpost.tasks.nas.shared_forward import shared_logits  # noqa: E402
from fingerpost.tasks.nas.supernet import SupernetTrainer, supernet_accuracy, supernet_network, train_supernet  # noqa: E402
from tests.unit.nas.worlds import digits, masked  # noqa: E402

#: One or two blocks of three kinds, on 8 × 8 pixels.
BLOCKS = (BlockChoices(("ibn", "fused", "conv"), (1, 3), (2,)),) * 2
SPACE = SearchSpace(1, 10, (8,), (8,), (1,), (StageChoices((4, 12), (2,), (1, 2), BLOCKS),))
PARAMS = SupernetParams(epochs=2, batch=128, judged=2)


def random_weights(space: SearchSpace) -> Arrays:
    random = np.random.default_rng(0)
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes_of(space).items()}


@settings(max_examples=10)
@given(spaces(), st.integers(0, 99))
def test_a_path_gives_what_its_network_gives(space: SearchSpace, seed: int) -> None:
    architecture, weights = some_networks(space, 1, seed=seed)[0], random_weights(space)
    net = network(architecture)
    own = own_weights(space, weights, architecture)
    assert set(own) == {name for name, _ in net.named_parameters()}
    net.load_state_dict({name: torch.from_numpy(values) for name, values in (weights_of(net) | own).items()})
    images = torch.rand(4, space.inputs, architecture.resolution, architecture.resolution)
    shared = {name: torch.from_numpy(values) for name, values in weights.items()}
    with torch.no_grad():
        found = shared_logits(space, shared, architecture, images)
        torch.testing.assert_close(found, net.train()(images), rtol=1e-3, atol=1e-3)


def test_kernels_are_cut_from_the_centre_and_channels_from_the_front() -> None:
    architecture = SPACE.smallest()
    cut = cuts_of(SPACE, architecture)["blocks.0.parts.depthwise.conv.weight"]
    assert cut.slices == (slice(16), slice(1), slice(1, 2), slice(1, 2))
    weights = random_weights(SPACE)
    own = own_weights(SPACE, weights, architecture)
    np.testing.assert_array_equal(
        own["blocks.0.parts.depthwise.conv.weight"][:, 0, 0, 0], weights[f"{cut.name}"][:16, 0, 1, 1]
    )
    np.testing.assert_array_equal(own["classifier.weight"], weights["after_stages.kernel"][:, :4])


@settings(max_examples=20)
@given(spaces(), st.integers(0, 99))
def test_each_kind_of_each_block_is_trained_equally_often(space: SearchSpace, seed: int) -> None:
    found = paths(space, np.random.default_rng(seed))
    for number, stage in enumerate(space.stages):
        depths = {len(one.stages[number].blocks) for one in found}
        assert len(depths) == 1
        for place in range(depths.pop()):
            kinds = Counter(one.stages[number].blocks[place].kind for one in found)
            counts = [kinds[kind] for kind in stage.blocks[place].kinds]
            assert max(counts) - min(counts) <= 1
            assert len(stage.blocks[place].kinds) < len(found) or set(counts) == {1}
    largest = largest_beside(space, found[0], np.random.default_rng(seed))
    assert largest.resolution == found[0].resolution
    for stage, own in zip(space.stages, largest.stages, strict=True):
        assert len(own.blocks) == stage.depths[-1]
        for block, choices in zip(own.blocks, stage.blocks, strict=True):
            assert block.kernel == choices.kernels[-1]
            assert block.expansion == choices.expansions_of(block.kind)[-1]


def test_a_supernet_learns_and_resumes_to_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supernet, "PART", 3)
    states: dict[int, bytes] = {}

    def save(step: int, state: Callable[[], Arrays]) -> None:
        states[step] = tensors_to_bytes(state())

    weights, epochs = train_supernet(SPACE, *digits(), PARAMS, save=save)
    assert epochs[-1].loss < epochs[0].loss
    again, resumed = train_supernet(SPACE, *digits(), PARAMS, state=tensors_from_bytes(states[11]))
    assert epochs == resumed
    assert all(np.array_equal(values, again[name]) for name, values in weights.items())
    one = some_networks(SPACE, 1, seed=3)[0]
    assert supernet_accuracy(SPACE, weights, one, *digits()) == supernet_accuracy(SPACE, again, one, *digits())


def test_batch_norms_are_calibrated_on_training_images() -> None:
    weights, architecture = random_weights(SPACE), SPACE.smallest()
    net = supernet_network(SPACE, weights, architecture, digits()[0])
    images = torch.from_numpy(digits()[0].images[:, None].astype(np.float32) / 255)
    with torch.no_grad():
        rows = net.stem.conv(images)
    torch.testing.assert_close(net.stem.norm.running_mean, rows.mean(dim=(0, 2, 3)), rtol=0.05, atol=0.05)
    assert not net.training


def test_batch_norms_see_all_classes_of_images_in_the_order_of_their_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supernet, "CALIBRATION", 128)
    shades = np.repeat(np.array([0, 255], np.uint8), 300)[:, None, None] * np.ones((8, 8), np.uint8)
    net = supernet_network(SPACE, random_weights(SPACE), SPACE.smallest(), Examples(shades, np.repeat([0, 1], 300)))
    with torch.no_grad():
        dark, bright = (net.stem.conv(torch.full((1, 1, 8, 8), shade)).mean(dim=(0, 2, 3)) for shade in (0.0, 1.0))
    torch.testing.assert_close(net.stem.norm.running_mean, (dark + bright) / 2, rtol=0.2, atol=0.01)


def test_a_supernet_of_masks_is_trained() -> None:
    space = replace(SPACE, classes=2, resolutions=(8, 12), task="segmentation", outputs=(6, 12))
    weights, epochs = train_supernet(space, *masked(), replace(PARAMS, epochs=1))
    assert 0 < epochs[0].validation < 1
    assert 0 < supernet_accuracy(space, weights, space.largest(), *masked()) < 1


def test_what_does_not_fit_is_refused() -> None:
    other = replace(SPACE, classes=11)
    with pytest.raises(ValueError, match="supernet: expected the weights of this search space"):
        own_weights(other, random_weights(SPACE), other.smallest())
    with pytest.raises(ValueError, match="search space"):
        cuts_of(SPACE, other.smallest())
    trainer = SupernetTrainer(SPACE, *digits(), PARAMS)
    with pytest.raises(ValueError, match="state: expected that of this search space"):
        SupernetTrainer(replace(SPACE, stem=(9,)), *digits(), PARAMS).restore(trainer.state())
    with pytest.raises(ValueError, match="expected classes from 0 to 1"):
        SupernetTrainer(replace(SPACE, classes=2), *digits(), PARAMS)
    with pytest.raises(ValueError, match="supernet: expected a finite loss"):
        train_supernet(SPACE, *digits(), replace(PARAMS, rate=1e30))


@pytest.mark.parametrize(
    "change", [{"epochs": 0}, {"rate": 0.0}, {"shift": -1}, {"warmup": 1.0}, {"distillation": 2.0}]
)
def test_parameters_that_train_nothing_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="supernet: expected"):
        replace(PARAMS, **change)  # type: ignore[arg-type]
