"""What the store holds of architecture search, as usable objects, without Prefect or Dask.

``live()`` opens the published network; it predicts by onnxruntime, or by torch where that is not installed::

    from fingerpost.tasks.nas.open import live
    live().predict(images).names
"""

from dataclasses import dataclass
from functools import cached_property
from math import isqrt
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fingerpost.schemas import nas as contracts
from fingerpost.schemas.errors import FingerpostError, InputError
from fingerpost.schemas.matrices import fixed_matrix, tensors_from_arrow
from fingerpost.schemas.publish import Pointer, published_collection
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Artifact, Store, find_store
from fingerpost.tasks.nas.accuracy import predicted, softmax
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.image_params import SplitName
from fingerpost.tasks.nas.images import LabelledImages
from fingerpost.tasks.nas.latency import LatencyEstimator
from fingerpost.tasks.nas.patterns import Pattern
from fingerpost.tasks.nas.resizing import resized
from fingerpost.tasks.nas.runtime import probabilities, session
from fingerpost.tasks.nas.stages.latency_tables import read_latency
from fingerpost.tasks.nas.training_params import Arrays, Epoch, Examples, TrainedNetwork
from fingerpost.tasks.results import Opened

PRODUCT = contracts.NETWORK.name


def read_images(store: Store, ref: Ref) -> LabelledImages:
    """The images of an artifact, in its order."""
    opened = store.open(ref, contracts.IMAGES)
    rows = opened.read("images")
    classes = opened.read("classes")["name"].to_pylist()
    shape = tuple(tensors_from_arrow(opened.read("shape"))["shape"].tolist())
    pixels = np.round(fixed_matrix(rows["pixels"])).astype(np.uint8).reshape(-1, *shape)
    ids, splits = (np.array(rows[name].to_pylist(), dtype=str) for name in ("id", "split"))
    if rows["mask"].null_count == 0 and rows.num_rows:
        flat = np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in rows["mask"].chunks])
        none = np.zeros(len(ids), dtype=np.int64)
        return LabelledImages(ids, pixels, none, splits, tuple(classes), flat.reshape(-1, *shape[:2]))
    number = {name: position for position, name in enumerate(classes)}
    labels = np.array([number[name] for name in rows["label"].to_pylist()], dtype=np.int64)
    return LabelledImages(ids, pixels, labels, splits, tuple(classes))


