"""The import contracts hold, and a forbidden import of each kind is found."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = "Layers: flows, then tasks, then ext and schemas"
PURE = "The modules of tasks/<domain>/ are pure"
LOADING = "Loading a published artifact needs neither Prefect nor Dask"
EXTENSIONS = "Extensions compute on numbers and import no first-party package"
CONTRACTS = (LAYERS, PURE, LOADING, EXTENSIONS)

_FIRST_PARTY = re.compile(r"^\s*(?:from|import|cimport)\s+(flows|tasks|schemas|infra|tests)\b", re.MULTILINE)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the sources that the contracts look at."""
    for package in ("flows", "tasks", "ext", "schemas"):
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=lambda _, names: [n for n in names if not _is_source(n)]
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def _is_source(name: str) -> bool:
    return name.endswith((".py", ".pyi", ".pyx")) or ("." not in name and name != "__pycache__")


def lint(folder: Path) -> tuple[set[str], str]:
    """The contracts that are broken, and all that was said."""
    command = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=120
    )
    said = " ".join((done.stdout + done.stderr).split())
    broken = {
        name
        for name in CONTRACTS
        if re.search(re.escape(name) + r"(?:, which know nothing of each other)? BROKEN", said)
    }
    kept = {name for name in CONTRACTS if re.search(re.escape(name) + r"[^()]*? KEPT", said)}
    assert broken or done.returncode == 0, said
    assert broken | kept == set(CONTRACTS), said
    return broken, said


def plant(tree: Path, path: str, *statements: str) -> None:
    source = tree / path
    source.write_text(source.read_text() + "\n" + "\n".join(statements) + "\n")


def test_the_contracts_hold() -> None:
    broken, said = lint(ROOT)
    assert not broken, said


@pytest.mark.parametrize(
    ("path", "statement", "expected", "named"),
    [
        ("schemas/refs.py", "import tasks.corpus.fields", {LAYERS}, "schemas.refs -> tasks.corpus.fields"),
        ("tasks/shards.py", "import flows.run.settings", {LAYERS}, "tasks.shards -> flows.run.settings"),
        ("tasks/corpus/open.py", "import prefect", {LOADING}, "tasks.corpus.open -> prefect"),
        ("ext/sources.py", "import schemas.refs", {LAYERS, EXTENSIONS}, "ext.sources -> schemas.refs"),
    ],
)
def test_a_forbidden_import_is_found(tree: Path, path: str, statement: str, expected: set[str], named: str) -> None:
    plant(tree, path, statement)
    broken, said = lint(tree)
    assert expected <= broken
    assert PURE not in broken
    assert named in said


def test_every_import_that_is_forbidden_to_pure_modules_is_found(tree: Path) -> None:
    forbidden = [
        "prefect",
        "dask",
        "distributed",
        "pyarrow",
        "fsspec",
        "schemas.refs",
        "tasks.stage",
        "tasks.ann.open",
        "tasks.corpus.stages.features",
    ]
    plant(tree, "tasks/corpus/fields.py", *(f"import {name}" for name in forbidden))
    plant(tree, "tasks/ann/graph.py", "def late():", "    from schemas.store import Store")
    broken, said = lint(tree)
    assert PURE in broken
    for name in forbidden:
        assert f"tasks.corpus.fields -> {name}" in said
    assert "tasks.ann.graph -> schemas.store" in said


def test_a_new_domain_is_covered_without_being_named(tree: Path) -> None:
    (tree / "tasks" / "brandnew").mkdir()
    (tree / "tasks" / "brandnew" / "__init__.py").touch()
    (tree / "tasks" / "brandnew" / "noun.py").write_text("import pyarrow\n")
    (tree / "tasks" / "brandnew" / "open.py").write_text("import schemas.store\n")
    broken, said = lint(tree)
    assert broken == {PURE}, said
    assert "tasks.brandnew.noun -> pyarrow" in said


def first_party_imports(folder: Path) -> dict[str, list[str]]:
    """The first-party packages that Cython sources import, which the linter does not see."""
    sources = [*folder.glob("*.pyx"), *folder.glob("*.pxd"), *folder.glob("*.pxi")]
    return {source.name: found for source in sources if (found := _FIRST_PARTY.findall(source.read_text()))}


def test_extensions_import_no_first_party_package() -> None:
    assert len(list((ROOT / "ext").glob("*.pyx"))) >= 3
    assert first_party_imports(ROOT / "ext") == {}


@pytest.mark.parametrize(
    "statement", ["import schemas.refs", "from tasks.corpus import svd", "    from flows cimport x", "cimport schemas"]
)
def test_a_first_party_import_in_cython_is_found(tree: Path, statement: str) -> None:
    plant(tree, "ext/hnsw.pyx", statement)
    assert list(first_party_imports(tree / "ext")) == ["hnsw.pyx"]


def test_pure_modules_touch_no_files_environment_or_clock() -> None:
    """What no import contract forbids, since the standard library counts as harmless to it."""
    outside = re.compile(
        r"^\s*(?:from|import)\s+(os|pathlib|io|shutil|tempfile|time|datetime|socket|subprocess|logging|pickle)\b",
        re.MULTILINE,
    )
    modules = [path for path in (ROOT / "tasks").glob("*/*.py") if path.name != "open.py"]
    assert len(modules) >= 15
    assert {str(path): outside.findall(path.read_text()) for path in modules if outside.search(path.read_text())} == {}
