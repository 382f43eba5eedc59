"""Training of networks: what they learn, the same bits after an interruption, divergence as a result, and what is refused."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fingerpost.schemas.matrices import tensors_from_bytes, tensors_to_bytes
from fingerpost.tasks.nas.architecture import Block, NetworkStage
from fingerpost.tasks.nas.training_params import Arrays, Examples, TrainedNetwork, TrainingParams

torch = pytest.importorskip("torch")

from fingerpost.tasks.nas import training  # noqa: E402
from fingerpost.tasks.nas.networks import loaded, network  # noqa: E402
from fingerpost.tasks.nas.training import NetworkTrainer, class_weights, judged, logits_of, rate_at, train  # noqa: E402
from tests.unit.nas.worlds import digits, masked, small  # noqa: E402

PARAMS = TrainingParams(epochs=5)


def same(one: TrainedNetwork, other: TrainedNetwork) -> bool:
    return one.epochs == other.epochs and all(
        np.array_equal(values, other.weights[name]) for name, values in one.weights.items()
    )


@pytest.fixture(scope="module")
def trained() -> TrainedNetwork:
    return train(small(), *digits(), PARAMS, seed=1)


def test_a_network_learns_digits(trained: TrainedNetwork) -> None:
    assert trained.validation > 0.8
    assert trained.epochs[0].loss > trained.epochs[-1].loss
    net = loaded(network(trained.architecture), trained.weights)
    assert judged(net, digits()[1]) == trained.validation


def test_a_network_learns_masks() -> None:
    found = train(small("conv", resolution=12, output=12), *masked(), replace(PARAMS, batch=32, epochs=4))
    assert found.validation > 0.7


@pytest.mark.parametrize(("kind", "threads"), [("ibn", 2), ("fused", 1), ("conv", 1)])
def test_an_interrupted_training_resumes_to_the_same_bits(
    kind: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, params = digits()[0].of(np.arange(300)), replace(PARAMS, epochs=3)
    whole = train(small(kind), few, None, params, seed=1)
    monkeypatch.setattr(training, "PART", 4)
    before, states = torch.get_num_threads(), list[bytes]()

    def save(step: int, state: Callable[[], Arrays]) -> None:
        states.append(tensors_to_bytes(state()))
        if step == 9:
            raise KeyboardInterrupt

    torch.set_num_threads(threads)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(small(kind), few, None, params, seed=1, save=save)
        resumed = train(small(kind), few, None, params, seed=1, state=tensors_from_bytes(states[-1]))
    finally:
        torch.set_num_threads(before)
    assert same(resumed, whole)


def test_the_seed_changes_the_result(trained: TrainedNetwork) -> None:
    assert not same(trained, train(small(), *digits(), replace(PARAMS, epochs=1), seed=2))


def test_a_training_that_diverges_ends_with_nothing_right() -> None:
    train_side, held = digits()
    found = train(small(), train_side, held, replace(PARAMS, rate=1e30))
    assert found.diverged
    assert found.validation == 0.0
    assert all(np.isfinite([epoch.loss, epoch.validation]).all() for epoch in found.epochs)
    assert all(np.isfinite(values).all() for values in found.weights.values())


def test_a_row_does_not_depend_on_the_rows_beside_it(trained: TrainedNetwork) -> None:
    net, images = loaded(network(trained.architecture), trained.weights), digits()[1].images
    whole = logits_of(net, images)
    for rows in (slice(0, 1), slice(17, 90), slice(300, 301)):
        assert np.array_equal(logits_of(net, images[rows]), whole[rows])
    assert logits_of(net, images[:0]).shape == (0, *whole.shape[1:])


@pytest.mark.parametrize("channels", [6, 13, 50])
def test_neither_does_it_where_rows_of_channels_are_not_aligned(channels: int) -> None:
    """Ten classes are few outputs: there the order of MKL's sums depends on where a row lies in memory."""
    net = network(replace(small(), head=0, stages=(NetworkStage(channels, 2, (Block(),)),)))
    images = digits()[1].images
    whole, order = logits_of(net, images), np.random.default_rng(channels).permutation(len(images))
    assert np.array_equal(logits_of(net, images[order]), whole[order])
    assert all(not layer._forward_pre_hooks for layer in net.modules())


def test_a_batch_of_one_image_is_left_out() -> None:
    examples, held = digits()
    few = examples.of(np.arange(65))
    trainer = NetworkTrainer(small(), few, held, PARAMS)
    assert trainer.steps_per_epoch == 1
    assert train(small(), examples.of(np.arange(2)), None, replace(PARAMS, epochs=1)).validation == 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda e: Examples(np.repeat(e.images[..., None], 3, axis=3), e.targets),
            "expected images of 1 channels, got 3",
        ),
        (lambda e: Examples(e.images, e.targets + 1), "expected classes from 0 to 9, got 10"),
        (lambda e: Examples(e.images, e.images // 128), "expected a class each for classification"),
        (lambda e: e.of(np.arange(1)), "training: expected at least 2 images, got 1"),
        (lambda e: Examples(e.images[:, :5], e.targets), "images: expected square ones"),
        (lambda e: Examples(e.images, e.targets[:5]), "images: expected a class for each of 900"),
    ],
)
def test_examples_that_do_not_fit_are_refused(change: Callable[[Examples], Examples], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NetworkTrainer(small(), change(digits()[0]), None, PARAMS)


@pytest.mark.parametrize("change", [{"epochs": 0}, {"rate": 0.0}, {"shift": -1}, {"warmup": 1.0}, {"balance": 2.0}])
def test_parameters_that_train_nothing_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="training: expected"):
        replace(PARAMS, **change)  # type: ignore[arg-type]


def test_pixels_of_rare_classes_weigh_more() -> None:
    masks = np.zeros((1, 4, 4), dtype=np.uint8)
    masks[0, 0] = 1
    weights = class_weights(masks, 3, 0.5)
    assert weights is not None
    np.testing.assert_allclose(weights[:2] / weights[0], [1, 3**0.5], rtol=1e-6)
    assert torch.isfinite(weights).all()
    assert class_weights(masks, 3, 0.0) is None
    assert class_weights(np.zeros(4, dtype=np.int64), 3, 0.5) is None


def test_the_rate_rises_and_falls() -> None:
    rates = np.array([rate_at(step, 100, PARAMS.rate, PARAMS.warmup) for step in range(100)])
    top = int(rates.argmax())
    assert 10 <= top <= 20
    assert np.all(np.diff(rates[: top + 1]) > 0)
    assert np.all(np.diff(rates[top:]) < 0)
    assert PARAMS.rate * 0.99 < rates[top] <= PARAMS.rate
    assert rates[-1] < 0.02 * PARAMS.rate
