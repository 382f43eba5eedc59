"""From committed xmr artifacts to a ranker that answers, without Prefect or Dask.

``live()`` opens what is published::

    from tasks.xmr.open import live
    answers = live().rank("return a sorted copy of an array")
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from schemas import corpus
from schemas import xmr as contracts
from schemas.manifests import FileEntry, Manifest
from schemas.matrices import fixed_matrix, sparse_from_arrow, tensors_from_arrow
from schemas.publish import Pointer, published_collection
from schemas.refs import Ref
from schemas.releases import read_members
from schemas.store import Artifact, Store, find_store
from tasks.corpus.open import read_features, read_featurizer
from tasks.corpus.tfidf import Featurizer
from tasks.recent import Recent
from tasks.xmr.blocks import block_of, by_level, tree_of
from tasks.xmr.calibration import IsotonicCalibrator
from tasks.xmr.ensembles import Ensemble
from tasks.xmr.interactions import CALIBRATION, TEST, TRAINING, RowParams, TrainingRows, query_text, training_rows
from tasks.xmr.model import RankerModel
from tasks.xmr.ranking import NONE, BeamParams, Ranker, Ranking
from tasks.xmr.sparse_rows import checked_rows
from tasks.xmr.tree import LabelTree

PRODUCT = contracts.RANKER.name


def read_targets(artifact: Artifact) -> sparse.csr_array:
    """What was chosen for each query, with weights: CSR (queries, labels)."""
    return sparse_from_arrow(artifact.read("targets"), columns=artifact.quality["labels"])


def read_negatives(artifact: Artifact) -> sparse.csr_array | None:
    """Which labels were not wanted for each query: CSR of ones (queries, labels); None where no input said so."""
    if "negatives" not in artifact.quality:
        return None
    return sparse_from_arrow(artifact.read("negatives"), columns=artifact.quality["labels"])


def read_label_features(artifact: Artifact) -> sparse.csr_array:
    """What labels are clustered by, CSR (labels, columns)."""
    matrix = sparse_from_arrow(artifact.read("features"), columns=artifact.quality["columns"])
    matrix.indptr, matrix.indices = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
    return matrix


def read_tree(artifact: Artifact) -> LabelTree:
    """The tree of its artifact."""
    return tree_of(tensors_from_arrow(artifact.read("tree")))


def read_model(artifact: Artifact, tree: LabelTree, *, mapped: Path | None = None) -> RankerModel:
    """The weights of their artifact, read block by block.

    With ``mapped``, the arrays of each block are put into files of that folder, once, and mapped from there: of a model
    larger than memory only what queries touch is read. What does not hold its checksum is refused before it is put there.
    """
    blocks = []
    for entry in artifact.entries("weights"):
        arrays = _mapped(artifact, entry, mapped) if mapped else _block(artifact, entry)
        blocks.append(block_of(arrays))
    quality = artifact.quality
    return RankerModel(quality["features"], tree, by_level(blocks), quality["normalised"])


def _block(artifact: Artifact, entry: FileEntry) -> dict[str, np.ndarray]:
    return tensors_from_arrow(artifact.read("weights", shard=entry.shard))


def _mapped(artifact: Artifact, entry: FileEntry, folder: Path) -> dict[str, np.ndarray]:
    """The arrays of a block, mapped from files that are named by its checksum; the list of them is written last."""
    place = folder / entry.sha256
    listed = place / "arrays.json"
    if not listed.is_file():
        place.mkdir(parents=True, exist_ok=True)
        arrays = _block(artifact, entry)
        for name, array in arrays.items():
            partial = place / f"{name}.{hashlib.sha256(str(id(arrays)).encode()).hexdigest()[:8]}"
            partial.write_bytes(array.tobytes())
            partial.replace(place / name)
        forms = {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}
        partial = place / "arrays.partial"
        partial.write_text(json.dumps(forms))
        partial.replace(listed)
    forms = json.loads(listed.read_text())
    return {name: _map(place / name, dtype, tuple(shape)) for name, (dtype, shape) in forms.items()}


def _map(file: Path, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    if 0 in shape or not shape:
        return np.frombuffer(file.read_bytes(), dtype=dtype).reshape(shape)
    return np.memmap(file, dtype=dtype, mode="r", shape=shape)


def rows_of(queries: pa.Table, parts: tuple[str, ...]) -> np.ndarray:
    """The rows of the queries that are for one of these parts."""
    return np.flatnonzero(pc.is_in(queries["split"], value_set=pa.array(parts)).to_numpy())


#: The rows that were read last, since many shards in a row read the same.
_training_rows: Recent[tuple[str, Ref, Ref, RowParams], TrainingRows] = Recent()


def read_training(store: Store, interactions: Ref, features: Ref, params: RowParams) -> TrainingRows:
    """The rows that a ranker is trained on, kept until others are asked for."""
    key = (store.url, interactions, features, params)
    return _training_rows.get(key, lambda: _read_training(store, interactions, features, params))


def _read_training(store: Store, interactions: Ref, features: Ref, params: RowParams) -> TrainingRows:
    artifact = store.open(interactions, contracts.INTERACTIONS)
    mine = rows_of(artifact.read("queries"), (TRAINING,))
    rows = read_features(store.open(features, corpus.FEATURES))
    unwanted = read_negatives(artifact)
    negatives = None if unwanted is None else checked_rows(unwanted[mine], "negatives")
    return training_rows(rows, read_targets(artifact)[mine], params, negatives)


def read_ranking(store: Store, interactions: Ref, predictions: Ref, part: str) -> tuple[Ranking, sparse.csr_array]:
    """The predictions for the queries of a part, and what was chosen for these."""
    artifact = store.open(interactions, contracts.INTERACTIONS)
    table = store.open(predictions, contracts.PREDICTIONS).read("ranking")
    held = table["query"].to_numpy()
    places = np.flatnonzero(np.isin(held, rows_of(artifact.read("queries"), (part,))))
    ids, scores = (fixed_matrix(table[name])[places] for name in ("labels", "scores"))
    return Ranking(ids, scores), read_targets(artifact)[held[places]]


def read_held(
    store: Store, interactions: Ref, features: Ref, parts: tuple[str, ...]
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Features and labels of the queries of some parts that were held out."""
    artifact = store.open(interactions, contracts.INTERACTIONS)
    queries = artifact.read("queries")
    held, mine = rows_of(queries, (CALIBRATION, TEST)), rows_of(queries, parts)
    rows = read_features(store.open(features, corpus.FEATURES))[np.flatnonzero(np.isin(held, mine))]
    return checked_rows(rows, "queries"), checked_rows(read_targets(artifact)[mine], "truth")


