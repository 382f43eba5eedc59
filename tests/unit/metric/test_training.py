"""Training of embedders: batches, networks, the same bits after an interruption, what unseen classes get, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.schemas.matrices import tensors_from_bytes, tensors_to_bytes
from fingerpost.tasks.metric.embedders import BackboneParams, BalancedBatches, TrainingParams
from fingerpost.tasks.metric.margins import TcmParams
from fingerpost.tasks.metric.retrieval import retrieval

torch = pytest.importorskip("torch")

from fingerpost.tasks.metric.networks import as_input, base_loss, network, rate_at  # noqa: E402
from fingerpost.tasks.metric.trainer import EmbedderTrainer, embed, embed_with, shifted, train_embedder  # noqa: E402

PARAMS = TrainingParams(
    steps=60, classes_per_batch=8, rows_per_class=4, check_every=15, patience=0, rate=1e-2, validation_rows=200
)
HEAD = BackboneParams("head", 8)


def world(classes: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors float32 (n, 24) of which four numbers tell the class and twenty are as much noise in each."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), 12)
    of_class = random.standard_normal((classes, 4))[labels] + 0.2 * random.standard_normal((len(labels), 4))
    return np.hstack([of_class, random.standard_normal((len(labels), 20))]).astype(np.float32), labels


def images(classes: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (n, 28, 28): a bright square whose place tells the class, and noise."""
    random = np.random.default_rng(1)
    labels = np.repeat(np.arange(classes), 6)
    found = random.integers(0, 60, (len(labels), 28, 28))
    for row, label in enumerate(labels):
        y, x = 7 * (label % 4), 9 * (label // 4)
        found[row, y : y + 7, x : x + 9] += 180
    return found.astype(np.uint8), labels


def trainer(
    params: TrainingParams = PARAMS, tcm: TcmParams | None = None, backbone: BackboneParams = HEAD
) -> EmbedderTrainer:
    rows, labels = world()
    return EmbedderTrainer(rows, labels, *world(seed=1), backbone, params, tcm)


@given(st.lists(st.integers(1, 6), min_size=2, max_size=12), st.integers(2, 6), st.integers(2, 5), st.integers(0, 40))
def test_batches_are_balanced_and_follow_from_seed_and_step(
    sizes: list[int], per_batch: int, each: int, step: int
) -> None:
    classes = np.repeat(np.arange(len(sizes)), sizes)
    params = TrainingParams(classes_per_batch=per_batch, rows_per_class=each)
    able = {number for number, size in enumerate(sizes) if size > 1}
    if len(able) < 2:
        with pytest.raises(ValueError, match="training: expected two classes of two rows or more"):
            BalancedBatches(classes, params)
        return
    batches = BalancedBatches(classes, params)
    rows = batches.rows(step)
    found, counts = np.unique(classes[rows], return_counts=True)
    assert len(found) == batches.classes_per_batch == min(per_batch, len(able))
    assert set(counts) == {each}
    assert set(found) <= able
    for one in found:
        own = rows[classes[rows] == one]
        assert len(set(own)) == min(each, sizes[one]) or len(own) > sizes[one]
    assert (BalancedBatches(classes, params).rows(step) == rows).all()


def test_all_classes_are_seen_before_one_comes_again() -> None:
    batches = BalancedBatches(np.repeat(np.arange(12), 3), TrainingParams(classes_per_batch=4, rows_per_class=2))
    rounds = [np.concatenate([batches.rows(step) // 3 for step in range(at, at + 3)]) for at in (0, 3)]
    assert all(sorted(set(one)) == list(range(12)) for one in rounds)
    assert (rounds[0] != rounds[1]).any()


def test_training_helps_classes_that_were_not_seen() -> None:
    rows, labels = world(seed=2)
    before = retrieval(rows, labels, "cosine").map_at_r
    made = train_embedder(trainer())
    vectors = embed(made, rows)
    assert vectors.shape == (len(rows), 8)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    after = retrieval(vectors, labels, "cosine").map_at_r
    assert after > before + 0.1
    assert [check.step for check in made.checks] == [15, 30, 45, 60]
    assert made.checks[made.best].map_at_r == max(check.map_at_r for check in made.checks)


@pytest.mark.parametrize("loss", ["multi_similarity", "smooth_ap", "contrastive", "proxy_anchor", "arcface"])
def test_every_base_loss_trains_with_tcm_and_ends_alike_after_an_interruption(loss: str) -> None:
    params, tcm = replace(PARAMS, loss=loss, steps=30, check_every=10), TcmParams(0.8, 0.4)  # type: ignore[arg-type]
    saved: dict[int, bytes] = {}
    whole = train_embedder(
        trainer(params, tcm), save=lambda step, state: saved.update({step: tensors_to_bytes(state())})
    )
    assert sorted(saved) == [10, 20, 30]
    again = train_embedder(trainer(params, tcm), state=tensors_from_bytes(saved[10]))
    assert (whole.checks, whole.best) == (again.checks, again.best)
    assert whole.weights.keys() == again.weights.keys()
    for name, values in whole.weights.items():
        np.testing.assert_array_equal(values, again.weights[name])
    without = train_embedder(trainer(params))
    assert any((without.weights[name] != values).any() for name, values in whole.weights.items())


@pytest.mark.parametrize("kind", ["conv", "vit"])
def test_images_are_embedded_by_convolutions_and_by_a_transformer(kind: str) -> None:
    rows, labels = images()
    backbone = BackboneParams(kind, 8, width=8, depth=1, heads=2)  # type: ignore[arg-type]
    params = replace(PARAMS, classes_per_batch=4, steps=8, check_every=4, shift=1)
    saved: dict[int, bytes] = {}
    halves = (rows[:36], labels[:36], rows[36:], labels[36:])
    whole = train_embedder(
        EmbedderTrainer(*halves, backbone, params),
        save=lambda step, state: saved.update({step: tensors_to_bytes(state())}),
    )
    again = train_embedder(EmbedderTrainer(*halves, backbone, params), state=tensors_from_bytes(saved[4]))
    for name, values in whole.weights.items():
        np.testing.assert_array_equal(values, again.weights[name])
    vectors = embed(whole, rows)
    assert vectors.shape == (72, 8)
    # Pixels as float32, which is how stages keep them, and a row alone or among others: the same bits.
    np.testing.assert_array_equal(embed(whole, rows.astype(np.float32)), vectors)
    np.testing.assert_array_equal(embed(whole, rows[5:6]), vectors[5:6])
    coloured = network(backbone, (28, 28, 3)).eval()
    assert coloured(as_input(np.repeat(rows[:2, :, :, None], 3, axis=3))).shape == (2, 8)


@pytest.mark.parametrize(("width", "hidden", "dimensions"), [(64, 0, 6), (300, 0, 64), (100, 32, 16)])
def test_a_row_has_the_same_embedding_at_any_place(width: int, hidden: int, dimensions: int) -> None:
    random = np.random.default_rng(width)
    net = network(BackboneParams("head", dimensions, hidden=hidden), (width,))
    rows = random.standard_normal((300, width)).astype(np.float32)
    whole, order = embed_with(net, rows), random.permutation(len(rows))
    np.testing.assert_array_equal(embed_with(net, rows[order]), whole[order])
    for place in range(5):
        np.testing.assert_array_equal(embed_with(net, rows[[place]]), whole[[place]])


def test_a_users_own_module_is_trained() -> None:
    backbone = BackboneParams("module", module="torch.nn:Linear", arguments={"in_features": 24, "out_features": 5})
    made = train_embedder(trainer(replace(PARAMS, steps=15), backbone=backbone))
    assert embed(made, world()[0]).shape == (288, 5)
    for name, why in (("torch.nn:Nothing", "AttributeError"), ("no_such_package:Net", "ModuleNotFoundError")):
        wrong = replace(backbone, module=name)
        with pytest.raises(ValueError, match=f"backbone {name}: expected a torch.nn.Module .*{why}"):
            network(wrong, (24,))
    with pytest.raises(ValueError, match=r"torch:arange: expected a torch\.nn\.Module, got Tensor"):
        network(BackboneParams("module", module="torch:arange", arguments={"end": 3}), (24,))


def test_training_ends_where_validation_no_longer_grows_and_keeps_the_best() -> None:
    rows, labels = world()
    noise = np.random.default_rng(0).permutation(labels)
    params = replace(PARAMS, steps=2000, check_every=10, patience=2)
    made = train_embedder(EmbedderTrainer(rows, noise, *world(seed=1), HEAD, params))
    assert len(made.checks) == made.best + 3
    assert made.checks[-1].step < 2000


def test_the_learning_rate_falls_as_a_cosine() -> None:
    rates = [rate_at(step, 100, 0.5) for step in (0, 50, 100)]
    assert rates == pytest.approx([0.5, 0.5 * (0.01 + 0.495), 0.005])
    warmed = [rate_at(step, 100, 0.5, warmup=4) / rate_at(step, 100, 0.5) for step in (0, 1, 3, 4, 50)]
    assert warmed == pytest.approx([0.2, 0.4, 0.8, 1, 1])


def test_shifted_images_are_the_images_moved() -> None:
    rows, _ = images()
    moved = shifted(rows[:20], 2, np.random.default_rng(0))
    for one, found in zip(rows, moved, strict=False):
        padded = np.pad(one, 2, mode="edge")
        assert any((padded[y : y + 28, x : x + 28] == found).all() for y in range(5) for x in range(5))
    assert (moved != rows[:20]).any()


def test_an_embedding_right_on_its_proxy_has_a_finite_gradient() -> None:
    loss = base_loss("arcface", 2, 2)
    with torch.no_grad():
        loss.W.copy_(torch.eye(2))
    rows = torch.eye(2, requires_grad=True)
    loss(rows, torch.tensor([0, 1])).backward()
    assert torch.isfinite(rows.grad).all()


def test_what_cannot_be_trained_is_refused() -> None:
    rows, labels = world()
    with pytest.raises(ValueError, match=r"training: expected a loss among multi_similarity, .*, got 'triplet'"):
        TrainingParams(loss="triplet")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="training: expected steps, rate within bounds"):
        TrainingParams(steps=0, rate=0)
    with pytest.raises(ValueError, match="backbone: expected head, conv, vit or module, got 'cnn'"):
        BackboneParams("cnn")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"backbone: expected 'package\.module:Name' for a module"):
        BackboneParams("module")
    with pytest.raises(ValueError, match=r"backbone conv: expected images, got inputs of shape \(24,\)"):
        network(BackboneParams("conv"), (24,))
    with pytest.raises(ValueError, match="backbone conv: expected images of at least 16 × 16 pixels, got 8 × 8"):
        network(BackboneParams("conv"), (8, 8))
    with pytest.raises(ValueError, match="validation: expected a class with two rows, got none"):
        train_embedder(EmbedderTrainer(rows, labels, rows[::12], labels[::12], HEAD, PARAMS))
    with pytest.raises(ValueError, match=r"training: expected a finite loss at step \d+, got nan"):
        train_embedder(EmbedderTrainer(np.full_like(rows, np.nan), labels, rows, labels, HEAD, PARAMS))
    made = train_embedder(trainer(replace(PARAMS, steps=5, check_every=5)))
    with pytest.raises(ValueError, match=r"embedder: expected inputs of shape \(24,\), got \(23,\)"):
        embed(made, rows[:, 1:])
    with pytest.raises(ValueError, match="state: expected that of this network, got another"):
        trainer(backbone=replace(HEAD, dimensions=4)).restore(trainer().state())


@pytest.mark.parametrize("length", [1e30, 1e20, 1.0, 1e-25, 1e-40])
def test_embeddings_of_any_length_are_scaled_to_one(length: float) -> None:
    """And those of usual lengths to the same bits as ever."""
    from fingerpost.tasks.metric.networks import _Unit

    rows = np.random.default_rng(0).standard_normal((5, 4))
    given = torch.from_numpy((rows * length).astype(np.float32))
    expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert _Unit()(given).numpy() == pytest.approx(expected, abs=1e-4)
    if length == 1.0:
        assert torch.equal(_Unit()(given), torch.nn.functional.normalize(given, dim=1))
