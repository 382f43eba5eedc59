"""The light reader: a published index opened and searched by numpy and pyarrow alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fingerpost.reader import PublishedIndex, open_index
from fingerpost.schemas.ann import INDEX
from fingerpost.schemas.contract import Contract
from fingerpost.schemas.errors import CorruptArtifactError, FingerpostError, FormerVersionError, MissingArtifactError
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.mapped_arrays import arrays_to_arrow
from fingerpost.schemas.packed_index import PACKED, shown
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import members_table
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.hnsw import HnswParams, build
from fingerpost.tasks.ann.packed import PackedIndex
from fingerpost.tasks.ann.search import VectorError
from tests.support.vectors import decaying

ROWS, DIMENSIONS, DAY = 400, 12, "2026-01-02"
#: What a light installation has not.
ABSENT = "dask distributed fsspec matplotlib networkx pandas prefect psutil pydantic rich scipy sklearn typer yaml"


def committed(store: Store, contract: Contract, tables: dict[str, pa.Table], quality: dict[str, object]) -> Ref:
    ref = Ref(contract.name, DAY, "b" * 32)
    entries = [store.write_table(ref, contract, name, data) for name, data in tables.items()]
    identity = {
        "contract": {"name": contract.name, "version": contract.version},
        "schema": contract.schema(),
        "rows": {entry.table: entry.rows for entry in entries},
        "quality": quality,
        "parameters": {},
        "inputs": {},
        "code": "0" * 32,
        "files": [vars(entry) for entry in entries],
    }
    store.commit(ref, Manifest(identity, {}))
    return ref


def published(folder: Path) -> Store:
    store = Store(str(folder)).prepare()
    vectors = decaying(ROWS, DIMENSIONS, seed=1)
    graph, _ = build(vectors, HnswParams(8, 60, "l2", 0))
    texts = {name: [""] * ROWS for name in ("text", "kind", "package", "signature", "day")}
    keys = [f"face {row}" for row in range(ROWS)]
    documents = shown(pa.table({"id": keys, "title": keys, **texts}))
    packed = PackedIndex.pack(vectors, graph, "l2")
    tables = {"packed": arrays_to_arrow(packed.arrays()), "documents": documents}
    made = committed(store, PACKED, tables, {})
    release = committed(store, INDEX, {"members": members_table({"packed": made})}, {"metric": "l2"})
    Pointer(store, "faces", INDEX.name).promote(release, gates=[])
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return published(tmp_path_factory.mktemp("reader") / "store")


def queries() -> np.ndarray:
    return decaying(20, DIMENSIONS, seed=2)


@pytest.mark.parametrize("verified", [False, True])
def test_an_index_finds_the_nearest_documents(store: Store, verified: bool) -> None:
    index = open_index(store.url, collection="faces", verified=verified)
    exact = ExactIndex(decaying(ROWS, DIMENSIONS, seed=1), "l2").search(queries(), 5)
    found = index.search(queries(), 5, ef=ROWS)
    np.testing.assert_array_equal(found.rows, exact.ids)
    np.testing.assert_allclose(found.distances, exact.distances, rtol=1e-4, atol=1e-5)
    assert found.ids() == [[f"face {row}" for row in rows] for rows in exact.ids.tolist()]
    assert (index.size, index.dimensions, index.metric, index.mapped) == (ROWS, DIMENSIONS, "l2", not verified)
    one = index.search(queries()[3], 1, ef=ROWS, keep=np.arange(ROWS) == 7)
    assert one.ids() == [["face 7"]]
    assert index.rows_of(["face 9", "face 2", "face 9"]).tolist() == [9, 2, 9]
    assert index.rows_of([]).tolist() == []


def test_what_cannot_be_asked_or_opened_is_named(store: Store, tmp_path: Path) -> None:
    index = open_index(store.url)
    with pytest.raises(VectorError, match="columns"):
        index.search(np.zeros((1, 3)))
    with pytest.raises(VectorError, match="finite"):
        index.search(np.full(DIMENSIONS, np.nan))
    with pytest.raises(VectorError, match="finite"):
        index.search(np.ma.masked_less(np.arange(DIMENSIONS), 1))
    with pytest.raises(FingerpostError, match="got 'nobody'"):
        index.rows_of(["nobody"])
    with pytest.raises(MissingArtifactError, match="expected a live version"):
        open_index(store.url, collection="other")
    with pytest.raises(MissingArtifactError, match="expected a store"):
        open_index(tmp_path / "none")
    other = Store(str(tmp_path / "store")).prepare()
    former = committed(other, INDEX, {"members": members_table({})}, {"metric": "l2"})
    with pytest.raises(FormerVersionError, match="rebuild it with"):
        PublishedIndex(other, former)


def test_arrays_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    other = Store(str(tmp_path / "store")).prepare()
    tables = {"packed": arrays_to_arrow({"numbers": np.arange(8)}), "documents": shown_none()}
    made = committed(other, PACKED, tables, {})
    release = committed(other, INDEX, {"members": members_table({"packed": made})}, {"metric": "l2"})
    with pytest.raises(CorruptArtifactError, match="expected the arrays of a packed index"):
        PublishedIndex(other, release)


def shown_none() -> pa.Table:
    return pa.table({field.name: pa.array([], field.type) for field in PACKED.table("documents").fields})


#: Opens and searches an index where nothing else is installed.
ALONE = """
import importlib.abc, json, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in sys.argv[2].split():
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Absent())
import numpy as np
from fingerpost.reader import open_index

index = open_index(sys.argv[1])
print(json.dumps(index.search(np.array(json.loads(sys.argv[3]), dtype=np.float32), 3, ef=400).ids()))
assert not {name.split(".")[0] for name in sys.modules} & set(sys.argv[2].split())
"""


def test_numpy_and_pyarrow_are_enough(store: Store) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE, store.url, ABSENT, json.dumps(queries()[:2].tolist())],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == open_index(store.url).search(queries()[:2], 3, ef=ROWS).ids()
