"""Whatever a file holds, reading it ends in a result or in one message: types, emptiness, sizes and encodings."""

import gzip
import json
import random
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fingerpost.flows.domains.metric.threshold import read_given
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.start import check_inputs
from fingerpost.schemas.contract import Table
from fingerpost.schemas.corpus import DOCUMENTS
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.inputs.documents import read_documents
from fingerpost.schemas.inputs.forms import ROW_NUMBER
from fingerpost.schemas.inputs.images import ImageFiles, ImageShape
from fingerpost.schemas.inputs.interactions import InteractionFile
from fingerpost.schemas.inputs.queries import read_queries
from fingerpost.schemas.inputs.rankings import read_texts
from fingerpost.schemas.inputs.rewriting import count_rows
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.wording import LONGEST

NAMES = ("id", "title", "text", "day", "vector", "query", "label", "weight", "query_id", "grade", "group", "image")
DOCUMENT_TABLE: Table = DOCUMENTS.table("documents")

READERS: dict[str, Callable[[Path, Mapping[str, str]], Any]] = {
    "documents": lambda path, mapping: read_documents(path, mapping=mapping),
    "suppressed": lambda path, mapping: read_documents(
        path, mapping=mapping, suppressed=Suppressed.of(["a", "1"], b"salt")
    ),
    "interactions": lambda path, mapping: InteractionFile(str(path), negatives_path=str(path)).read(),
    "labels": lambda path, mapping: InteractionFile(str(path), str(path)).read(),
    "queries": lambda path, mapping: read_queries(path),
    "texts": lambda path, mapping: read_texts(path),
    "embeddings": lambda path, mapping: read_given(path, {}),
    "images": lambda path, mapping: ImageFiles(str(path), ImageShape()).read(),
    "rows": lambda path, mapping: count_rows(path, mapping, Suppressed.of(["a", "1"], b"salt")),
}

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["a", "1", "2026-01-05", "\ud800", "\x00", "[1, 2]"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
COLUMNS = st.lists(st.sampled_from((*NAMES, "")) | st.text(max_size=4), min_size=0, max_size=5)


@st.composite
def csv_files(draw: st.DrawFn) -> bytes:
    """A CSV of any columns and fields, malformed or not, in any encoding."""
    text = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(
        ['"', '""', "a", "1", "[1,2]", "nan", " "]
    )
    rows = [draw(COLUMNS), *draw(st.lists(st.lists(text, max_size=5), max_size=4))]
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"]))
    end, mark = draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n"])), draw(st.sampled_from([",", ";", "\t"]))
    return end.join(mark.join(row) for row in rows).encode(encoding, "replace")


@st.composite
def json_files(draw: st.DrawFn) -> bytes:
    """Lines of any JSON, or of none."""
    row = st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4)
    lines = draw(st.lists(row.map(json.dumps) | JSON.map(json.dumps) | st.text(max_size=8), max_size=4))
    deep = draw(st.sampled_from(["", "", "[" * 1200, '{"":' * 1200]))
    return "\n".join([*lines, deep]).encode("utf-8", "surrogatepass")


ARRAYS = st.sampled_from(
    [
        pa.array([1, None, 3]),
        pa.array([1.5, float("nan"), float("inf")]),
        pa.array([1.0, 2.0**60, -0.0], pa.float16()),
        pa.array(["a", "", None]),
        pa.array(["a", "b", "a"]).dictionary_encode(),
        pa.array([b"\xff", b"a", None]),
        pa.array([b"ab", b"cd", None], pa.binary(2)),
        pa.array([None, None, None]),
        pa.array([True, None, False]),
        pa.array([[1.0, 2.0], [3.0], None]),
        pa.array([[1, 2], [None, 3], []], pa.list_(pa.int64())),
        pa.array([[1.0, 2.0]] * 3, pa.list_(pa.float32(), 2)),
        pa.array([["a"], [], None], pa.large_list(pa.string())),
        pa.array([{"bytes": b"x", "path": "p"}, None, {}]),
        pa.array([date(2026, 1, 5), None, date(1, 1, 1)]),
        pa.array([datetime(2026, 1, 5, tzinfo=UTC), None, datetime(1970, 1, 1, tzinfo=UTC)]),
        pa.array([timedelta(1), None, timedelta(0)]),
        pa.array([Decimal(7), None, Decimal(0)], pa.decimal128(38, 0)),
        pa.array([Decimal("1.5"), None, Decimal(0)], pa.decimal256(50, 3)),
        pa.array([bytes(16), None, bytes(16)], pa.uuid()),
        pa.array(['{"a": 1}', None, "1"], pa.json_()),
        pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int32())),
        pa.array(["a", "b", None], pa.string_view()),
        pa.array([1, 2, None], pa.time64("ns")),
    ]
)


