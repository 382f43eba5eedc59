"""Index files of faiss and hnswlib: what they hold, what is written as one, and damaged ones."""

import contextlib
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.exchanged import ExchangedIndex, ExchangeError
from fingerpost.tasks.ann.faiss_format import read_faiss, write_faiss
from fingerpost.tasks.ann.graph import UpperLevel, faults, from_table
from fingerpost.tasks.ann.hnsw import HnswIndex, HnswParams, build
from fingerpost.tasks.ann.hnswlib_format import read_hnswlib, write_hnswlib
from fingerpost.tasks.ann.search import Metric
from tests.bench.peers import PeerProcess, peer_python
from tests.golden.make_exchanged import DELETED, ROWS, K, hashed, labels, points
from tests.support import exchanged_files
from tests.support.vectors import decaying

FILE = Path(__file__).resolve().parents[2] / "golden" / "exchanged.npz"
NAMES = (
    "faiss_l2",
    "faiss_ip",
    "faiss_ids",
    "faiss_cosine",
    "hnswlib_l2",
    "hnswlib_ip",
    "hnswlib_cosine",
    "hnswlib_hashed",
)
IDS = {"faiss_l2": np.arange(ROWS), "faiss_ip": np.arange(ROWS), "hnswlib_hashed": hashed()}
#: Where the bytes of a file name numbers of its structure rather than of its vectors.
STRUCTURE = {"faiss": 420, "hnswlib": 140}


@pytest.fixture(scope="module")
def files() -> dict[str, np.ndarray]:
    with np.load(FILE) as stored:
        return dict(stored)


def metric_of(name: str) -> Metric:
    return {"ip": "ip", "cosine": "cosine"}.get(name.split("_")[1], "l2")  # type: ignore[return-value]


def read(name: str, content: np.ndarray) -> ExchangedIndex:
    if name.startswith("faiss"):
        return read_faiss(content, name=name)
    return read_hnswlib(content, metric=metric_of(name), name=name)


def written(name: str, index: ExchangedIndex) -> np.ndarray:
    parts = write_faiss(index) if name.startswith("faiss") else write_hnswlib(index)
    return np.frombuffer(b"".join(bytes(part) for part in parts), np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_an_index_holds_what_its_library_put_there(files: dict[str, np.ndarray], name: str) -> None:
    index = read(name, files[name])
    expected = points() / np.linalg.norm(points(), axis=1, keepdims=True) if name.endswith("cosine") else points()
    np.testing.assert_allclose(index.vectors, expected, rtol=1e-6)
    expected_ids = IDS.get(name, labels())
    np.testing.assert_array_equal(index.ids, expected_ids)
    assert index.ids.dtype == expected_ids.dtype
    assert (index.metric, index.max_neighbors, index.ef_construction) == (metric_of(name), 4, 40)
    assert np.flatnonzero(index.deleted).tolist() == (list(DELETED) if name == "hnswlib_ip" else [])
    # By inner product these libraries leave rows that no search reaches.
    assert [fault for fault in faults(index.graph, 4) if "reachable" not in fault] == []
    assert len(index.graph.upper) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_a_search_answers_as_its_library_does(files: dict[str, np.ndarray], name: str) -> None:
    index = read(name, files[name])
    found = HnswIndex(index.vectors, index.graph, index.metric).search(files["queries"], K + 2, ef=ROWS)
    for ids, answer in zip(index.ids[found.ids], files[f"{name}_answers"], strict=True):
        kept = [one for one in ids.tolist() if one not in index.ids[index.deleted]][:K]
        assert set(kept) == set(answer.tolist())


# A file of faiss that scales vectors itself is written as one that does not.
@pytest.mark.parametrize("name", sorted({*NAMES} - {"faiss_cosine"}))
def test_what_is_written_again_is_the_same_index(files: dict[str, np.ndarray], name: str) -> None:
    index = read(name, files[name])
    again = read(name, written(name, index))
    assert_same(again, index)
    if name.startswith("faiss"):
        kind = 4 if name == "faiss_ids" else 0  # IxMp for both kinds of maps
        changed = np.flatnonzero(written(name, index)[kind:] != files[name][kind:])
        # efSearch is not kept; a probability may differ in its last digit.
        assert len(changed) <= 4
    else:
        assert len(written(name, index)) == len(files[name])


def assert_same(one: ExchangedIndex, other: ExchangedIndex) -> None:
    assert (one.metric, one.max_neighbors, one.ef_construction) == (
        other.metric,
        other.max_neighbors,
        other.ef_construction,
    )
    for name in ("vectors", "ids", "deleted"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("indptr", "indices", "entry_points"):
        np.testing.assert_array_equal(getattr(one.graph, name), getattr(other.graph, name))
    assert len(one.graph.upper) == len(other.graph.upper)
    for mine, theirs in zip(one.graph.upper, other.graph.upper, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(vars(mine).values(), vars(theirs).values(), strict=True))


def built(rows: int, *, metric: Metric = "l2", m: int = 4, seed: int = 0, dim: int = 12) -> ExchangedIndex:
    vectors = decaying(rows, dim, seed=seed)
    if metric == "cosine":
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    graph, _ = build(vectors, HnswParams(m, 40, metric, seed))
    return ExchangedIndex(vectors, graph, np.arange(rows, dtype=np.int64)[::-1] + 5, metric, m, 40)


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 300), m=st.integers(2, 6), seed=st.integers(0, 9), metric=st.sampled_from(["l2", "ip"]))
def test_our_indexes_come_back_from_both_formats(rows: int, m: int, seed: int, metric: Metric) -> None:
    index = built(rows, metric=metric, m=m, seed=seed)
    for name in (f"faiss_{metric}", f"hnswlib_{metric}"):
        assert_same(read(name, written(name, index)), index)


