"""From committed metric artifacts to objects, without Prefect or Dask."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas import corpus
from schemas import metric as contracts
from schemas.matrices import dense_from_arrow, tensors_from_arrow
from schemas.publish import Pointer, published_collection
from schemas.refs import Ref
from schemas.releases import read_members
from schemas.store import Artifact, Store, find_store
from tasks.corpus.open import read_vectors
from tasks.metric.calibrated import CalibratedThreshold, ForeignModelError
from tasks.metric.embedders import BackboneParams, Embedder, TrainingParams
from tasks.metric.margins import TcmParams
from tasks.metric.pairs import PairHistograms
from tasks.metric.partial_counts import histograms_of
from tasks.metric.scores import Measure, ScoreBins
from tasks.metric.thresholds import Target

if TYPE_CHECKING:
    # Opening a threshold loads no search.
    from tasks.ann.open import LiveIndex

PRODUCT = contracts.THRESHOLD.name

_MEASURES: tuple[Measure, ...] = ("cosine", "euclidean")


#: What holds labelled rows: a user's embeddings or images, or the documents of a collection (of version 0.1 all of these).
LABELLED = (contracts.EMBEDDINGS, contracts.IMAGES, corpus.DOCUMENTS)
#: The columns of labels and of groups as the parameters of stages call them for embeddings and images. They are the columns
#: of documents in which version 0.1 kept them: by their own names every embedder would have to be trained again.
LABEL_PARAMETER, GROUP_PARAMETER = "package", "kind"
_COLUMNS = {LABEL_PARAMETER: "label", GROUP_PARAMETER: "group"}


def open_labelled(store: Store, ref: Ref) -> tuple[Artifact, str]:
    """Labelled embeddings, images or documents, and the name of the table that holds their rows."""
    artifact = store.open(ref, *LABELLED)
    return artifact, artifact.contract.tables[0].name


def read_labelled(store: Store, ref: Ref) -> pa.Table:
    """All rows of labelled embeddings, images or documents."""
    artifact, table = open_labelled(store, ref)
    return artifact.read(table)


def texts_of(rows: pa.Table, column: str) -> list[str]:
    """A column of labelled rows as a parameter calls it; "" in all rows where they have no such column."""
    name = column if column in rows.column_names else _COLUMNS.get(column, column)
    return rows[name].to_pylist() if name in rows.column_names else [""] * rows.num_rows


def given_vectors(rows: pa.Table) -> np.ndarray:
    """The vectors or pixels of labelled rows, float32 (n, d): the last column, whose lists have one length."""
    column = rows.columns[-1].combine_chunks()
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)


def open_vectors(store: Store, ref: Ref) -> Artifact:
    """Vectors of embeddings, images or documents."""
    return store.open(ref, contracts.VECTORS, corpus.VECTORS)


def bins_tensors(bins: ScoreBins) -> dict[str, np.ndarray]:
    """Bins as named arrays; the measure is a number into cosine, euclidean."""
    return {
        "measure": np.array(_MEASURES.index(bins.measure)),
        "width": np.array(bins.width),
        "low": np.array(bins.low),
        "count": np.array(bins.count),
    }


def read_bins(artifact: Artifact) -> ScoreBins:
    """The bins of scores of an artifact that holds them."""
    stored = tensors_from_arrow(artifact.read("bins"))
    return ScoreBins(
        _MEASURES[int(stored["measure"])], float(stored["width"]), float(stored["low"]), int(stored["count"])
    )


def read_names(artifact: Artifact) -> np.ndarray:
    """The names of the classes of an artifact that holds them, in their order."""
    return np.array(artifact.read("names")["name"].to_pylist(), dtype=str)


def read_groups(artifact: Artifact) -> np.ndarray | None:
    """The groups of the classes of an artifact in the order of their names, "" for none; None where none is in a group."""
    if not artifact.entries("groups"):
        return None
    return np.array(artifact.read("groups")["group"].to_pylist(), dtype=str)


def read_histograms(artifact: Artifact) -> PairHistograms:
    """The histograms of their artifact."""
    return histograms_of(tensors_from_arrow(artifact.read("histograms")), read_names(artifact), read_bins(artifact))


def read_threshold(artifact: Artifact) -> CalibratedThreshold:
    """The threshold of its artifact; :meth:`CalibratedThreshold.check` vectors before using it on them."""
    row, canaries = artifact.read("threshold").to_pylist()[0], artifact.read("canaries")
    groups = artifact.read("groups").to_pylist() if artifact.entries("groups") else []
    return CalibratedThreshold(
        row["threshold"],
        (row["low"], row["high"]),
        row["measure"],
        Target(row["rate"], row["share"]),
        row["model"],
        tuple(canaries["id"].to_pylist()),
        np.ascontiguousarray(dense_from_arrow(canaries)),
        {group["name"]: (group["threshold"], group["low"], group["high"]) for group in groups},
    )


def read_embedder(artifact: Artifact, place: int) -> Embedder:
    """One of the trained embedders of their artifact; its checks are left out."""
    row = next(row for row in artifact.read("embedders").to_pylist() if row["place"] == place)
    made = artifact.manifest.identity["parameters"]["recipe"]
    tcm = None
    if row["weight"] is not None:
        tcm = TcmParams(row["positive_margin"], row["negative_margin"], row["weight"], row["weight"])
    return Embedder(
        BackboneParams(**made["backbone"]),
        tuple(int(size) for size in tensors_from_arrow(artifact.read("shape"))["shape"]),
        tensors_from_arrow(artifact.read("weights", shard=place)),
        [],
        -1,
        TrainingParams(**made["training"] | {"seed": row["seed"]}),
        tcm,
    )


def taken_place(comparison: Artifact) -> int:
    """The place of the embedder that a comparison took."""
    return next(row["embedder"] for row in comparison.read("validation").to_pylist() if row["role"] == "taken")


@dataclass(frozen=True)
class LiveThreshold:
    """The published threshold of a collection; :meth:`CalibratedThreshold.check` vectors before using it on them."""

    store: Store
    ref: Ref
    collection: str

    @cached_property
    def artifact(self) -> Artifact:
        """Its artifact, verified as it is read."""
        return self.store.open(self.ref, contracts.THRESHOLD)

    @cached_property
    def members(self) -> dict[str, Ref]:
        """The artifacts that it was chosen and tested on, by role."""
        return read_members(self.store, self.ref)

    @cached_property
    def threshold(self) -> CalibratedThreshold:
        """What it is, and for which model."""
        return read_threshold(self.artifact)

    @property
    def quality(self) -> dict[str, Any]:
        """What was measured when it was chosen, on these classes and on others."""
        return dict(self.artifact.quality)

    def embedder(self) -> Embedder | None:
        """The trained embedder whose vectors it holds for; None where the vectors were given as they are."""
        members = self.members
        if "embedders" not in members:
            return None
        comparison = self.store.open(members["comparison"], contracts.COMPARISON)
        return read_embedder(self.store.open(members["embedders"], contracts.EMBEDDERS), taken_place(comparison))

    def embeddings(self) -> tuple[list[str], list[str], np.ndarray]:
        """Ids, classes ("" for rows without) and vectors float32 (n, d) of what it was chosen and tested on."""
        members = self.members
        column = self.store.manifest(members["validation_rows"]).identity["parameters"]["classes"]["column"]
        rows = read_labelled(self.store, members["documents"])
        return (
            rows["id"].to_pylist(),
            texts_of(rows, column),
            read_vectors(open_vectors(self.store, members["vectors"])),
        )


def live(collection: str | None = None, *, store: str | None = None) -> LiveThreshold:
    """The live threshold of a collection, by default of the only one that has one; MissingArtifactError without."""
    opened = Store(store or find_store()).checked()
    name = published_collection(opened, collection, product=PRODUCT)
    return LiveThreshold(opened, Pointer(opened, name, PRODUCT).required().artifact, name)


def threshold_for(index: "LiveIndex") -> CalibratedThreshold:
    """The live threshold of an index's collection, which is of the model that made the index's vectors.

    ForeignModelError where it is not, where that cannot be told, and where the index does not measure as the threshold does.
    """
    found = live(str(index.manifest.run["collection"]), store=index.store.url)
    made = found.threshold
    if index.metric != ("cosine" if made.measure == "cosine" else "l2"):
        raise ForeignModelError(
            f"threshold {found.ref}: expected an index that measures {made.measure}, got {index.metric} of {index.ref};"
            " tune a threshold with that measure (metric.measure)"
        )
    own = index.members["projection"].identity if "projection" in index.members else ""
    if made.model.startswith(f"{corpus.PROJECTION.name}:"):
        made.check(model=own or f"{index.ref}, which were given")
    ids = index.documents["id"]
    places = {key: pc.index(ids, key).as_py() for key in made.canary_ids}
    known = [key for key in made.canary_ids if places[key] >= 0]
    rows, canaries = index.vectors[[places[key] for key in known]], made.canaries
    if made.measure == "cosine":
        # The vectors of an index have length one, those that a threshold was chosen on need not.
        canaries = canaries / np.linalg.norm(canaries, axis=1, keepdims=True)
    compared = replace(made, canaries=canaries).check(ids=known, vectors=rows) if known else 0
    if not compared and made.model != own:
        raise ForeignModelError(
            f"threshold {found.ref}: expected some of the ids {', '.join(made.canary_ids[:3])}, … that its model"
            f" {made.model} is told by among the documents of {index.ref}, found none; tune it on these documents"
            " (metric.input=documents)"
        )
    return made
