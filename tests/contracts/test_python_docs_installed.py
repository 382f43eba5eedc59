"""The sample's reader on installed packages, and its snapshots."""

import itertools
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fingerpost.schemas.corpus import DOCUMENTS
from fingerpost.schemas.inputs.python_docs import (
    DISTRIBUTIONS,
    SNAPSHOT_DAYS,
    distributions,
    python_docs_fingerprint,
    snapshots,
)
from fingerpost.schemas.inputs.python_docs.documents import extract_distribution


@pytest.fixture(scope="module")
def numpy_rows() -> list[dict[str, str]]:
    return extract_distribution("numpy").rows.to_pylist()


@pytest.mark.parametrize(
    ("title", "start"),
    [
        ("numpy.sort", "Return a sorted copy of an array."),
        ("numpy.linalg.inv", "Compute the inverse of a matrix."),
        ("numpy.array", "Create an array."),
        ("numpy.concatenate", "Join a sequence of arrays along an existing axis."),
        ("numpy.ndarray.sort", "Sort an array in-place."),
        ("numpy.lib.stride_tricks.sliding_window_view", "Create a sliding window view into the array"),
    ],
)
def test_numpy_functions_have_one_document_with_their_text(
    numpy_rows: list[dict[str, str]], title: str, start: str
) -> None:
    found = [row for row in numpy_rows if row["title"] == title]
    assert len(found) == 1
    assert found[0]["text"].startswith(start)
    assert found[0]["signature"].startswith("(")


def test_numpy_titles_are_public_and_ids_unique(numpy_rows: list[dict[str, str]]) -> None:
    assert not [row["title"] for row in numpy_rows if any(part.startswith("_") for part in row["title"].split("."))]
    assert len({row["id"] for row in numpy_rows}) == len(numpy_rows) > 1000
    # A function is known by one name: none is listed again under the module that defines it.
    ends = [row["title"] for row in numpy_rows if row["title"].endswith(".sort") and row["kind"] == "function"]
    assert sorted(ends) == ["numpy.ma.sort", "numpy.sort"]


def test_the_list_is_installed_and_never_this_project() -> None:
    assert len(python_docs_fingerprint()) == 64
    assert python_docs_fingerprint() == python_docs_fingerprint(DISTRIBUTIONS)
    assert "fingerpost" not in DISTRIBUTIONS
    assert len(set(DISTRIBUTIONS)) == len(DISTRIBUTIONS)


def test_standard_library_is_without_tests_and_site_packages() -> None:
    modules = [file.module for file in distributions.source_files("python")]
    assert {"json", "json.decoder", "os", "collections.abc"} <= set(modules)
    tops = {module.partition(".")[0] for module in modules}
    assert not tops & {"site-packages", "numpy", "test", "idlelib", "lib2to3"}
    assert not [module for module in modules if "test" in module.split(".")]


def test_rows_of_a_snapshot_start_with_those_of_the_day_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "DISTRIBUTIONS", ("toolz", "zict", "partd", "cloudpickle"))
    paths = snapshots.write_snapshots(tmp_path / "new", 3)
    assert [path.name for path in paths] == [f"python-docs-{day}.parquet" for day in SNAPSHOT_DAYS[:3]]
    assert sorted((tmp_path / "new").iterdir()) == paths
    tables = [pq.read_table(path) for path in paths]
    for day, table in zip(SNAPSHOT_DAYS, tables, strict=False):
        DOCUMENTS.tables[0].check(table, where=day)
    for earlier, later in itertools.pairwise(tables):
        assert earlier.num_rows < later.num_rows
        assert later.slice(0, earlier.num_rows).equals(earlier)
    assert sorted(set(tables[2]["day"].to_pylist())) == list(SNAPSHOT_DAYS[:3])