@pytest.fixture(scope="module")
def libraries() -> Iterator[Callable[[dict[str, object]], dict[str, list[list[float]]]]]:
    """What asks faiss or hnswlib, in an environment of their own."""
    python = peer_python("ann")
    assert python is not None
    peer = PeerProcess(python, Path(exchanged_files.__file__))
    yield peer.ask
    peer.close()


class TestLibraries:
    """faiss and hnswlib open what we write, where an environment with them is (``FINGERPOST_PEERS``)."""

    __test__ = peer_python("ann") is not None

    @pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
    @pytest.mark.parametrize("library", ["faiss", "hnswlib"])
    def test_they_answer_from_our_files(
        self,
        libraries: Callable[[dict[str, object]], dict[str, list[list[float]]]],
        tmp_path: Path,
        library: str,
        metric: Metric,
    ) -> None:
        index, queries = built(1500, metric=metric, m=8), decaying(60, 12, seed=9)
        if metric == "cosine":
            queries = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)
        np.save(tmp_path / "queries.npy", queries)
        written(f"{library}_{metric}", index).tofile(tmp_path / "index")
        asked = {
            "library": library,
            "file": str(tmp_path / "index"),
            "queries": str(tmp_path / "queries.npy"),
            "k": 10,
            "space": metric,
        }
        exact = ExactIndex(index.vectors, metric).search(queries, 10)
        every = libraries(asked | {"ef": 1500})
        np.testing.assert_array_equal(np.sort(every["ids"], axis=1), np.sort(index.ids[exact.ids], axis=1))
        ours = HnswIndex(index.vectors, index.graph, metric).search(queries, 10, ef=30)
        theirs = libraries(asked | {"ef": 30})
        same = [len(set(a) & set(b)) for a, b in zip(theirs["ids"], index.ids[ours.ids].tolist(), strict=True)]
        assert np.mean(same) >= 9.9


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_was_cut_or_lengthened_is_refused(files: dict[str, np.ndarray], name: str) -> None:
    content = files[name]
    for length in (*range(0, 200, 7), *range(200, len(content), 97), len(content) - 1):
        with pytest.raises(ExchangeError, match=name):
            read(name, content[:length])
    with pytest.raises(ExchangeError, match=f"{name}.*(end of the file|lists)"):
        read(name, np.concatenate([content, np.zeros(8, np.uint8)]))


@settings(max_examples=150, deadline=None)
@given(data=st.data(), name=st.sampled_from(NAMES))
def test_a_damaged_file_is_refused_or_read_with_bounded_memory(data: st.DataObject, name: str) -> None:
    with np.load(FILE) as stored:
        content = stored[name].copy()
    among = STRUCTURE[name.split("_")[0]] if data.draw(st.booleans()) else len(content)
    at = data.draw(st.integers(0, among - 8))
    value = data.draw(st.binary(min_size=1, max_size=8))
    content[at : at + len(value)] = np.frombuffer(value, np.uint8)
    tracemalloc.start()
    with contextlib.suppress(ExchangeError):
        index = read(name, content)
        assert index.size == ROWS
        assert int(index.graph.indices.max()) < ROWS
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 * len(content)


