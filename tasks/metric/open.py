"""Objects from committed metric artifacts, without Prefect or Dask."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from fingerpost.schemas import corpus
from fingerpost.schemas import metric as contracts
from fingerpost.schemas.matrices import dense_from_arrow, tensors_from_arrow
from fingerpost.schemas.publish import Pointer, published_collection
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Artifact, Store, find_store
from fingerpost.tasks.ann.search import checked_vectors
from fingerpost.tasks.ann.unit_rows import unit_rows
from fingerpost.tasks.corpus.open import read_vectors
from fingerpost.tasks.metric.calibrated import CalibratedThreshold, ForeignModelError
from fingerpost.tasks.metric.embedders import BackboneParams, Embedder, TrainingParams
from fingerpost.tasks.metric.margins import TcmParams
from fingerpost.tasks.metric.pairs import PairHistograms
from fingerpost.tasks.metric.partial_counts import histograms_of
from fingerpost.tasks.metric.scores import Measure, ScoreBins
from fingerpost.tasks.metric.thresholds import Target
from fingerpost.tasks.results import Opened

if TYPE_CHECKING:
    # Opening a threshold does not load the search modules.
    from fingerpost.tasks.ann.open import LiveIndex

PRODUCT = contracts.THRESHOLD.name

_MEASURES: tuple[Measure, ...] = ("cosine", "euclidean")


#: Contracts of labelled rows: a user's embeddings or images, or a collection's documents (the only one in version 0.1).
LABELLED = (contracts.EMBEDDINGS, contracts.IMAGES, corpus.DOCUMENTS)
#: Names of the label and group columns of embeddings and images in stage parameters. They are the columns of documents
#: that held them in version 0.1: changing them would change the identity of every embedder and so retrain it.
LABEL_PARAMETER, GROUP_PARAMETER = "package", "kind"
_COLUMNS = {LABEL_PARAMETER: "label", GROUP_PARAMETER: "group"}


def open_labelled(store: Store, ref: Ref) -> tuple[Artifact, str]:
    """The artifact of labelled embeddings, images or documents, and the name of its table of rows."""
    artifact = store.open(ref, *LABELLED)
    return artifact, artifact.contract.tables[0].name


def read_labelled(store: Store, ref: Ref) -> pa.Table:
    """All rows of labelled embeddings, images or documents."""
    artifact, table = open_labelled(store, ref)
    return artifact.read(table)


def texts_of(rows: pa.Table, column: str) -> list[str]:
    """A column of labelled rows by its name in stage parameters; "" in all rows if there is no such column."""
    name = column if column in rows.column_names else _COLUMNS.get(column, column)
    return rows[name].to_pylist() if name in rows.column_names else [""] * rows.num_rows


def given_vectors(rows: pa.Table) -> np.ndarray:
    """The vectors or pixels of labelled rows, float32 (n, d): the last column, whose lists are equally long."""
    column = rows.columns[-1].combine_chunks()
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)


def open_vectors(store: Store, ref: Ref) -> Artifact:
    """The artifact of the vectors of embeddings, images or documents."""
    return store.open(ref, contracts.VECTORS, corpus.VECTORS)


def bins_tensors(bins: ScoreBins) -> dict[str, np.ndarray]:
    """Bins as named arrays; the measure is an index into (cosine, euclidean)."""
    return {
        "measure": np.array(_MEASURES.index(bins.measure)),
        "width": np.array(bins.width),
        "low": np.array(bins.low),
        "count": np.array(bins.count),
    }


def read_bins(artifact: Artifact) -> ScoreBins:
    """The score bins of an artifact."""
    stored = tensors_from_arrow(artifact.read("bins"))
    return ScoreBins(
        _MEASURES[int(stored["measure"])], float(stored["width"]), float(stored["low"]), int(stored["count"])
    )


def read_names(artifact: Artifact) -> np.ndarray:
    """The class names of an artifact, str (c,), in stored order."""
    return np.array(artifact.read("names")["name"].to_pylist(), dtype=str)


def read_groups(artifact: Artifact) -> np.ndarray | None:
    """The group of each class of an artifact, str (c,), "" for none; None if no class is in a group."""
    if not artifact.entries("groups"):
        return None
    return np.array(artifact.read("groups")["group"].to_pylist(), dtype=str)


def read_histograms(artifact: Artifact) -> PairHistograms:
    """The pair histograms of an artifact."""
    return histograms_of(tensors_from_arrow(artifact.read("histograms")), read_names(artifact), read_bins(artifact))


def read_threshold(artifact: Artifact) -> CalibratedThreshold:
    """The threshold of an artifact; :meth:`CalibratedThreshold.check` vectors before applying it to them."""
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


def read_embedder(artifact: Artifact, index: int) -> Embedder:
    """One of the trained embedders of an artifact by index, without its checks."""
    row = next(row for row in artifact.read("embedders").to_pylist() if row["place"] == index)
    recipe = artifact.manifest.identity["parameters"]["recipe"]
    tcm = None
    if row["weight"] is not None:
        tcm = TcmParams(row["positive_margin"], row["negative_margin"], row["weight"], row["weight"])
    return Embedder(
        BackboneParams(**recipe["backbone"]),
        tuple(int(size) for size in tensors_from_arrow(artifact.read("shape"))["shape"]),
        tensors_from_arrow(artifact.read("weights", shard=index)),
        [],
        -1,
        TrainingParams(**recipe["training"] | {"seed": row["seed"]}),
        tcm,
    )


def selected_index(comparison: Artifact) -> int:
    """The index of the embedder that a comparison selected."""
    return next(row["embedder"] for row in comparison.read("validation").to_pylist() if row["role"] == "taken")


@dataclass(frozen=True, repr=False)
class LiveThreshold(Opened):
    """The published threshold of a collection; :meth:`CalibratedThreshold.check` vectors before applying it to them."""

    store: Store
    ref: Ref
    collection: str

    @classmethod
    def of(cls, store: Store, ref: Ref, collection: str) -> Self:
        """The threshold of a release."""
        return cls(store, ref, collection)

    def same(self, left: ArrayLike, right: ArrayLike, *, group: str = "") -> NDArray[np.bool_]:
        """Whether vectors (n, d) and others (n, d) stand for the same, bool (n,).

        group: that of the classes that are compared, which may have a threshold of its own. VectorError for what are no
        vectors of the threshold's model.
        """
        columns = self.threshold.canaries.shape[1]
        one, other = (checked_vectors(rows, name, columns=columns) for rows, name in ((left, "left"), (right, "right")))
        if self.threshold.measure == "cosine":
            return np.asarray(np.einsum("ij,ij->i", unit_rows(one), unit_rows(other)) >= self.threshold.of(group))
        return np.asarray(np.linalg.norm(one - other, axis=1) <= self.threshold.of(group))

    def to_arrow(self) -> pa.Table:
        """The threshold, of all classes ("") and of each group that has its own, with its interval and its target."""
        own = self.threshold
        rows = {"": (own.threshold, *own.interval), **own.groups}
        columns = dict(zip(("threshold", "low", "high"), zip(*rows.values(), strict=True), strict=True))
        told = {"measure": own.measure, "rate": own.target.rate, "fraction": own.target.share}
        return pa.table({"group": list(rows), **columns, **{name: [value] * len(rows) for name, value in told.items()}})

    @cached_property
    def artifact(self) -> Artifact:
        """The threshold's artifact, verified as it is read."""
        return self.store.open(self.ref, contracts.THRESHOLD)

    @cached_property
    def members(self) -> dict[str, Ref]:
        """The artifacts that the threshold was chosen and tested on, by role."""
        return read_members(self.store, self.ref)

    @cached_property
    def threshold(self) -> CalibratedThreshold:
        """The threshold and the model it holds for."""
        return read_threshold(self.artifact)

    @property
    def quality(self) -> dict[str, Any]:
        """Metrics of the threshold on the classes that it was chosen on and on test classes."""
        return dict(self.artifact.quality)

    def embedder(self) -> Embedder | None:
        """The trained embedder whose vectors the threshold holds for; None if the vectors were imported."""
        members = self.members
        if "embedders" not in members:
            return None
        comparison = self.store.open(members["comparison"], contracts.COMPARISON)
        return read_embedder(self.store.open(members["embedders"], contracts.EMBEDDERS), selected_index(comparison))

    def embeddings(self) -> tuple[list[str], list[str], np.ndarray]:
        """Ids, classes ("" for none) and vectors float32 (n, d) of the rows that it was chosen and tested on."""
        members = self.members
        column = self.store.manifest(members["validation_rows"]).identity["parameters"]["classes"]["column"]
        rows = read_labelled(self.store, members["documents"])
        return (
            rows["id"].to_pylist(),
            texts_of(rows, column),
            read_vectors(open_vectors(self.store, members["vectors"])),
        )


