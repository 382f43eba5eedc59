"""The one door to Parquet and Arrow files: nothing else opens them, and no process that read one ends badly."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fingerpost.schemas.arrow_files import owned, parquet_file, read_file, read_parquet

ROOT = Path(__file__).parents[2]
DOOR = "schemas/arrow_files.py"
#: What opens Parquet or Arrow files, or gives Arrow bytes that it does not own, by its name in pyarrow and pandas.
OPENERS = {
    "BufferReader",
    "FixedSizeBufferReader",
    "MemoryMappedFile",
    "OSFile",
    "ParquetDataset",
    "ParquetFile",
    "PythonFile",
    "foreign_buffer",
    "from_buffers",
    "input_stream",
    "memory_map",
    "open_csv",
    "open_file",
    "open_json",
    "open_stream",
    "py_buffer",
    "read_csv",
    "read_feather",
    "read_json",
    "read_metadata",
    "read_parquet",
    "read_schema",
    "read_table",
}
PACKAGES = ("pyarrow", "pandas", "polars", "fastparquet")
#: Modules of these packages that open files themselves.
MODULES = {"pyarrow.dataset", "pyarrow.feather", "pyarrow.csv", "pyarrow.json", "pyarrow.orc", "pyarrow.fs"}


def opened_in(source: str) -> Iterator[str]:
    """The openers that a module uses, however it imports them."""
    tree, ours = ast.parse(source), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in PACKAGES:
                    ours.add((alias.asname or alias.name).split(".")[0])
                    yield from {alias.name} & MODULES
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
            ours |= {alias.asname or alias.name for alias in node.names}
            names = {alias.name for alias in node.names}
            yield from names & OPENERS
            yield from {f"{node.module}.{name}" for name in names} | {str(node.module)} & MODULES
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in OPENERS:
            root: ast.expr = node
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name) and root.id in ours:
                yield node.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "__import__":
            yield "__import__"


@pytest.mark.parametrize(
    "source",
    [
        "import pyarrow.parquet as pq\npq.read_table(x)",
        "import pyarrow as pa\npa.ipc.open_file(pa.py_buffer(x))",
        "import pyarrow.parquet\npyarrow.parquet.ParquetFile(x)",
        "from pyarrow import parquet\nparquet.read_table(x)",
        "from pyarrow.parquet import ParquetFile",
        "import pandas as pd\npd.read_parquet(x)",
        "from pyarrow import dataset",
        "import pyarrow.dataset as ds",
        "def late():\n    import pyarrow as pa\n    return pa.BufferReader(x)",
    ],
)
def test_another_door_is_found(source: str) -> None:
    assert list(opened_in(source))


def test_nothing_else_opens_parquet_or_arrow_files() -> None:
    files = [
        path
        for folder in ("ext", "flows", "infra", "schemas", "src/fingerpost/__init__.py", "tasks", "setup.py")
        for path in ([ROOT / folder] if (ROOT / folder).is_file() else (ROOT / folder).rglob("*.py"))
    ]
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in files}
    suspects = {path for path, text in texts.items() if any(package in text for package in PACKAGES)}
    assert {path for path in suspects if list(opened_in(texts[path]))} == {DOOR}


def test_arrow_owns_the_bytes(tmp_path: Path) -> None:
    path, table = tmp_path / "file.parquet", pa.table({"a": list(range(1000))})
    pq.write_table(table, path)
    content = path.read_bytes()
    held = sys.getrefcount(content)
    before = pa.total_allocated_bytes()
    buffers = [owned(content), read_file(str(path))]
    assert pa.total_allocated_bytes() - before >= 2 * len(content)
    assert [buffer.to_pybytes() for buffer in buffers] == [content, content]
    assert sys.getrefcount(content) == held, "no thread of Arrow's holds an object of the interpreter"
    assert owned(b"").size == 0
    for source in (*buffers, path):
        assert parquet_file(source).read().equals(table)
    assert all(read_parquet(buffer).equals(table) for buffer in buffers)
    with pytest.raises(FileNotFoundError):
        read_file(str(tmp_path / "none"))


#: Children of one process, each of which reads and ends at once, while Arrow's threads wait for the same processor.
ENDING = """
import os, sys
import pyarrow as pa
from fingerpost.schemas.arrow_files import read_file, read_parquet

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
codes = []
for _ in range(6):
    child = os.fork()
    if not child:
        pa.set_cpu_count(2)
        read_parquet(read_file(sys.argv[1]))
        sys.exit(0)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
assert not any(codes), codes
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the scheduling of threads is Linux's")
def test_a_process_that_read_parquet_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({f"column {number}": list(range(200)) for number in range(8)}), path)
    done = subprocess.run(
        [sys.executable, "-c", ENDING, str(path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "terminate called" not in done.stderr