def image_shape(values: int, channels: int) -> tuple[int, ...]:
    """The shape of square images of so many values."""
    side = isqrt(values // channels)
    return (side, side) if channels == 1 else (side, side, channels)


def pixels_of(rows: pa.Table, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The pixels of imported rows, rounded to whole numbers."""
    lists = rows["pixels"].combine_chunks()
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    return np.round(flat).astype(np.uint8).reshape(rows.num_rows, *shape)


def read_patterns(store: Store, ref: Ref) -> tuple[Pattern, ...]:
    """The patterns of an artifact."""
    rows = store.open(ref, contracts.PATTERNS).read("patterns").to_pylist()
    names = ("edit", "where", "tried", "chosen", "accuracy_change", "accuracy_spread")
    changes = ("latency_change", "memory_change", "size_change")
    return tuple(Pattern(*(row[name] for name in (*names, *changes))) for row in rows)


def read_examples(store: Store, ref: Ref, split: SplitName) -> Examples:
    """The images of a split of an artifact with their classes, or masks."""
    part = read_images(store, ref).part(split)
    return Examples(part.pixels, part.labels if part.masks is None else part.masks)


@dataclass(frozen=True)
class Prediction:
    """What a network says of images.

    names: the class of each, str (n,); empty for segmentation. probabilities: float32 (n, classes), or (n, classes, output,
    output). masks: for segmentation the class number of each pixel, uint8 (n, height, width).
    """

    names: NDArray[np.str_]
    probabilities: NDArray[np.float32]
    masks: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class StoredNetwork:
    """A trained network in a store; its parts are read, and verified, when they are used."""

    artifact: Artifact

    @cached_property
    def architecture(self) -> Architecture:
        """Its architecture."""
        return Architecture.parse(self.artifact.read("architecture")["description"][0].as_py())

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes in the order of the outputs; of pixels, the first is the background."""
        return tuple(self.artifact.read("classes")["name"].to_pylist())

    @property
    def size(self) -> int:
        """Pixels on a side of the images that it takes."""
        return int(self.artifact.quality["size"])

    @cached_property
    def weights(self) -> Arrays:
        """Its weights and running statistics by name."""
        return tensors_from_arrow(self.artifact.read("weights"))

    @cached_property
    def onnx(self) -> bytes:
        """The bytes of its ONNX file: images uint8 (n, size, size[, channels]) in, probabilities float32 out."""
        return bytes(self.artifact.read("onnx")["model"][0].as_py())

    @cached_property
    def trained(self) -> TrainedNetwork:
        """The network with the epochs of its training."""
        rows = self.artifact.read("epochs").to_pylist()
        epochs = tuple(Epoch(row["loss"], row["validation"]) for row in rows)
        return TrainedNetwork(self.architecture, self.weights, epochs)

    @cached_property
    def _session(self) -> Any:
        try:
            return session(self.onnx)
        except ImportError:
            return None

    def predict(self, images: NDArray[np.uint8]) -> Prediction:
        """The classes of images uint8 (n, height, width[, channels]), or of their pixels.

        Runs on one thread, by onnxruntime, or by torch where that is not installed. Images of another size than the
        network's are resized. InputError for images that are not square, or of another dtype or number of channels;
        FingerpostError where neither is installed.
        """
        shape, channels = images.shape[1:], self.architecture.inputs
        if images.dtype != np.uint8 or shape != shape[:1] * 2 + ((channels,) if channels > 1 else ()):
            expected = f"(n, size, size, {channels})" if channels > 1 else "(n, size, size)"
            raise InputError(
                f"images: expected uint8 {expected}, got {images.dtype} {images.shape}; provide such images"
            )
        found = self._probabilities(np.round(resized(images, self.size)).astype(np.uint8))
        said = predicted(found, shape[0])
        if self.architecture.task == "segmentation":
            return Prediction(np.zeros(0, dtype=str), found, said.astype(np.uint8))
        return Prediction(np.array(self.classes, dtype=str)[said], found)

    def _probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self._session is not None:
            return probabilities(self._session, images)
        try:
            from fingerpost.tasks.nas.networks import loaded, network
            from fingerpost.tasks.nas.training import logits_of
        except ImportError as problem:
            raise FingerpostError(
                f"network {self.artifact.ref}: expected onnxruntime or torch to predict with, found neither; pip install"
                " onnxruntime"
            ) from problem
        return softmax(logits_of(loaded(network(self.architecture, size=self.size), self.weights), images))


def read_network(store: Store, ref: Ref) -> StoredNetwork:
    """A trained network."""
    return StoredNetwork(store.open(ref, contracts.TRAINED))


@dataclass(frozen=True, repr=False)
class LiveNetwork(Opened):
    """The published network of a collection."""

    store: Store
    ref: Ref
    collection: str

    @classmethod
    def of(cls, store: Store, ref: Ref, collection: str) -> Self:
        """The network of a release."""
        return cls(store, ref, collection)

    def to_arrow(self) -> pa.Table:
        """The Pareto front of its search, as `front`."""
        return self.front()

    @cached_property
    def artifact(self) -> Artifact:
        """The release, verified as it is read."""
        return self.store.open(self.ref, contracts.NETWORK)

    @cached_property
    def members(self) -> dict[str, Ref]:
        """The artifacts that it consists of, by role."""
        return read_members(self.store, self.ref)

    @cached_property
    def network(self) -> StoredNetwork:
        """The trained network."""
        return read_network(self.store, self.members["trained"])

    @property
    def architecture(self) -> Architecture:
        """Its architecture."""
        return self.network.architecture

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of its classes."""
        return self.network.classes

    @property
    def size(self) -> int:
        """Pixels on a side of the images that it takes."""
        return self.network.size

    @property
    def onnx(self) -> bytes:
        """The bytes of its ONNX file."""
        return self.network.onnx

    @property
    def quality(self) -> dict[str, Any]:
        """Metrics on test images, and costs on the device."""
        return dict(self.artifact.quality)

    @cached_property
    def estimator(self) -> LatencyEstimator:
        """The latency estimator of its device."""
        return read_latency(self.store, self.members["latency"])

    def front(self) -> pa.Table:
        """The Pareto front of its search: rows of the table ``evaluated``, the highest score first."""
        rows = self.store.open(self.members["search"], contracts.SEARCH).read("evaluated")
        front = rows.filter(pc.equal(rows["front"], pa.scalar(0, pa.int64())))
        return front.sort_by([("score", "descending"), ("latency_ms", "ascending"), ("number", "ascending")])

    def predict(self, images: NDArray[np.uint8]) -> Prediction:
        """The classes of images, or of their pixels; see :meth:`StoredNetwork.predict`."""
        return self.network.predict(images)


def live(collection: str | None = None, *, store: str | None = None) -> LiveNetwork:
    """The published network of a collection.

    collection: by default the only one with a published network. store: folder or URL; by default ``FINGERPOST_STORE``,
    else the nearest ``.fingerpost`` in this folder or above. Raises MissingArtifactError where no network is published.
    """
    opened = Store(store or find_store()).checked()
    name = published_collection(opened, collection, product=PRODUCT)
    return LiveNetwork(opened, Pointer(opened, name, PRODUCT).required().artifact, name)