def live(collection: str | None = None, *, store: str | None = None) -> LiveThreshold:
    """The live threshold of a collection, by default the only one with a threshold; MissingArtifactError if none."""
    opened = Store(store or find_store()).checked()
    name = published_collection(opened, collection, product=PRODUCT)
    return LiveThreshold(opened, Pointer(opened, name, PRODUCT).required().artifact, name)


def threshold_for(index: "LiveIndex") -> CalibratedThreshold:
    """The live threshold of an index's collection, checked against the index's vectors.

    ForeignModelError if they are of another model, if that cannot be determined, and if the index has another measure.
    """
    release = live(str(index.manifest.run["collection"]), store=index.store.url)
    threshold = release.threshold
    if index.metric != ("cosine" if threshold.measure == "cosine" else "l2"):
        raise ForeignModelError(
            f"threshold {release.ref}: expected an index that measures {threshold.measure}, got {index.metric} of"
            f" {index.ref}; tune a threshold with that measure (metric.measure)"
        )
    own = index.members["projection"].identity if "projection" in index.members else ""
    if threshold.model.startswith(f"{corpus.PROJECTION.name}:"):
        threshold.check(model=own or f"{index.ref}, which were imported")
    ids = index.documents["id"]
    row_of = {key: pc.index(ids, key).as_py() for key in threshold.canary_ids}
    known = [key for key in threshold.canary_ids if row_of[key] >= 0]
    rows, canaries = index.vectors[[row_of[key] for key in known]], threshold.canaries
    if threshold.measure == "cosine":
        # The vectors of an index have length one, those that a threshold was chosen on need not.
        canaries = unit_rows(canaries)
    compared = replace(threshold, canaries=canaries).check(ids=known, vectors=rows) if known else 0
    if not compared and threshold.model != own:
        raise ForeignModelError(
            f"threshold {release.ref}: expected some of the ids {', '.join(threshold.canary_ids[:3])}, … that"
            f" identify its model {threshold.model} among the documents of {index.ref}, found none; tune it on these"
            " documents (metric.input=documents)"
        )
    return threshold
