"""The two-tower network: learns, repeats itself, is taken up again, stops in time."""

import numpy as np
import pytest
from scipy import sparse

from fingerpost.schemas.matrices import tensors_from_arrow, tensors_to_arrow
from fingerpost.tasks.corpus.ngrams import FamilyParams, NgramParams
from fingerpost.tasks.xmr.baselines import featurizer_of
from fingerpost.tasks.xmr.frequent import FrequentLabels
from fingerpost.tasks.xmr.metrics import hits, recall_at
from fingerpost.tasks.xmr.sparse_rows import MatrixError, checked_rows
from tests.unit.xmr.worlds import topic_problem

pytest.importorskip("torch")

import torch

from fingerpost.tasks.determinism import one_thread
from fingerpost.tasks.xmr.towers import TOWER_TFIDF, TowerParams
from fingerpost.tasks.xmr.two_tower import TowerTrainer, train_towers

PARAMS = TowerParams(dimensions=16, batch=64, epochs=3)


def no_text(labels: int, features: int) -> sparse.csr_array:
    return checked_rows(sparse.csr_array((labels, features), dtype=np.float32), "labels")


def world(rows: int = 400):
    features, targets = topic_problem(5, rows=rows)
    return features, no_text(targets.shape[1], features.shape[1]), targets


def test_towers_learn_labels_without_text() -> None:
    features, nothing, targets = world(1100)
    training = train_towers(features[:1000], nothing, targets[:1000], TowerParams(dimensions=32, batch=128, epochs=8))
    truth, sizes = targets[1000:], np.diff(targets[1000:].indptr)
    ours = recall_at(hits(training.towers.index().rank(features[1000:], 10), truth), sizes, 10)
    counts = np.bincount(targets[:1000].indices, minlength=60)
    assert ours > 3 * recall_at(hits(FrequentLabels(counts).rank(features[1000:], 10), truth), sizes, 10)
    assert ours > 0.8
    assert training.recalls[training.best] == max(training.recalls)
    np.testing.assert_allclose(np.linalg.norm(training.towers.vectors, axis=1), 1, atol=1e-6)


def test_towers_find_unseen_labels_by_their_text() -> None:
    rng = np.random.default_rng(0)
    words = [f"w{number:03d}" for number in range(120)]
    texts = [" ".join(rng.choice(words, 4, replace=False)) for _ in range(150)]
    rows = np.concatenate([np.arange(120)] * 6)
    queries = [" ".join(rng.permutation(texts[label].split())[:3]) for label in rows]
    ngrams = NgramParams((FamilyParams("word", 1, 1, buckets=512), FamilyParams("char", 3, 3, buckets=512)), 0, 0, 1)
    featurizer = featurizer_of(texts, ngrams, TOWER_TFIDF)
    targets = sparse.csr_array((np.ones(len(rows), np.float32), (np.arange(len(rows)), rows)), shape=(len(rows), 150))
    training = train_towers(
        featurizer.transform(queries),
        featurizer.transform(texts),
        targets,
        TowerParams(dimensions=32, batch=128, epochs=6, label_vectors=False),
    )
    asked = [" ".join(texts[label].split()[:3]) for label in range(120, 150)]
    best = training.towers.index().rank(featurizer.transform(asked), 1).ids[:, 0]
    assert (best == np.arange(120, 150)).mean() > 0.8


def test_the_same_seed_gives_the_same_bits() -> None:
    data = world()
    one, two = train_towers(*data, PARAMS), train_towers(*data, PARAMS)
    np.testing.assert_array_equal(one.towers.components, two.towers.components)
    np.testing.assert_array_equal(one.towers.vectors, two.towers.vectors)
    other = train_towers(*data, TowerParams(dimensions=16, batch=64, epochs=3, seed=1))
    assert (one.towers.vectors != other.towers.vectors).any()


