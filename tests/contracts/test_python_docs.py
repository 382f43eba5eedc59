"""The sample's reader on small made-up packages: names, docstrings, and that nothing is imported."""

import itertools
import os
import sys
from pathlib import Path

import pytest

from fingerpost.schemas.corpus import EXTRACTS
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.python_docs import DISTRIBUTIONS, extract_distribution, python_docs_fingerprint, snapshot
from fingerpost.schemas.inputs.python_docs.documents import parse_distribution
from tests.support.distributions import install

FILES = {
    "trout/__init__.py": (
        '''
        """Fish."""
        from trout._impl import swim, dive as plunge, Fish
        from .pond import *
        from . import _compiled
        from ._compiled import leap
        import os
        raise RuntimeError("imported")
        '''
    ),
    "trout/_impl.py": (
        '''
        """Private module."""
        def swim(speed: int, *, depth=1.5):
            """Swim about."""
        def dive():
            """Dive in."""
        def _breathe():
            """Breathe."""
        def forgotten():
            """Nobody exports this."""
        class _Animal:
            def eat(self, food):
                """Eat food."""
            def sleep(self):
                """Sleep."""
        class Fish(_Animal):
            """A fish."""
            def __init__(self, name="x"):
                """Not a document."""
            def sleep(self):
                pass
            @property
            def weight(self):
                """Its weight."""
            @weight.setter
            def weight(self, value):
                """Set the weight."""
            @staticmethod
            def spawn(count):
                """Make more."""
            def _hide(self):
                """Hide."""
        '''
    ),
    "trout/pond.py": (
        '''
        """Ponds."""
        from typing import overload
        from trout._impl import dive, _breathe
        __all__ = ["Pond", "Lake", "drain", "depths"]
        __all__ += ["empty"]
        @overload
        def drain(x: int): ...
        @overload
        def drain(x: str): ...
        def drain(x):
            """drain(x, slowly=False)

            Let the water out.
            """
        empty = drain
        def unlisted():
            """Not in the list."""
        class Pond:
            """
            !!! note "Elsewhere"
                [Ponds](ponds.html)

            A pond.
            """
            fish = Accessor("fish", _Shoal)
        class Lake:
            fish = Accessor("fish", _Shoal)
        class _Shoal:
            """Fish of a water."""
            def count(self):
                """Count them."""
        class _Depths:
            """The only depths."""
            def __call__(self, x, y):
                """Depth at a point."""
        depths = _Depths()
        '''
    ),
    "trout/late.py": (
        '''
        from trout._newdocs import add_newdoc
        add_newdoc("trout._compiled", "leap", """
            leap(height)

            Jump out of the water.
            """)
        add_newdoc("trout._compiled", "leap", ("reset", "never a member of a function"))
        '''
    ),
    "trout/swim.py": '"""A module of the same name as a function."""',
    "trout/broken.py": "def (:\n",
    "trout/undecodable.py": 'x = "\udcff"\n',
    "trout/tests/test_trout.py": '"""Tests."""',
    "trout/_vendor/other.py": '"""Another\'s."""',
    "trout/plain.py": (
        '''
        from trout._impl import forgotten
        def own():
            """Of its own."""
        '''
    ),
    "trout/_beside.py": (
        '''
        def jump():
            """Jump."""
        '''
    ),
    "trout/passing.py": (
        """
        import os
        from trout._beside import jump
        from trout.pond._deep import sink
        """
    ),
    "trout/pond/_deep.py": (
        '''
        def sink():
            """Elsewhere."""
        '''
    ),
}