def test_more_levels_than_a_graph_has_are_refused_at_once(files: dict[str, np.ndarray]) -> None:
    """Each would take a pass over all nodes."""
    top = np.array([100_000], "<i4").view(np.uint8)
    content = files["hnswlib_l2"].copy()
    content[48:52] = top
    with pytest.raises(ExchangeError, match="expected at most 255 levels, found 100001"):
        read("hnswlib_l2", content)


def test_other_kinds_of_files_are_named(files: dict[str, np.ndarray]) -> None:
    quantised = files["faiss_l2"].copy()
    quantised[:4] = np.frombuffer(b"IHNs", np.uint8)
    with pytest.raises(ExchangeError, match="scalar-quantised"):
        read_faiss(quantised)
    with pytest.raises(ExchangeError, match="IHNf"):
        read_faiss(files["hnswlib_l2"])
    with pytest.raises(ExchangeError, match="header"):
        read_hnswlib(files["faiss_l2"], metric="l2")
    with pytest.raises(ExchangeError, match="expected 7 dimensions, found 6"):
        read_hnswlib(files["hnswlib_l2"], metric="l2", dimensions=7)
    with pytest.raises(ValueError, match="metric"):
        read_hnswlib(files["hnswlib_l2"], metric="euclidean")  # type: ignore[arg-type]


def test_an_index_after_a_transform_of_vectors_is_read_if_that_only_scales_them(files: dict[str, np.ndarray]) -> None:
    content = files["faiss_cosine"]
    start = content.tobytes().index(b"VNrm")
    for at, value, found in (
        (start, b"PcAm", "transform b'PcAm'"),
        (start + 4, np.float32(1).tobytes(), "norm 1 of 6"),
        (start + 8, b"\7", "norm 2 of 7"),
        (start - 4, b"\0", "expected a transform of vectors, found 0"),
        (start - 4, b"\2", "transform b'IHNf'"),
        (content.tobytes().index(b"IHNf"), b"IxPT", "IxPT"),
    ):
        changed = content.copy()
        changed[at : at + len(value)] = np.frombuffer(value, np.uint8)
        with pytest.raises(ExchangeError, match=found):
            read_faiss(changed)
    inside = content[37:]  # without the map of ids around it
    with pytest.raises(ExchangeError, match="end of the file"):
        read_faiss(inside)
    alone = read_faiss(inside[: -8 * ROWS - 8])
    np.testing.assert_array_equal(alone.ids, np.arange(ROWS))
    assert alone.metric == "cosine"


def test_what_a_file_cannot_hold_is_refused(files: dict[str, np.ndarray]) -> None:
    with pytest.raises(ExchangeError, match="ids below 2\\^63"):
        list(write_faiss(read("hnswlib_hashed", files["hnswlib_hashed"])))
    deleted = read("hnswlib_ip", files["hnswlib_ip"])
    with pytest.raises(ExchangeError, match="no deleted rows"):
        list(write_faiss(deleted))
    table = from_table(np.array([[1, 2], [0, 2], [0, 1]]))
    several = ExchangedIndex(points(3), table, np.arange(3), "l2", 4)
    for write in (write_faiss, write_hnswlib):
        with pytest.raises(ExchangeError, match="one entry point"):
            list(write(several))
    zeroed = points(60) * (np.arange(60) != 9)[:, None].astype(np.float32)
    with pytest.raises(ExchangeError, match=r"row 9.*nonzero length"):
        list(write_hnswlib(ExchangedIndex(zeroed, built(60).graph, np.arange(60), "cosine", 4)))
    with pytest.raises(ExchangeError, match="each once"):
        ExchangedIndex(points(3), table, np.array([4, 4, 5]), "l2", 4)
    with pytest.raises(ExchangeError, match="3 rows"):
        ExchangedIndex(points(2), table, np.arange(3), "l2", 4)


def test_a_level_more_than_is_likely_is_written(files: dict[str, np.ndarray]) -> None:
    index = built(60)
    top = index.graph.upper[-1]
    entry = index.graph.entry_points
    lone = UpperLevel(entry.copy(), np.zeros(2, np.int64), np.zeros(0, np.uint32))
    upper = (*index.graph.upper, *[lone] * 30)
    assert entry[0] in top.nodes
    graph = type(index.graph)(index.graph.indptr, index.graph.indices, upper, entry)
    tall = ExchangedIndex(index.vectors, graph, index.ids, "l2", 4, 40)
    for name in ("faiss_l2", "hnswlib_l2"):
        assert_same(read(name, written(name, tall)), tall)
