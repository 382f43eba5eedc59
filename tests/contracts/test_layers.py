"""The import contracts hold, and a forbidden import of each kind is found."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fingerpost.flows.run.flow_names import flow_names

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = tuple(
    contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
)
LAYERS, PURE, INSIDE, SHARED, LOADING, EXTENSIONS = (
    next(name for name in CONTRACTS if name.startswith(begin))
    for begin in (
        "Layers: flows, then tasks, then ext and schemas",
        "The modules of tasks/<domain>/ are pure",
        "Inside flows: the command line, then commands",
        "What all domains share names none of them",
        "Loading a published artifact needs neither Prefect nor Dask",
        "Extensions compute on numbers and import no first-party package",
    )
)
#: Forbidden imports outside pure modules: the module, its statement, the contracts that it breaks, and how it is named.
PLANTED = (
    (
        "schemas/refs.py",
        "import fingerpost.tasks.corpus.fields",
        {LAYERS},
        "fingerpost.schemas.refs -> fingerpost.tasks.corpus.fields",
    ),
    (
        "tasks/shards.py",
        "import fingerpost.flows.run.settings",
        {LAYERS},
        "fingerpost.tasks.shards -> fingerpost.flows.run.settings",
    ),
    ("tasks/corpus/open.py", "import prefect", {LOADING}, "fingerpost.tasks.corpus.open -> prefect"),
    (
        "ext/sources.py",
        "import fingerpost.schemas.refs",
        {LAYERS, EXTENSIONS},
        "fingerpost.ext.sources -> fingerpost.schemas.refs",
    ),
    # A run that imports an operation: the two would import each other.
    (
        "flows/run/plan.py",
        "import fingerpost.flows.ops.keep.gc",
        {INSIDE},
        "fingerpost.flows.run.plan -> fingerpost.flows.ops.keep.gc",
    ),
    *(
        (
            f"flows/{module.replace('.', '/')}.py",
            "import fingerpost.flows.domains.xmr.rank",
            {SHARED},
            f"fingerpost.flows.{module} -> fingerpost.flows.domains.xmr.rank",
        )
        for module in ("run.calendar", "report.formats", "ops.keep.gc", "commands.keeping")
    ),
)
#: What a pure module may not import.
FORBIDDEN = (
    "prefect",
    "dask",
    "distributed",
    "pyarrow",
    "fsspec",
    "fingerpost.schemas.refs",
    "fingerpost.tasks.stage",
    "fingerpost.tasks.ann.open",
    "fingerpost.tasks.corpus.stages.features",
)

_FIRST_PARTY = re.compile(
    r"^\s*(?:from|import|cimport)\s+(fingerpost(?!\.ext\b)|flows|tasks|schemas|infra|tests)\b", re.MULTILINE
)


def copied(folder: Path) -> Path:
    """A copy of the sources that the contracts look at."""
    for package in ("flows", "tasks", "ext", "schemas"):
        shutil.copytree(
            ROOT / package,
            folder / "fingerpost" / package,
            ignore=lambda _, names: [n for n in names if not _is_source(n)],
        )
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copy(ROOT / "src" / "fingerpost" / "__init__.py", folder / "fingerpost")
    return folder


def _is_source(name: str) -> bool:
    return name.endswith((".py", ".pyi", ".pyx")) or ("." not in name and name != "__pycache__")


def lint(folder: Path) -> tuple[set[str], str]:
    """The contracts that are broken, and all that was said."""
    command = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=120
    )
    said = " ".join((done.stdout + done.stderr).split())
    broken, kept = ({name for name in CONTRACTS if f"{name} {end}" in said} for end in ("BROKEN", "KEPT"))
    assert broken or done.returncode == 0, said
    assert broken | kept == set(CONTRACTS), said
    return broken, said


def plant(tree: Path, path: str, *statements: str) -> None:
    source = tree / path
    source.write_text(source.read_text() + "\n" + "\n".join(statements) + "\n")


def test_the_contracts_hold() -> None:
    broken, said = lint(ROOT)
    assert not broken, said


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], str]:
    """What is found of forbidden imports outside pure modules."""
    tree = copied(tmp_path_factory.mktemp("outside"))
    for path, statement, *_ in PLANTED:
        plant(tree / "fingerpost", path, statement)
    return lint(tree)


@pytest.mark.parametrize(("path", "statement", "expected", "named"), PLANTED)
def test_a_forbidden_import_is_found(
    outside: tuple[set[str], str], path: str, statement: str, expected: set[str], named: str
) -> None:
    broken, said = outside
    assert expected <= broken
    assert PURE not in broken
    assert named in said


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], str]:
    """What is found of forbidden imports in pure modules, one of them in a domain that no contract names."""
    tree = copied(tmp_path_factory.mktemp("inside"))
    plant(tree / "fingerpost", "tasks/corpus/fields.py", *(f"import {name}" for name in FORBIDDEN))
    plant(tree / "fingerpost", "tasks/ann/graph.py", "def late():", "    from fingerpost.schemas.store import Store")
    (tree / "fingerpost" / "tasks" / "brandnew").mkdir()
    (tree / "fingerpost" / "tasks" / "brandnew" / "__init__.py").touch()
    (tree / "fingerpost" / "tasks" / "brandnew" / "noun.py").write_text("import pyarrow\n")
    (tree / "fingerpost" / "tasks" / "brandnew" / "open.py").write_text("import fingerpost.schemas.store\n")
    return lint(tree)


def test_every_import_that_is_forbidden_to_pure_modules_is_found(inside: tuple[set[str], str]) -> None:
    broken, said = inside
    assert PURE in broken
    for name in FORBIDDEN:
        assert f"fingerpost.tasks.corpus.fields -> {name}" in said
    assert "fingerpost.tasks.ann.graph -> fingerpost.schemas.store" in said


def test_a_new_domain_is_covered_without_being_named(inside: tuple[set[str], str]) -> None:
    broken, said = inside
    assert PURE in broken
    assert "tasks.brandnew.noun -> pyarrow" in said
    assert "tasks.brandnew.open ->" not in said


def first_party_imports(folder: Path) -> dict[str, list[str]]:
    """The first-party packages that Cython sources import, which the linter does not see."""
    sources = [*folder.glob("*.pyx"), *folder.glob("*.pxd"), *folder.glob("*.pxi")]
    return {source.name: found for source in sources if (found := _FIRST_PARTY.findall(source.read_text()))}


def test_extensions_import_no_first_party_package() -> None:
    assert len(list((ROOT / "ext").glob("*.pyx"))) >= 3
    assert first_party_imports(ROOT / "ext") == {}


@pytest.mark.parametrize(
    "statement",
    [
        "import fingerpost.schemas.refs",
        "from fingerpost.tasks.corpus import svd",
        "    from fingerpost.flows cimport x",
        "cimport fingerpost.schemas",
    ],
)
def test_a_first_party_import_in_cython_is_found(tmp_path: Path, statement: str) -> None:
    for source in (ROOT / "ext").glob("*.p*"):
        shutil.copy(source, tmp_path)
    plant(tmp_path, "hnsw.pyx", statement)
    assert list(first_party_imports(tmp_path)) == ["hnsw.pyx"]


def test_pure_modules_touch_no_files_environment_or_clock() -> None:
    """What no import contract forbids, since the standard library counts as harmless to it."""
    outside = re.compile(
        r"^\s*(?:from|import)\s+(os|pathlib|io|shutil|tempfile|time|datetime|socket|subprocess|logging|pickle)\b",
        re.MULTILINE,
    )
    modules = [path for path in (ROOT / "tasks").glob("*/*.py") if path.name != "open.py"]
    assert len(modules) >= 15
    assert {str(path): outside.findall(path.read_text()) for path in modules if outside.search(path.read_text())} == {}


def test_the_top_of_flows_is_flows_and_the_command_line() -> None:
    modules = {path.stem: path.read_text() for path in (ROOT / "flows").glob("*.py")}
    flows = {name for name, text in modules.items() if re.findall(r"^@flow\(", text, re.MULTILINE)}
    assert modules.keys() - flows == {"__init__", "cli"}
    assert all(len(re.findall(r"^@flow\(", modules[name], re.MULTILINE)) == 1 for name in flows)
    assert {entry.partition(":")[0] for entry in flow_names().values()} <= {
        f"fingerpost.flows.{name}" for name in flows
    }
