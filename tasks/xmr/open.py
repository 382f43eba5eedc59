"""Readers of committed xmr artifacts, up to a ranker that answers queries, without Prefect or Dask.

``live()`` opens the published ranker::

    from fingerpost.tasks.xmr.open import live
    answers = live().rank("return a sorted copy of an array")
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from fingerpost.schemas import corpus
from fingerpost.schemas import xmr as contracts
from fingerpost.schemas.errors import CorruptArtifactError
from fingerpost.schemas.manifests import FileEntry, Manifest
from fingerpost.schemas.mapped_arrays import arrays_from_arrow
from fingerpost.schemas.matrices import fixed_matrix, sparse_from_arrow, tensors_from_arrow
from fingerpost.schemas.packed_texts import packed_from_arrow
from fingerpost.schemas.publish import Pointer, published_collection
from fingerpost.schemas.records import count, positive
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Artifact, Store, find_store, parameters_of
from fingerpost.tasks.answer_count import checked_count
from fingerpost.tasks.corpus.open import ngram_params, read_features, read_featurizer, tfidf_params
from fingerpost.tasks.corpus.packed_featurizer import PackedFeaturizer
from fingerpost.tasks.recent import Recent
from fingerpost.tasks.results import Opened
from fingerpost.tasks.xmr.calibration import IsotonicCalibrator
from fingerpost.tasks.xmr.ensembles import Ensemble
from fingerpost.tasks.xmr.label_blocks import block_of, by_level, tree_of
from fingerpost.tasks.xmr.model import RankerModel
from fingerpost.tasks.xmr.packed import packed_model, placed_arrays
from fingerpost.tasks.xmr.query_texts import query_text
from fingerpost.tasks.xmr.ranking import NONE, BeamParams, Ranker, Ranking
from fingerpost.tasks.xmr.sparse_rows import checked_rows
from fingerpost.tasks.xmr.tree import LabelTree

if TYPE_CHECKING:  # imported where they are used: they bring scipy along, which ranking does without
    from scipy import sparse

    from fingerpost.tasks.corpus.tfidf import Featurizer
    from fingerpost.tasks.xmr.interactions import RowParams, TrainingRows

PRODUCT = contracts.RANKER.name


def read_targets(artifact: Artifact) -> "sparse.csr_array":
    """Chosen labels of each query: CSR of weights (queries, labels)."""
    return sparse_from_arrow(artifact.read("targets"), columns=artifact.figure("labels", count))


def read_negatives(artifact: Artifact) -> "sparse.csr_array | None":
    """User-supplied negatives of each query: CSR of ones (queries, labels); None where the input has none."""
    if "negatives" not in artifact.quality:
        return None
    return sparse_from_arrow(artifact.read("negatives"), columns=artifact.figure("labels", count))


def read_label_features(artifact: Artifact) -> "sparse.csr_array":
    """Label features, CSR (labels, columns): the input of the clustering."""
    matrix = sparse_from_arrow(artifact.read("features"), columns=artifact.figure("columns", count))
    matrix.indptr, matrix.indices = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
    return matrix


def read_tree(artifact: Artifact) -> LabelTree:
    """The label tree of an artifact."""
    return tree_of(tensors_from_arrow(artifact.read("tree")))


def read_model(artifact: Artifact, tree: LabelTree, *, mapped: Path | None = None) -> RankerModel:
    """The model of an artifact, read block by block.

    With ``mapped``, the arrays of each block are written to files of that folder once and mapped from there: of a model
    larger than memory, only the parts that queries touch are read. Checksums are verified before the files are written.
    """
    blocks = []
    for entry in artifact.entries("weights"):
        arrays = _mapped(artifact, entry, mapped) if mapped else _block(artifact, entry)
        blocks.append(block_of(arrays))
    return RankerModel(
        artifact.figure("features", count), tree, by_level(blocks, tree.depth), artifact.figure("normalised", bool)
    )


def _block(artifact: Artifact, entry: FileEntry) -> dict[str, np.ndarray]:
    return tensors_from_arrow(artifact.read("weights", shard=entry.shard))


def _mapped(artifact: Artifact, entry: FileEntry, folder: Path) -> dict[str, np.ndarray]:
    """The arrays of a block, mapped from files in a folder named by its checksum; their list is written last."""
    block_folder = folder / entry.sha256
    listing = block_folder / "arrays.json"
    if not listing.is_file():
        block_folder.mkdir(parents=True, exist_ok=True)
        arrays = _block(artifact, entry)
        for name, array in arrays.items():
            partial = block_folder / f"{name}.{hashlib.sha256(str(id(arrays)).encode()).hexdigest()[:8]}"
            partial.write_bytes(array.tobytes())
            partial.replace(block_folder / name)
        shapes = {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}
        partial = block_folder / "arrays.partial"
        partial.write_text(json.dumps(shapes))
        partial.replace(listing)
    shapes = json.loads(listing.read_text())
    return {name: _map(block_folder / name, dtype, tuple(shape)) for name, (dtype, shape) in shapes.items()}


def _map(file: Path, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    if 0 in shape or not shape:
        return np.frombuffer(file.read_bytes(), dtype=dtype).reshape(shape)
    return np.memmap(file, dtype=dtype, mode="r", shape=shape)


def rows_of(queries: pa.Table, parts: tuple[str, ...]) -> np.ndarray:
    """Indices of the queries of some splits, int64."""
    import pyarrow.compute as pc

    return np.flatnonzero(pc.is_in(queries["split"], value_set=pa.array(parts)).to_numpy())


#: The training rows read last, because consecutive shards read the same.
_training_rows: "Recent[tuple[str, Ref, Ref, RowParams], TrainingRows]" = Recent()


def read_training(store: Store, interactions: Ref, features: Ref, params: "RowParams") -> "TrainingRows":
    """The rows that a ranker is trained on, cached until others are read."""
    key = (store.url, interactions, features, params)
    return _training_rows.get(key, lambda: _read_training(store, interactions, features, params))


def _read_training(store: Store, interactions: Ref, features: Ref, params: "RowParams") -> "TrainingRows":
    from fingerpost.tasks.xmr.interactions import TRAINING, training_rows

    artifact = store.open(interactions, contracts.INTERACTIONS)
    mine = rows_of(artifact.read("queries"), (TRAINING,))
    rows = read_features(store.open(features, corpus.FEATURES))
    unwanted = read_negatives(artifact)
    negatives = None if unwanted is None else checked_rows(unwanted[mine], "negatives")
    return training_rows(rows, read_targets(artifact)[mine], params, negatives)


def read_ranking(store: Store, interactions: Ref, predictions: Ref, part: str) -> tuple[Ranking, "sparse.csr_array"]:
    """The predictions for the queries of a split, and the chosen labels of these, CSR (queries, labels)."""
    artifact = store.open(interactions, contracts.INTERACTIONS)
    table = store.open(predictions, contracts.PREDICTIONS).read("ranking")
    held = table["query"].to_numpy()
    rows = np.flatnonzero(np.isin(held, rows_of(artifact.read("queries"), (part,))))
    ids, scores = (fixed_matrix(table[name])[rows] for name in ("labels", "scores"))
    return Ranking(ids, scores), read_targets(artifact)[held[rows]]


def read_held(
    store: Store, interactions: Ref, features: Ref, parts: tuple[str, ...]
) -> "tuple[sparse.csr_array, sparse.csr_array]":
    """Features CSR (q, d) and chosen labels CSR (q, labels) of the held-out queries of some splits."""
    from fingerpost.tasks.xmr.interactions import CALIBRATION, TEST

    artifact = store.open(interactions, contracts.INTERACTIONS)
    queries = artifact.read("queries")
    held, mine = rows_of(queries, (CALIBRATION, TEST)), rows_of(queries, parts)
    rows = read_features(store.open(features, corpus.FEATURES))[np.flatnonzero(np.isin(held, mine))]
    return checked_rows(rows, "queries"), checked_rows(read_targets(artifact)[mine], "truth")


def label_counts(store: Store, interactions: Ref) -> tuple[np.ndarray, int]:
    """Number of training queries of each label, int64 (labels,), and of all training queries."""
    from fingerpost.tasks.xmr.interactions import TRAINING

    artifact = store.open(interactions, contracts.INTERACTIONS)
    mine = rows_of(artifact.read("queries"), (TRAINING,))
    chosen = read_targets(artifact)[mine]
    return np.bincount(chosen.indices, minlength=chosen.shape[1]).astype(np.int64), len(mine)


def open_ranker(store: Store, tree: Ref, model: Ref, beam: BeamParams, *, mapped: Path | None = None) -> Ranker:
    """A ranker over a committed tree and its weights, with the beam of :func:`beam_of`."""
    label_tree = read_tree(store.open(tree, contracts.TREE))
    weights = read_model(store.open(model, contracts.MODEL), label_tree, mapped=mapped)
    return Ranker(weights, beam_of(store, model, beam))


def beam_of(store: Store, model: Ref, beam: BeamParams) -> BeamParams:
    """The beam that a sweep chose for the model, if any, else ``beam``."""
    return replace(beam, beam=store.manifest(model).quality.get("beam", beam.beam))


def member_roles(members: Collection[str]) -> list[tuple[str, str]]:
    """Roles of the tree and the weights of each ranker of an ensemble; those of the first have no number.

    Where a sweep chose a setting, the weights are the pruned ones.
    """
    roles: list[tuple[str, str]] = []
    while (tree := numbered("tree", len(roles))) in members:
        pruned, model = (numbered(name, len(roles)) for name in ("pruned", "model"))
        roles.append((tree, pruned if pruned in members else model))
    return roles


#: Prefix of the roles of what was trained again on all queries after it was measured.
FINAL = "final_"


def served_roles(members: Collection[str]) -> list[tuple[str, str]]:
    """Roles of the tree and the weights of each ranker that answers: those trained on all queries, if there are any.

    Those of :func:`member_roles` are what was measured.
    """
    return [(tree, FINAL + model if FINAL + model in members else model) for tree, model in member_roles(members)]


def numbered(role: str, index: int) -> str:
    """Role of an ensemble's member at an index; that of the first has no number."""
    return f"{role}_{index}" if index else role


