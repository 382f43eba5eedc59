"""A two-tower network: n-grams of queries and labels embedded in one space, trained with in-batch negatives.

Sources: Huang et al., CIKM 2013 (n-gram towers); Yi et al., RecSys 2019 (in-batch softmax with the logQ correction).
Deviations: one dense layer per tower, initialised to the identity; a label has a vector of its own besides its text's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.corpus.svd import project
from fingerpost.tasks.xmr.metrics import hits, recall_at
from fingerpost.tasks.xmr.ranking import Ranking
from fingerpost.tasks.xmr.sparse_rows import MatrixError, checked_rows
from fingerpost.tasks.xmr.towers import Batch, TowerParams, Towers, TowerTraining


@dataclass
class _Progress:
    """Progress of a training; all of its state but the clock."""

    epoch: int = 0
    steps: int = 0
    best: int = -1
    recalls: list[float] = field(default_factory=list)
    out_of_time: bool = False


class TowerTrainer:
    """Trains epoch by epoch, so that a long training can be stopped and resumed."""

    def __init__(
        self,
        queries: sparse.csr_array,
        labels: sparse.csr_array,
        targets: sparse.csr_array,
        params: TowerParams = TowerParams(),
    ) -> None:
        """Checks the data and holds out the validation rows.

        queries: CSR (n, d).
        labels: CSR (l, d), features of label texts; rows may be empty.
        targets: CSR (n, l), weights of the pairs.

        Raises MatrixError for shapes that do not fit, and for fewer than 2 rows.
        """
        self.params = params
        self._queries, self._labels = checked_rows(queries, "queries"), checked_rows(labels, "labels")
        self._targets = checked_rows(targets, "targets", columns=labels.shape[0])
        if queries.shape[1] != labels.shape[1] or queries.shape[0] != targets.shape[0]:
            raise MatrixError(
                "two towers: expected queries and labels of one vocabulary and one target row per query, got "
                f"{queries.shape}, {labels.shape}, {targets.shape}; featurize both with one vocabulary"
            )
        self._split()
        # Local imports: torch is optional, and this module must be importable without it.
        from fingerpost.tasks.determinism import one_thread
        from fingerpost.tasks.xmr.tower_net import TowerNet

        self._one_thread = one_thread
        self._net = TowerNet(
            queries.shape[1], labels.shape[0], params.dimensions, own=params.label_vectors, seed=params.seed
        )
        self._at = _Progress()

    def _split(self) -> None:
        rows = self._targets.shape[0]
        held = min(int(np.ceil(rows * self.params.validation)), self.params.validation_rows, rows - 1)
        if held < 1:
            raise MatrixError(
                f"queries: expected at least 2 rows, got {rows}; add rows, some are held out for validation"
            )
        order = np.random.default_rng([self.params.seed, 1]).permutation(rows)
        self._held = np.sort(order[:held])
        is_training = np.ones(rows, dtype=bool)
        is_training[self._held] = False
        of_entry = np.repeat(np.arange(rows), np.diff(self._targets.indptr))
        chosen = is_training[of_entry]
        self._pairs = np.stack([of_entry[chosen], self._targets.indices[chosen]], axis=1)
        if not len(self._pairs):
            raise MatrixError("targets: expected at least one label outside the validation rows, got none; add rows")
        weights = self._targets.data[chosen]
        self._weights = (weights / weights.mean()).astype(np.float32)
        shares = np.bincount(self._pairs[:, 1], minlength=self._targets.shape[1]) / len(self._pairs)
        self._log_share = np.log(np.maximum(shares, 1e-12)).astype(np.float32)

    def _batch(self, chosen: NDArray[np.int64]) -> Batch:
        rows, labels = self._pairs[chosen, 0], self._pairs[chosen, 1]
        also = self._targets[rows][:, labels].toarray() > 0
        np.fill_diagonal(also, False)
        return Batch(
            self._queries[rows], self._labels[labels], labels, also, self._log_share[labels], self._weights[chosen]
        )

    def run_epoch(self, *, until: float = np.inf, clock: Callable[[], float] | None = None) -> None:
        """One pass over all pairs, in an order fixed by seed and epoch, then the recall of the validation rows."""
        order = np.random.default_rng([self.params.seed, 2, self._at.epoch]).permutation(len(self._pairs))
        with self._one_thread():
            for begin in range(0, len(order), self.params.batch):
                if clock is not None and clock() >= until:
                    self._at.out_of_time = True
                    break
                batch = self._batch(order[begin : begin + self.params.batch])
                self._net.step(batch, temperature=self.params.temperature, rate=self.params.rate)
                self._at.steps += 1
        recall = self._recall()
        if self._at.best < 0 or recall > self._at.recalls[self._at.best]:
            self._at.best = self._at.epoch
            self._net.keep()
        self._at.recalls.append(recall)
        self._at.epoch += 1

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return self._at.epoch

    @property
    def finished(self) -> bool:
        """Whether training is complete."""
        at = self._at
        return at.out_of_time or at.epoch >= self.params.epochs or at.epoch - 1 - at.best >= self.params.patience > 0

    def _recall(self) -> float:
        """Recall@10 of the validation rows with the current weights."""
        towers = self._towers(best=False)
        dense = project(self._queries[self._held], towers.components)
        scores = dense @ towers.vectors.T
        k = min(10, scores.shape[1])
        ids = np.argsort(-scores, axis=1, kind="stable")[:, :k].astype(np.uint32)
        truth = self._targets[self._held]
        hit = hits(Ranking(ids, np.zeros(ids.shape, np.float32)), truth)
        return recall_at(hit, np.diff(truth.indptr).astype(np.int64), k)

    def _towers(self, *, best: bool) -> Towers:
        arrays = self._net.weights(best=best)
        vectors = np.asarray(self._labels @ (arrays["table"] @ arrays["label_layer"]))
        vectors = vectors + arrays["label_vectors"] if "label_vectors" in arrays else vectors
        norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        norms[norms == 0] = 1.0
        components = np.ascontiguousarray(arrays["table"] @ arrays["query_layer"], dtype=np.float32)
        return Towers(components, np.ascontiguousarray((vectors / norms[:, None]).astype(np.float32)))

    def result(self) -> TowerTraining:
        """The towers of the best epoch so far."""
        at = self._at
        return TowerTraining(self._towers(best=True), list(at.recalls), at.best, at.steps, at.out_of_time)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """The state between epochs, as arrays by name: all that :meth:`restore` needs besides data and parameters."""
        at = self._at
        return self._net.state() | {
            "progress": np.array([at.epoch, at.steps, at.best, int(at.out_of_time)], dtype=np.int64),
            "recalls": np.array(at.recalls, dtype=np.float64),
        }

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Resumes from a saved state, with results identical to those of an uninterrupted training."""
        try:
            self._net.restore(state)
        except ValueError as problem:
            raise MatrixError(str(problem)) from problem
        epoch, steps, best, out_of_time = (int(value) for value in state["progress"])
        self._at = _Progress(epoch, steps, best, [float(value) for value in state["recalls"]], bool(out_of_time))


def train_towers(
    queries: sparse.csr_array,
    labels: sparse.csr_array,
    targets: sparse.csr_array,
    params: TowerParams = TowerParams(),
    *,
    state: Mapping[str, NDArray[np.generic]] | None = None,
    save: Callable[[int, dict[str, NDArray[np.generic]]], None] | None = None,
    clock: Callable[[], float] | None = None,
) -> TowerTraining:
    """Trains until the recall no longer improves or the time limit is reached.

    state: a saved state to resume from.
    save: called with epoch and state after each epoch.
    clock: seconds; required for a time limit, else ValueError.
    """
    if params.seconds and clock is None:
        raise ValueError(
            f"clock: expected one for a limit of {params.seconds:g} seconds, got none; pass time.monotonic"
        )
    until = clock() + params.seconds if clock is not None and params.seconds else np.inf
    trainer = TowerTrainer(queries, labels, targets, params)
    if state is not None:
        trainer.restore(state)
    while not trainer.finished:
        trainer.run_epoch(until=until, clock=clock)
        if save is not None:
            save(trainer.epoch, trainer.state())
    return trainer.result()
