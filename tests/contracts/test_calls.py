"""The built-in events: what functions of installed packages call, by the full names of their imports."""

from pathlib import Path

import pytest

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.events import EVENT_SCHEMA
from fingerpost.schemas.inputs.python_calls import CallSequences
from fingerpost.schemas.inputs.python_docs.calls import FunctionCalls, calls_in, calls_of
from fingerpost.schemas.inputs.python_docs.distributions import SourceFile
from fingerpost.schemas.inputs.suppression import Suppressed, hashed_key
from tests.support.distributions import install

SOURCE = """
import os.path
import numpy as np
from . import near
from ..far import thing as other, open
zeros = np.zeros
try:
    import json
except ImportError:
    json = None

def first(np_like, path):
    a = zeros(3)
    b = np.linalg.norm(np.ones(2), axis=0)
    if a:
        near.by(os.path.join("a"))
    def inner():
        return other(open)
    return inner()

async def second(np):
    import math as m
    random = np.random
    r = m.sqrt(2)
    loads = json.loads
    for near in loads("[]"):
        near.by()
    return [open(x) for open in r] and m.floor(other())

class Tool:
    def use(self):
        self.np.zeros()
        return np.array([]).sum(), unknown()

    def use(self, other):
        return np.array(other(1))

    class Inner:
        def go(self):
            yield os.getcwd()
            lambda: np.inner(1)
"""


def calls(folder: Path, source: str, module: str = "pack.sub.mod") -> dict[str, tuple[str, ...]]:
    path = folder / "mod.py"
    path.write_text(source)
    found = calls_in(SourceFile(module, path, is_package=False))
    assert {one.module for one in found} <= {module}
    return {one.function: one.calls for one in found}


def test_calls_have_the_names_that_imports_give_them(tmp_path: Path) -> None:
    assert calls(tmp_path, SOURCE) == {
        "first": ("numpy.zeros", "numpy.linalg.norm", "numpy.ones", "pack.sub.near.by", "os.path.join"),
        "first.<locals>.inner": ("pack.far.thing",),
        "second": ("math.sqrt", "json.loads", "math.floor", "pack.far.thing"),
        "Tool.use": ("numpy.array",),
        "Tool.use#2": ("numpy.array",),
        "Tool.Inner.go": ("os.getcwd", "numpy.inner"),
    }


def test_a_package_is_one_level_nearer_to_what_it_imports(tmp_path: Path) -> None:
    path = tmp_path / "__init__.py"
    path.write_text("from .near import go\nfrom ..far import run\nfrom . import *\n\ndef f():\n    go(run())\n")
    found = calls_in(SourceFile("pack.sub", path, is_package=True))
    assert found == [FunctionCalls("pack.sub", "f", ("pack.sub.near.go", "pack.far.run"))]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    files = {
        "parcel/__init__.py": "import os\ndef f():\n    os.getcwd()\n    os.listdir()\n",
        "parcel/other.py": "from parcel import f\ndef g():\n    f()\n    f()\n",
        "parcel/broken.py": "def (:\n",
        "parcel/typed.pyi": "import os\ndef f():\n    os.getcwd()\n",
    }
    install(tmp_path, "parcel", files, monkeypatch)
    return "parcel"


def test_a_distribution_becomes_events_of_modules_and_functions(package: str) -> None:
    assert calls_of(package).unparsed == 1
    source = CallSequences((package,))
    events = source.read().accepted
    assert events.schema == EVENT_SCHEMA
    rows = [(row["user"], row["session"], row["time"], row["query"]) for row in events.to_pylist()]
    module, function = hashed_key(b"", "parcel"), hashed_key(b"", "parcel:f")
    assert rows[:2] == [(module, function, -1, "os.getcwd"), (module, function, -1, "os.listdir")]
    other = (hashed_key(b"", "parcel.other"), hashed_key(b"", "parcel.other:g"), -1, "parcel.f")
    assert rows[2:] == [other, other]
    assert str(source) == "python-calls"


@pytest.mark.parametrize("key", ["parcel", "parcel:f", "os.getcwd", "OS.getCwd"])
def test_forgotten_calls_are_left_out(package: str, key: str) -> None:
    def lower(text: str) -> str:
        return text.lower()

    plain = CallSequences((package,))
    source = CallSequences((package,), Suppressed.of([key], b"salt", spelled=lower))
    left = {"parcel.f"} if key.startswith("parcel") else {"os.listdir", "parcel.f"}
    assert set(source.read().accepted["query"].to_pylist()) == left
    assert source.identity() != plain.identity() == CallSequences((package,)).identity()


def test_a_distribution_that_is_not_installed_is_named() -> None:
    with pytest.raises(InputError, match="no-such-thing"):
        CallSequences(("no-such-thing",)).read()
