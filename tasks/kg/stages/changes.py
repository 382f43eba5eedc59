"""The stage that finds which entities of a graph are new, changed or gone, and what reads it."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Artifact, Store
from fingerpost.tasks.kg.changes import ChangeParams, Changes, CodedGraph, changes_between
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

#: What is said of an attribute beside its entity.
_SAID = ("key", "value", "datatype", "language")


@stage(contracts.CHANGES)
def compare_graphs(run: StageRun, graph: Ref, before: Ref, *, params: ChangeParams) -> None:
    """Finds the entities of a graph that are new or changed since ``before``, by the users' keys."""
    versions = [run.store.open(ref, contracts.GRAPH) for ref in (before, graph)]
    found = changes_between(*_coded(*versions), params)
    run.write("entities", pa.table({"before": pa.array(found.origin), "changed": pa.array(found.changed)}))
    run.quality = {
        "entities": len(found.origin),
        "before": len(found.becomes),
        "new": found.new,
        "changed": int(found.changed.sum()) - found.new,
        "gone": found.gone,
        "share": round(found.share, 6),
    }


def read_changes(store: Store, changes: Ref) -> Changes:
    """The changes of a graph."""
    artifact = store.open(changes, contracts.CHANGES)
    rows = artifact.read("entities")
    origin, changed = (np.asarray(rows[name].to_numpy()) for name in ("before", "changed"))
    becomes = np.full(int(artifact.quality["before"]), -1, dtype=np.int64)
    becomes[origin[origin >= 0]] = np.flatnonzero(origin >= 0)
    return Changes(origin, becomes, changed)


def _coded(before: Artifact, now: Artifact) -> tuple[CodedGraph, CodedGraph]:
    """Both versions with the same number for the same text in the same column."""
    entities, attributes, names = (
        _Both(before.read(table), now.read(table)) for table in ("entities", "attributes", "relation_names")
    )
    relations = [version.read("relations") for version in (before, now)]
    keys, types, labels = (entities.coded(column) for column in ("id", "type", "name"))
    said, kinds = [attributes.coded(column) for column in _SAID], names.coded("name")
    first, second = (
        CodedGraph(
            keys[which],
            types[which],
            labels[which],
            np.stack([_numbers(table["entity"]), *(column[which] for column in said)], axis=1),
            np.stack(
                [_numbers(edges["head"]), kinds[which][_numbers(edges["relation"])], _numbers(edges["tail"])], axis=1
            ),
        )
        for which, (table, edges) in enumerate(zip((attributes.before, attributes.now), relations, strict=True))
    )
    return first, second


@dataclass(frozen=True)
class _Both:
    """A table of both versions."""

    before: pa.Table
    now: pa.Table

    def coded(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """A column of texts of each version, as numbers that are equal for equal texts."""
        chunks = [*self.before[name].chunks, *self.now[name].chunks]
        encoded = pa.chunked_array(chunks, pa.string()).dictionary_encode()
        parts = [np.asarray(chunk.indices.to_numpy(), dtype=np.int64) for chunk in encoded.chunks]
        numbers = np.concatenate([*parts, np.empty(0, np.int64)])
        return numbers[: len(self.before)], numbers[len(self.before) :]


def _numbers(column: pa.ChunkedArray) -> NDArray[np.int64]:
    return np.asarray(column.to_numpy(), dtype=np.int64)
