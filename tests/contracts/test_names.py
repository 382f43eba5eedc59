"""Everything is imported under ``fingerpost``: a user's own ``tasks.py``, ``flows.py``, ``schemas/`` are left alone."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment
from tests.ops.conftest import place_database
from tests.worlds import run_pipeline, write_documents

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("flows", "tasks", "ext", "schemas", "infra")
#: What a module of the user's does when it is imported in place of ours.
STOP = "raise SystemExit('a file of the user was imported')\n"


def run(folder: Path, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Runs Python in a folder of the user's, as a user does."""
    inherited = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "FINGERPOST_STORE"}}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=inherited | {"PYTHONDONTWRITEBYTECODE": "1"} | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the user's in which each of our folder names is a module or a package."""
    place = tmp_path / "project"
    (place / "schemas").mkdir(parents=True)
    (place / "schemas" / "__init__.py").write_text(STOP)
    for name in ("tasks", "flows", "ext", "infra"):
        (place / f"{name}.py").write_text(STOP)
    return place


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with a small live index of the collection ``toys``."""
    place = tmp_path_factory.mktemp("names")
    store = Store(str(place / "store")).prepare()
    run_pipeline(Environment(store, "toys", "2026-01-02"), write_documents(place, 120, 1))
    return str(place / "store")


def test_a_script_beside_files_of_the_same_names_opens_the_index(folder: Path, published: str) -> None:
    (folder / "script.py").write_text(
        "from fingerpost.tasks.ann.open import live\n"
        "print([answer.kind for answer in live('toys').query('sort order array', k=3).answers])\n"
    )
    done = run(folder, "script.py", FINGERPOST_STORE=published)
    assert done.stdout == "['sorting', 'sorting', 'sorting']\n", done.stderr


def test_a_script_may_use_its_own_modules_beside_ours(folder: Path) -> None:
    (folder / "tasks.py").write_text("NAME = 'mine'\n")
    (folder / "script.py").write_text(
        "import tasks\nimport fingerpost.tasks.ann.open\nprint(tasks.NAME, fingerpost.tasks.ann.open.live.__name__)\n"
    )
    done = run(folder, "script.py")
    assert done.stdout == "mine live\n", done.stderr


def test_the_package_opens_the_index_and_imports_little(folder: Path, published: str) -> None:
    (folder / "script.py").write_text(
        "import sys\nimport fingerpost\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('numpy', 'pyarrow', 'fsspec')])\n"
        "print([answer.kind for answer in fingerpost.live('toys').query('sort order array', k=3).answers])\n"
        "print([name for name in ('prefect', 'dask', 'distributed') if name in sys.modules])\n"
    )
    done = run(folder, "script.py", FINGERPOST_STORE=published)
    assert done.stdout == "[]\n['sorting', 'sorting', 'sorting']\n[]\n", done.stderr


@pytest.mark.parametrize(
    ("name", "product"),
    [("ranker", "xmr.ranker"), ("completer", "autocomplete.completer"), ("threshold", "metric.threshold")],
)
def test_other_products_are_asked_for_by_their_names(folder: Path, published: str, name: str, product: str) -> None:
    done = run(folder, "-c", f"import fingerpost; fingerpost.{name}('toys', store={published!r})")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("fingerpost.schemas.errors.MissingArtifactError")
    assert f"toys/{product}" in last


def test_a_folder_of_the_name_is_no_package(folder: Path) -> None:
    """A clone of the repository lies in a folder ``fingerpost``, and people work in the folder above."""
    (folder / "fingerpost" / "tasks").mkdir(parents=True)
    done = run(folder, "-c", "import fingerpost.tasks.ann.open; print(fingerpost.live.__name__)")
    assert done.stdout == "live\n", done.stderr


def test_each_folder_is_a_package_by_a_link() -> None:
    place = ROOT / "src" / "fingerpost"
    assert {link.name: link.resolve() for link in place.iterdir() if link.is_symlink()} == {
        name: ROOT / name for name in PACKAGES
    }


@pytest.mark.slow
def test_a_run_and_its_processes_start_in_such_a_folder(folder: Path, tmp_path: Path) -> None:
    """The run starts a server and Dask's workers; not even a ``fingerpost.py`` of the user's reaches these."""
    prefect = tmp_path / "prefect"
    prefect.mkdir()
    place_database(prefect / "prefect.db")
    (folder / "fingerpost.py").write_text(STOP)
    (folder / "documents.jsonl").write_text(
        "".join(json.dumps({"id": f"d{n}", "title": f"page {n}", "text": "sort an array"}) + "\n" for n in range(120))
    )
    # `-P` as the command `fingerpost`, a script in another folder, does not search the working folder either.
    done = run(
        folder,
        *(
            "-P",
            "-m",
            "fingerpost.flows.cli",
            "run",
            "featurize_corpus",
            "--profile",
            "tiny",
        ),
        *(
            "--input",
            "documents.jsonl",
            "--store",
            "store",
            "--day",
            "2026-01-02",
            "--set",
            "run.workers=1",
        ),
        PREFECT_HOME=str(prefect),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a file of the user" not in done.stdout + done.stderr
    assert list(folder.glob("store/**/manifest.json"))


def test_no_source_imports_a_package_under_its_folders_name() -> None:
    """In the repository's root such an import works, and would make a second copy of the module."""
    found = []
    # Only these are worth a parser: on some line, a name of ours follows an import.
    suspect = re.compile(rf"\b(?:import|from)\b.*(?<![\w.])(?:{'|'.join(PACKAGES)})\b")
    assert suspect.search("if now: import os, tasks.code")
    texts = {path: path.read_text() for top in (*PACKAGES, "tests") for path in (ROOT / top).rglob("*.py")}
    for path, text in texts.items():
        for node in ast.walk(ast.parse(text)) if suspect.search(text) else ():
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            found += [f"{path.relative_to(ROOT)}: {name}" for name in names if name.split(".")[0] in PACKAGES]
    assert found == []


def test_every_name_in_a_string_has_the_package() -> None:
    """``"module:function"`` in declarations, ``-m`` of commands, entry points of deployments."""
    named = re.compile(rf"(?<![\w./-])(?:{'|'.join(PACKAGES)})\.[a-z_.]+:[a-z_]+|-m,? (?:{'|'.join(PACKAGES)})\.")
    for path in [path for top in PACKAGES for path in (ROOT / top).rglob("*") if path.suffix in {".py", ".yaml"}]:
        assert named.findall(path.read_text()) == [], path