def label_counts(store: Store, interactions: Ref) -> tuple[np.ndarray, int]:
    """How many training queries have each label, and how many of them there are."""
    artifact = store.open(interactions, contracts.INTERACTIONS)
    mine = rows_of(artifact.read("queries"), (TRAINING,))
    chosen = read_targets(artifact)[mine]
    return np.bincount(chosen.indices, minlength=chosen.shape[1]).astype(np.int64), len(mine)


def open_ranker(store: Store, tree: Ref, model: Ref, beam: BeamParams, *, mapped: Path | None = None) -> Ranker:
    """A ranker over a committed tree and its weights, searched with the beam of :func:`beam_of`."""
    chain = read_tree(store.open(tree, contracts.TREE))
    weights = read_model(store.open(model, contracts.MODEL), chain, mapped=mapped)
    return Ranker(weights, beam_of(store, model, beam))


def beam_of(store: Store, model: Ref, beam: BeamParams) -> BeamParams:
    """The beam that a sweep chose for a model, else the one given."""
    return replace(beam, beam=store.manifest(model).quality.get("beam", beam.beam))


def member_roles(members: Collection[str]) -> list[tuple[str, str]]:
    """The roles of the tree and of the weights that answer for each ranker of an ensemble, the first with plain names.

    Where a sweep picked a setting, the weights are those that it left.
    """
    found: list[tuple[str, str]] = []
    while (tree := numbered("tree", len(found))) in members:
        pruned, model = (numbered(name, len(found)) for name in ("pruned", "model"))
        found.append((tree, pruned if pruned in members else model))
    return found


def numbered(role: str, place: int) -> str:
    """A role of the ensemble's member at a place: the first's has no number."""
    return f"{role}_{place}" if place else role