@dataclass(frozen=True)
class RankedLabel:
    """One answer.

    score: higher is better.
    probability: calibrated probability that the label is right; None where no queries were held out for calibration.
    """

    id: str
    name: str
    score: float
    probability: float | None


def read_packed_featurizer(artifact: Artifact, store: Store, *, ngrams: Ref, features: Ref) -> PackedFeaturizer:
    """The featurizer of a packed ranker, over mapped files, with the parameters of its n-grams and features."""
    arrays = arrays_from_arrow(artifact.mapped("vocabulary"))
    offsets, letters = packed_from_arrow(artifact.mapped("terms")["term"])
    held = parameters_of(store, ngrams, ngram_params), parameters_of(store, features, tfidf_params)
    try:
        sizes = tuple(arrays["sizes"].tolist())
        frequencies = tuple(arrays[f"frequencies_{number:02d}"] for number in range(len(sizes)))
        return PackedFeaturizer(int(arrays["documents"]), sizes, offsets, letters, frequencies, *held)
    except (KeyError, ValueError, TypeError) as problem:
        raise _damaged(artifact, problem) from problem


def read_packed_models(artifact: Artifact, models: Sequence[Artifact]) -> list[RankerModel]:
    """The rankers of a packed one, over mapped files: of the weights only the parts that queries touch are read.

    models: the artifacts of the weights that were packed, for what they were trained with.
    """
    trees = placed_arrays(arrays_from_arrow(artifact.mapped("trees")))
    weights = placed_arrays(arrays_from_arrow(artifact.mapped("weights")))
    try:
        return [
            packed_model(
                trees[(member,)],
                {place: held for place, held in weights.items() if place[0] == member},
                features=model.figure("features", count),
                normalised=model.figure("normalised", bool),
            )
            for member, model in enumerate(models)
        ]
    except (KeyError, ValueError, TypeError, IndexError) as problem:
        raise _damaged(artifact, problem) from problem