@st.composite
def parquet_files(draw: st.DrawFn) -> bytes:
    """A Parquet file of any columns, cut or altered or not."""
    names = draw(st.lists(st.sampled_from(NAMES), max_size=5))
    rows = draw(st.sampled_from([3, 3, 0]))
    arrays = [draw(ARRAYS).slice(0, rows) for _ in names]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(arrays, names=names), sink)
    content = bytearray(sink.getvalue().to_pybytes())
    change = draw(st.sampled_from(["none", "none", "cut", "doubled", "altered"]))
    if change == "cut":
        del content[draw(st.integers(0, len(content))) :]
    elif change == "doubled":
        content = content * 2
    elif change == "altered":
        # Within the pages only: what outside software makes of a damaged footer is not for us to test.
        content[random.Random(draw(st.integers(0, 99))).randrange(4, max(5, len(content) // 4))] ^= 0x55
    return bytes(content)


def outcome(call: Callable[[], Any]) -> Any:
    """The result of a call, or its error where that is one of ours, which is short."""
    try:
        return call()
    except FingerpostError as problem:
        kept = problem
    assert 0 < len(str(kept)) <= LONGEST
    return kept


def ends_well(path: Path, mapping: Mapping[str, str]) -> None:
    """Every reader gives a result, or an error that names the file."""
    for name, read in READERS.items():
        found = outcome(partial(read, path, mapping))
        if isinstance(found, FingerpostError):
            assert path.name in str(found), (name, str(found))
        elif name == "documents":
            DOCUMENT_TABLE.check(found.accepted, where="accepted")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all examples share."""
    return tmp_path_factory.mktemp("fuzzed")


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
@pytest.mark.parametrize(
    ("ending", "contents"), [("csv", csv_files()), ("jsonl", json_files()), ("parquet", parquet_files())]
)
def test_every_reader_ends_in_a_result_or_one_message(
    folder: Path, ending: str, contents: st.SearchStrategy[bytes], data: st.DataObject
) -> None:
    content = data.draw(contents | st.binary(max_size=60) | st.just(b""))
    packed = data.draw(st.sampled_from(["plain", "plain", "packed", "cut"]))
    path = folder / f"a.{ending}{'' if packed == 'plain' else '.gz'}"
    if packed != "plain":
        whole = gzip.compress(content, 1)
        content = whole if packed == "packed" else whole[: len(whole) // 2]
    path.write_bytes(content)
    mapping = data.draw(
        st.sampled_from(
            [{}, {}, {"id": ROW_NUMBER}, {"id": "query"}, {"title": "query", "id": "label"}, {"text": "none"}]
        )
    )
    ends_well(path, mapping)


@settings(max_examples=25)
@given(
    name=st.text(st.characters(codec="utf-8", exclude_characters="/\0"), max_size=8)
    | st.sampled_from(["x" * 300, "a.csv/b.csv", "~", "a\0b.csv", "s3://x/a.csv", "-", ".csv", "..", "a.csv.gz.gz"]),
    flow=st.sampled_from(["nightly", "featurize_corpus", "train_ranker", "tune_thresholds"]),
    setting=st.sampled_from(["xmr.input", "metric.input", "replay.queries"]),
)
def test_the_check_of_inputs_before_a_run_ends_in_one_message(folder: Path, name: str, flow: str, setting: str) -> None:
    def check() -> None:
        request = RunRequest.of(profile="tiny", input=name, store=str(folder), collection="c", settings={setting: name})
        check_inputs(request.resolve(), flow)

    outcome(check)
