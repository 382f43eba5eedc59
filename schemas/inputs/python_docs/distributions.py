"""The packages of the sample, and their source files as the installation records them."""

import hashlib
import importlib.metadata
import platform
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fingerpost.schemas.errors import InputError

STANDARD_LIBRARY = "python"
#: Number of the rules by which sources are read; another one where the same sources give other documents.
_RULES = 2
"""The name under which the standard library of the running Python stands among the distributions."""

DISTRIBUTIONS: tuple[str, ...] = (
    STANDARD_LIBRARY,
    "numpy",
    "pandas",
    "scipy",
    "networkx",
    "scikit-learn",
    "matplotlib",
    "dask",
    "distributed",
    "prefect",
    "pyarrow",
    "pydantic",
    "SQLAlchemy",
    "fastapi",
    "starlette",
    "httpx",
    "Jinja2",
    "rich",
    "typer",
    "click",
    "fsspec",
    "cloudpickle",
    "tornado",
    "anyio",
    "joblib",
    "pillow",
    "threadpoolctl",
    "toolz",
    "zict",
    "partd",
    "fonttools",
    "pyparsing",
    "python-dateutil",
    "packaging",
    "PyYAML",
    "psutil",
    "urllib3",
    "Pygments",
    "websockets",
    "alembic",
)
"""Installed by the core dependencies; what is first on the list is in every snapshot."""

_EXCLUDED = frozenset(
    [
        "_vendor",
        "_vendored",
        "vendor",
        "extern",
        "externals",
        "conftest",
        "test",
        "tests",
        "idlelib",
        "lib2to3",
        "turtledemo",
    ]
)


@dataclass(frozen=True, order=True)
class SourceFile:
    """One Python source of a distribution: its dotted module name, its path, and whether it is a package."""

    module: str
    path: Path
    is_package: bool


def source_files(distribution: str) -> list[SourceFile]:
    """The sources of a distribution, by module name; without tests and vendored copies.

    A stub (``.pyi``) stands for a module that has no ``.py``. Raises InputError if it is not installed.
    """
    if distribution == STANDARD_LIBRARY:
        root, names = _standard_library()
    else:
        found = _installed(distribution)
        root, names = Path(str(found.locate_file(""))), [path for path, _ in _recorded_sources(found)]
    files: dict[str, SourceFile] = {}
    for name in sorted(names):  # .py before .pyi
        parts = name.rsplit(".", 1)[0].split("/")
        is_package = parts[-1] == "__init__"
        parts = parts[:-1] if is_package else parts
        if parts and all(part.isidentifier() for part in parts) and _EXCLUDED.isdisjoint(parts):
            module = ".".join(parts)
            files.setdefault(module, SourceFile(module, root / name, is_package))
    return sorted(files.values())


def python_docs_fingerprint(distributions: Iterable[str] = DISTRIBUTIONS) -> str:
    """sha256 over names, versions and the recorded hashes of the sources, and the rules of reading; reads no source.

    Only the records of sources count: those of scripts hold the path of the environment. The standard library
    has no record, so the version of Python stands for it. Raises InputError for what is not installed.
    """
    digest = hashlib.sha256(f"rules {_RULES}\n".encode())
    for name in distributions:
        if name == STANDARD_LIBRARY:
            digest.update(f"{name}=={platform.python_implementation()} {platform.python_version()}\n".encode())
            continue
        found = _installed(name)
        digest.update(f"{name}=={found.version}\n".encode())
        for fields in sorted(_recorded_sources(found)):
            digest.update((",".join(fields) + "\n").encode())
    return digest.hexdigest()


def _installed(distribution: str) -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        raise InputError(
            f"python-docs: expected the distribution '{distribution}' in {sys.prefix}, got none; "
            "run 'pip install fingerpost' again in this environment"
        ) from None


def _recorded_sources(found: importlib.metadata.Distribution) -> list[tuple[str, str]]:
    """Path and hash of every ``.py`` and ``.pyi`` that the RECORD file of a distribution names."""
    record = found.read_text("RECORD")
    if record is None:
        raise InputError(
            f"python-docs: expected a RECORD file for the distribution '{found.name}', got none; "
            "run 'pip install fingerpost' again in this environment"
        )
    rows = (line.rsplit(",", 2) for line in record.splitlines())
    return [
        (row[0], row[1])
        for row in rows
        if len(row) == 3 and row[0].endswith((".py", ".pyi")) and not row[0].startswith((".", "/"))
    ]


def _standard_library() -> tuple[Path, list[str]]:
    root = Path(sysconfig.get_paths()["stdlib"])
    names = []
    for top in sorted(sys.stdlib_module_names - _EXCLUDED):
        if (root / f"{top}.py").is_file():
            names.append(f"{top}.py")
        elif (root / top).is_dir():
            names.extend(p.relative_to(root).as_posix() for p in (root / top).rglob("*.py"))
    if not names:
        raise InputError(
            f"python-docs: expected the sources of the standard library in {root}, got none; "
            "use a Python that has them as plain files"
        )
    return root, names