@dataclass(frozen=True)
class RankedLabel:
    """One answer: the label's id and name, its score (higher is better), and the chance that it is right, by held-out
    queries; None where there were none.
    """

    id: str
    name: str
    score: float
    chance: float | None


class LiveRanker:
    """A ranker release, opened part by part as questions need it. Every file is verified against its checksum when it is
    read. ``mapped`` is a folder to map weights from, for a model larger than memory.
    """

    def __init__(self, store: Store, ref: Ref, *, mapped: str | Path | None = None) -> None:
        self.store, self.ref = store, ref
        release = store.open(ref, contracts.RANKER)
        self.members = read_members(store, ref)
        self.manifest: Manifest = release.manifest
        self._mapped = Path(mapped) if mapped else None

    @cached_property
    def featurizer(self) -> Featurizer:
        """Turns query texts into the features that training queries had."""
        return read_featurizer(
            self.store, **{role: self.members[role] for role in ("vocabulary", "ngrams", "features")}
        )

    @cached_property
    def ranker(self) -> Ranker | Ensemble:
        """The tree and its weights, or all of an ensemble's, asked as they were when the release was evaluated."""
        quality = self.manifest.quality
        beam = BeamParams(quality["beam"], quality["post_processor"])
        found = [
            open_ranker(self.store, self.members[tree], self.members[model], beam, mapped=self._mapped)
            for tree, model in member_roles(self.members)
        ]
        return found[0] if len(found) == 1 else Ensemble(found, quality["combination"], quality["depth"])

    @cached_property
    def labels(self) -> tuple[list[str], list[str]]:
        """Ids and names of the labels."""
        table = self.store.open(self.members["interactions"], contracts.INTERACTIONS).read("labels")
        return table["id"].to_pylist(), table["name"].to_pylist()

    @cached_property
    def calibrator(self) -> IsotonicCalibrator | None:
        """What turns scores into chances; None where nothing was held out to fit it."""
        if "calibration" not in self.members:
            return None
        found = tensors_from_arrow(
            self.store.open(self.members["calibration"], contracts.CALIBRATION).read("calibration")
        )
        return IsotonicCalibrator(found["knots"], found["levels"]) if len(found["knots"]) else None

    def load(self) -> "LiveRanker":
        """Reads and verifies everything now; the ranker itself."""
        for part in ("featurizer", "ranker", "labels", "calibrator"):
            getattr(self, part)
        return self

    def rank(self, text: str, k: int = 10) -> list[RankedLabel]:
        """The k best labels for a text; none for a text whose words are all unknown."""
        return self.rank_many([text], k)[0]

    def rank_many(self, texts: list[str], k: int = 10, *, threads: int = 1) -> list[list[RankedLabel]]:
        """The k best labels for each text."""
        rows = self.featurizer.transform([query_text(text) for text in texts])
        found = self.ranker.rank(rows, k, threads=threads)
        keys, names = self.labels
        chances = self.calibrator.chances(found.scores).tolist() if self.calibrator else None
        known = (rows.indptr[1:] > rows.indptr[:-1]).tolist()
        answers: list[list[RankedLabel]] = []
        for place, (ids, scores) in enumerate(zip(found.ids.tolist(), found.scores.tolist(), strict=True)):
            answers.append(
                [
                    RankedLabel(keys[label], names[label], score, chances[place][at] if chances else None)
                    for at, (label, score) in enumerate(zip(ids, scores, strict=True))
                    if known[place] and label != NONE
                ]
            )
        return answers


def live(collection: str | None = None, *, store: str | None = None, mapped: str | Path | None = None) -> LiveRanker:
    """The published ranker of a collection, ready to answer.

    Without a collection, the only one there is (or ``python-docs``). ``store`` is a folder or URL; by default
    ``FINGERPOST_STORE``, else the nearest ``.fingerpost`` in this folder or above. Raises MissingArtifactError where nothing is live.
    """
    opened = Store(store or find_store()).checked()
    chosen = published_collection(opened, collection, product=PRODUCT)
    return LiveRanker(opened, Pointer(opened, chosen, PRODUCT).required().artifact, mapped=mapped)