def _damaged(artifact: Artifact, problem: Exception) -> CorruptArtifactError:
    return CorruptArtifactError(
        f"artifact {artifact.ref}: expected the arrays of a packed ranker, found others ({problem}); rebuild the artifact"
        " with --force"
    )


class LiveRanker(Opened):
    """A ranker release, opened lazily.

    It is used where its files lie, shared with other processes that do so, if the store is a folder. A release of a version
    before, or one on object storage, is read, and every file verified against its checksum; and so are all with
    ``verified``. ``mapped``: folder to map weights from, of such a model larger than memory. ``measured``: whether what
    answers is what was measured, which has not seen the held-out queries.
    """

    def __init__(
        self,
        store: Store,
        ref: Ref,
        *,
        mapped: str | Path | None = None,
        measured: bool = False,
        verified: bool = False,
    ) -> None:
        self.store, self.ref = store, ref
        release = store.open(ref, contracts.RANKER)
        self.members = read_members(store, ref)
        self.manifest: Manifest = release.manifest
        self._release = release
        self._mapped = Path(mapped) if mapped else None
        self.roles = (member_roles if measured else served_roles)(self.members)
        lies = "packed" in self.members and store.files.local and not (measured or verified or mapped)
        self._packed = store.open(self.members["packed"], contracts.PACKED) if lies else None

    @cached_property
    def features(self) -> "PackedFeaturizer | Featurizer":
        """Maps query texts to the features of the training queries, as sparse rows."""
        if self._packed is None:
            return self.featurizer
        read = {role: self.members[role] for role in ("ngrams", "features")}
        return read_packed_featurizer(self._packed, self.store, **read)

    @cached_property
    def featurizer(self) -> "Featurizer":
        """The same with the terms of its vocabulary as texts."""
        return read_featurizer(
            self.store, **{role: self.members[role] for role in ("vocabulary", "ngrams", "features")}
        )

    @cached_property
    def ranker(self) -> Ranker | Ensemble:
        """The ranker, or the ensemble, with the search parameters that the release was evaluated with."""
        quality = self.manifest.quality
        beam = BeamParams(self._release.figure("beam", positive), self._release.figure("post_processor", str))
        rankers = self._packed_rankers(beam) if self._packed else self._read_rankers(beam)
        return rankers[0] if len(rankers) == 1 else Ensemble(rankers, quality["combination"], quality["depth"])

    def _packed_rankers(self, beam: BeamParams) -> list[Ranker]:
        assert self._packed is not None
        refs = [self.members[model] for _, model in self.roles]
        models = read_packed_models(self._packed, [self.store.open(ref, contracts.MODEL) for ref in refs])
        try:
            return [Ranker(model, beam_of(self.store, ref, beam)) for model, ref in zip(models, refs, strict=True)]
        except ValueError as problem:
            raise _damaged(self._packed, problem) from problem

    def _read_rankers(self, beam: BeamParams) -> list[Ranker]:
        return [
            open_ranker(self.store, self.members[tree], self.members[model], beam, mapped=self._mapped)
            for tree, model in self.roles
        ]

    @cached_property
    def label_rows(self) -> pa.Table:
        """The labels, with id and name, one per row of the ranker."""
        if self._packed is not None:
            return self._packed.mapped("labels")
        return self.store.open(self.members["interactions"], contracts.INTERACTIONS).read("labels")

    @cached_property
    def labels(self) -> tuple[list[str], list[str]]:
        """Ids and names of all labels as lists, which takes time and memory: answers get along without."""
        return self.label_rows["id"].to_pylist(), self.label_rows["name"].to_pylist()

    @cached_property
    def calibrator(self) -> IsotonicCalibrator | None:
        """Maps scores to probabilities; None where no queries were held out to fit it."""
        if "calibration" not in self.members:
            return None
        arrays = tensors_from_arrow(
            self.store.open(self.members["calibration"], contracts.CALIBRATION).read("calibration")
        )
        return IsotonicCalibrator(arrays["knots"], arrays["levels"]) if len(arrays["knots"]) else None

    def to_arrow(self) -> pa.Table:
        """The labels: id and name."""
        return self.label_rows.select(["id", "name"])

    def load(self) -> "LiveRanker":
        """Reads and verifies all parts now; returns the ranker itself."""
        for part in ("features", "ranker", "label_rows", "calibrator"):
            getattr(self, part)
        return self

    def rank(self, text: str, k: int = 10) -> list[RankedLabel]:
        """The k best labels for a text; none for a text without a known word."""
        return self.rank_many([text], k)[0]

    def rank_many(self, texts: list[str], k: int = 10, *, threads: int = 1) -> list[list[RankedLabel]]:
        """The k best labels for each text; FingerpostError for a k below 0."""
        if not checked_count(k) or not texts:
            return [[] for _ in texts]
        rows = self.features.transform([query_text(text) for text in texts])
        ranking = self.ranker.rank(rows, k, threads=threads)
        keys, names = self.label_rows["id"], self.label_rows["name"]
        probabilities = self.calibrator.probabilities(ranking.scores).tolist() if self.calibrator else None
        has_features = (rows.indptr[1:] > rows.indptr[:-1]).tolist()
        answers: list[list[RankedLabel]] = []
        for row, (ids, scores) in enumerate(zip(ranking.ids.tolist(), ranking.scores.tolist(), strict=True)):
            answers.append(
                [
                    RankedLabel(
                        keys[label].as_py(),
                        names[label].as_py(),
                        score,
                        probabilities[row][rank] if probabilities else None,
                    )
                    for rank, (label, score) in enumerate(zip(ids, scores, strict=True))
                    if has_features[row] and label != NONE
                ]
            )
        return answers


def live(
    collection: str | None = None,
    *,
    store: str | None = None,
    mapped: str | Path | None = None,
    verified: bool = False,
) -> LiveRanker:
    """The published ranker of a collection.

    collection: by default the only one with a published ranker, or ``python-docs``.
    store: folder or URL; by default ``FINGERPOST_STORE``, else the nearest ``.fingerpost`` in this folder or above.
    mapped: folder to map weights from, for a model larger than memory, of a store that is no folder or a release of a version
    before. verified: whether all files are read and verified, in place of being used where they lie.

    Raises MissingArtifactError where no ranker is published.
    """
    opened = Store(store or find_store()).checked()
    chosen = published_collection(opened, collection, product=PRODUCT)
    release = Pointer(opened, chosen, PRODUCT).required().artifact
    return LiveRanker(opened, release, mapped=mapped, verified=verified)
