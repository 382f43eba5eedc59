"""Queries answered from mapped files: the same answers, nothing imported that they do not use, and damage told."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fingerpost.flows.cli import app
from fingerpost.schemas import store as store_module
from fingerpost.schemas.errors import CorruptArtifactError, InsufficientMemoryError
from fingerpost.schemas.packed_index import PACKED, PACKED_TEXTS
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.open import LiveIndex, live
from fingerpost.tasks.environment import Environment
from tests.worlds import run_pipeline, texts, write_documents

#: What a question needs none of, and what takes longer to import than it takes to answer.
HEAVY = ("pandas", "scipy", "pyarrow.compute", "pyarrow.dataset", "prefect", "dask", "torch", "sklearn")
QUESTIONS = ["sort order array", "shortest path", "sorrt", "", "numbers of nothing", "merge key tables sort column"]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> LiveIndex:
    folder = tmp_path_factory.mktemp("mapped")
    store = Store(str(folder / "store")).prepare()
    run_pipeline(Environment(store, "words", "2026-01-05"), write_documents(folder, 120, 3))
    return live("words", store=store.url)


def test_answers_are_those_of_files_that_are_read_and_verified(index: LiveIndex) -> None:
    read = LiveIndex(index.store, index.ref, mapped=False)
    assert index.texts is not None
    assert read.texts is None
    for question in [*QUESTIONS, *(row["text"] for row in texts(20, 3))]:
        found, expected = (side.query(question, k=7, explain=True) for side in (index, read))
        assert asdict(found) == asdict(expected)
    key = index.documents["id"][5].as_py()
    assert asdict(index.similar(key)) == asdict(read.similar(key))


def test_a_release_of_before_is_read(index: LiveIndex) -> None:
    former = LiveIndex(index.store, index.ref)
    former.members = {role: ref for role, ref in former.members.items() if role != "packed_texts"}
    assert asdict(former.query("shortest path")) == asdict(index.query("shortest path"))


def test_a_question_imports_nothing_that_takes_longer_than_its_answer(index: LiveIndex) -> None:
    program = (
        "import sys; from fingerpost.flows.cli import main\n"
        "try: main()\n"
        f"finally: print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    asked = ["query", "sort order array", "--json", "--store", index.store.url]
    done = subprocess.run([sys.executable, "-c", program, *asked], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert json.loads(done.stdout)["answers"][0]["id"] == index.query("sort order array").answers[0].id


def test_too_little_memory_is_said(index: LiveIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever library it is that has not enough first."""
    limit = 120 * 2**20
    program = (
        f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))\n"
        "from fingerpost.flows.cli import main; main()"
    )
    asked = [sys.executable, "-c", program, "query", "sort", "--store", index.store.url]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "memory" in done.stderr.lower()
    assert not any(word in done.stderr for word in ("Traceback", "rebuild", "install"))

    def no_more(path: str) -> None:
        raise OSError("Memory mapping file failed: Cannot allocate memory")

    monkeypatch.setattr(store_module, "map_arrow", no_more)
    with pytest.raises(InsufficientMemoryError, match=r"memory: expected enough for ann\.packed.*, found none"):
        live("words", store=index.store.url).query("sort")


def damaged(index: LiveIndex, folder: Path, table: str) -> Store:
    """A copy of the store with other bytes in a mapped file, of the same size."""
    copy = Store(str(folder / "copy"))
    subprocess.run(["cp", "-r", index.store.files.root, str(folder / "copy")], check=True)
    role, contract = ("packed", PACKED) if table == "documents" else ("packed_texts", PACKED_TEXTS)
    artifact = copy.open(index.members[role], contract)
    path = Path(copy.files.path(artifact.entries(table)[0].path))
    content = bytearray(path.read_bytes())
    middle = range(len(content) // 8, 7 * len(content) // 8)
    content[middle.start : middle.stop] = bytes(255 - content[place] for place in middle)
    path.write_bytes(content)
    return copy


@pytest.mark.parametrize("table", ["terms", "texts", "documents"])
def test_damage_in_a_mapped_file_is_told_and_kills_nothing(index: LiveIndex, tmp_path: Path, table: str) -> None:
    store = damaged(index, tmp_path, table)
    with pytest.raises(CorruptArtifactError):
        store.verify(index.members["packed" if table == "documents" else "packed_texts"])
    done = CliRunner().invoke(app, ["query", "sort order array", "--store", store.url])
    assert isinstance(done.exception, CorruptArtifactError)