def test_a_training_taken_up_from_arrays_ends_alike() -> None:
    data = world()
    saved: dict[int, dict] = {}
    whole = train_towers(*data, PARAMS, save=lambda epoch, state: saved.__setitem__(epoch, state))
    assert sorted(saved) == [1, 2, 3]
    # As the workspace keeps it: plain tensors in a table.
    state = tensors_from_arrow(tensors_to_arrow(saved[1]))
    again = train_towers(*data, PARAMS, state=state)
    np.testing.assert_array_equal(whole.towers.components, again.towers.components)
    np.testing.assert_array_equal(whole.towers.vectors, again.towers.vectors)
    assert (whole.recalls, whole.best, whole.steps) == (again.recalls, again.best, again.steps)
    with pytest.raises(MatrixError, match=r"state: expected table of shape \(150, 8\)"):
        TowerTrainer(*data, TowerParams(dimensions=8)).restore(state)


def test_training_stops_where_recall_no_longer_grows() -> None:
    features, nothing, targets = world()
    noise = targets[np.random.default_rng(0).permutation(targets.shape[0])]
    training = train_towers(features, nothing, noise, TowerParams(dimensions=8, batch=64, epochs=60, patience=2))
    assert len(training.recalls) == training.best + 3 < 60


def test_training_stops_in_time_and_between_steps() -> None:
    ticks = iter(range(10**6))
    training = train_towers(
        *world(), TowerParams(dimensions=8, batch=64, epochs=50, seconds=15), clock=lambda: next(ticks)
    )
    assert training.out_of_time
    assert training.steps == 14
    assert len(training.recalls) == 2


@pytest.mark.parametrize("threads", [1, 2])
def test_torch_is_left_as_it_was(threads: int) -> None:
    first = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
        assert before[0] == threads
        inside = []
        with one_thread():
            inside.append((torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()))
        assert inside == [(1, True)]
        with pytest.raises(KeyError), one_thread():
            raise KeyError
        assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before
    finally:
        torch.set_num_threads(first)


def test_in_batch_negatives_leave_out_own_labels_and_correct_for_frequency() -> None:
    """The logits of one batch against its definition, on three pairs of two rows."""
    queries = sparse.csr_array(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32))
    targets = sparse.csr_array(np.array([[1, 1], [0, 1], [1, 0]], np.float32))
    trainer = TowerTrainer(queries, no_text(2, 3), targets, TowerParams(dimensions=4, batch=8, validation=0.01))
    held = {int(row) for row in trainer._held}
    pairs = [
        (row, label)
        for row in range(3)
        for label in targets.indices[targets.indptr[row] : targets.indptr[row + 1]]
        if row not in held
    ]
    assert trainer._pairs.tolist() == [[row, label] for row, label in pairs]
    shares = np.array([sum(label == wanted for _, label in pairs) for wanted in range(2)]) / len(pairs)
    np.testing.assert_allclose(trainer._log_share, np.log(np.maximum(shares, 1e-12)), rtol=1e-5)
    table, own = (trainer._net.weights(best=False)[name] for name in ("table", "label_vectors"))
    logits, *_ = trainer._net.logits(trainer._batch(np.arange(len(pairs))), 0.05)
    unit = lambda row: row / np.linalg.norm(row)  # noqa: E731
    expected = np.array(
        [[unit(table[row]) @ unit(own[label]) / 0.05 - np.log(shares[label]) for _, label in pairs] for row, _ in pairs]
    )
    for i, (row, _) in enumerate(pairs):
        for j, (_, label) in enumerate(pairs):
            if i != j and targets[row, label] > 0:
                expected[i, j] = -np.inf
    np.testing.assert_allclose(logits.detach().numpy(), expected, rtol=1e-4)


def test_wrong_parameters_and_data_are_refused() -> None:
    with pytest.raises(ValueError, match="batch: expected at least 1, got 0"):
        TowerParams(batch=0)
    with pytest.raises(ValueError, match="two towers: expected rate and temperature above 0"):
        TowerParams(validation=1.0)
    features, nothing, targets = world()
    with pytest.raises(ValueError, match="clock: expected one for a limit of 5 seconds, got none"):
        train_towers(features, nothing, targets, TowerParams(seconds=5))
    with pytest.raises(MatrixError, match="two towers: expected queries and labels of one vocabulary"):
        TowerTrainer(features, no_text(60, 149), targets)
    with pytest.raises(MatrixError, match="queries: expected at least 2 rows, got 1"):
        TowerTrainer(features[:1], nothing, targets[:1])