@pytest.fixture
def trout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution named trout that must never be imported."""
    return install(tmp_path, "trout", FILES, monkeypatch)


def by_id(name: str) -> dict[str, dict[str, str]]:
    rows = extract_distribution(name).rows.to_pylist()
    return {row["id"]: row for row in rows}


@pytest.mark.usefixtures("trout")
def test_documents_are_the_public_objects_each_once() -> None:
    rows = by_id("trout")
    assert {i: row["kind"] for i, row in rows.items()} == {
        "trout": "module",
        "trout.pond": "module",
        "trout.swim": "function",
        "trout.swim:module": "module",
        "trout.plunge": "function",
        "trout.Fish": "class",
        "trout.Fish.eat": "method",
        "trout.Fish.weight": "method",
        "trout.Fish.spawn": "method",
        "trout.Pond": "class",
        "trout.Lake.fish": "class",
        "trout.Lake.fish.count": "method",
        "trout.depths": "class",
        "trout.drain": "function",
        "trout.leap": "class",
        "trout.leap.reset": "method",
        "trout.plain.own": "function",
        "trout.passing.jump": "function",
    }
    assert rows["trout.swim:module"]["title"] == "trout.swim"
    assert {row["package"] for row in rows.values()} == {"trout"}
    assert list(rows) == [r["id"] for r in sorted(rows.values(), key=lambda r: (r["title"], r["kind"] == "module"))]
    assert "trout" not in sys.modules


@pytest.mark.usefixtures("trout")
def test_fields_of_a_document() -> None:
    rows = by_id("trout")
    assert rows["trout.swim"]["signature"] == "(speed, *, depth=1.5)"
    assert rows["trout.Fish"]["signature"] == "(name='x')"
    assert rows["trout.Fish.eat"]["signature"] == "(food)"
    assert rows["trout.Fish.spawn"]["signature"] == "(count)"
    assert rows["trout.Fish.weight"]["text"] == "Its weight."
    assert rows["trout.Fish.weight"]["signature"] == ""
    assert rows["trout.Pond"]["text"] == "A pond."
    assert rows["trout.depths"]["text"] == "The only depths."
    assert rows["trout.drain"]["text"] == "Let the water out."
    assert rows["trout.leap"]["text"] == "Jump out of the water."
    assert rows["trout.leap"]["signature"] == "(height)"


@pytest.mark.usefixtures("trout")
def test_extraction_keeps_the_contract_and_counts_what_it_cannot_parse() -> None:
    found = extract_distribution("trout")
    EXTRACTS.tables[0].check(found.rows, where="trout")
    assert found.unparsed == 2
    assert found.rows.equals(extract_distribution("trout").rows)
    assert found.rows["vector"].null_count == found.rows.num_rows


@pytest.mark.usefixtures("trout")
def test_other_names_are_aliases() -> None:
    objects = {o.name: o for o in parse_distribution("trout").objects if o.kind != "module"}
    assert set(objects["trout.drain"].aliases) == {"trout.empty", "trout.pond.drain", "trout.pond.empty"}
    assert objects["trout.Lake.fish.count"].aliases == ("trout.Pond.fish.count",)
    assert objects["trout.plunge"].qualname == "dive"
    assert objects["trout.plunge"].module == "trout._impl"


def test_fingerprint_follows_version_and_sources_but_not_scripts(trout: Path) -> None:
    before = python_docs_fingerprint(["trout"])
    record = trout / "trout-1.2.dist-info" / "RECORD"
    text = record.read_text()
    record.write_text(text.replace("of-script", "of-another-script"))
    assert python_docs_fingerprint(["trout"]) == before
    record.write_text(text.replace("of-trout/pond.py", "changed"))
    assert python_docs_fingerprint(["trout"]) != before
    record.write_text(text)
    assert python_docs_fingerprint(["trout", "python"]) != before == python_docs_fingerprint(["trout"])
    metadata = record.with_name("METADATA")
    metadata.write_text(metadata.read_text().replace("1.2", "1.3"))
    assert python_docs_fingerprint(["trout"]) != before


def test_fingerprint_reads_no_source(trout: Path) -> None:
    before = python_docs_fingerprint(["trout"])
    for path in trout.rglob("*.py"):
        os.remove(path)
    assert python_docs_fingerprint(["trout"]) == before
    assert extract_distribution("trout").unparsed == len(FILES) - 2


@pytest.mark.parametrize("use", [extract_distribution, lambda name: python_docs_fingerprint([name])])
def test_a_missing_distribution_is_named_with_what_to_do(use: object) -> None:
    with pytest.raises(InputError, match=r"'no-such-trout'.*pip install fingerpost"):
        use("no-such-trout")  # type: ignore[operator]


def test_a_distribution_without_record_is_named(trout: Path) -> None:
    (trout / "trout-1.2.dist-info" / "RECORD").unlink()
    with pytest.raises(InputError, match=r"RECORD.*'trout'"):
        extract_distribution("trout")


def test_snapshots_grow_to_the_whole_list() -> None:
    for count in (1, 3, 7):
        parts = [snapshot(i, count) for i in range(count)]
        assert parts[-1] == DISTRIBUTIONS
        for earlier, later in itertools.pairwise(parts):
            assert 0 < len(earlier) < len(later)
            assert later[: len(earlier)] == earlier


@pytest.mark.parametrize(("index", "count"), [(0, 0), (3, 3), (-1, 3), (0, 1000)])
def test_snapshot_out_of_range(index: int, count: int) -> None:
    with pytest.raises(InputError, match="expected"):
        snapshot(index, count)
