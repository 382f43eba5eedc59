"""Releases: their table of members, its one reader, and what opening a release loads."""

import subprocess
import sys
from pathlib import Path

import pytest

from fingerpost.schemas import ann, autocomplete, kg, metric, xmr
from fingerpost.schemas.errors import ForeignArtifactError, MissingArtifactError
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import MEMBERS, members_table, read_members
from fingerpost.schemas.store import Store
from fingerpost.tasks.stage_run import identity_of
from tests.worlds import DAY, THINGS, commit_things, things_ref

MEMBER_REFS = {"tree": Ref("xmr.tree", DAY, "1" * 32), "model": Ref("xmr.model", DAY, "2" * 32)}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store")).prepare()


RELEASES = (ann.INDEX, xmr.RANKER, autocomplete.COMPLETER, kg.ALIGNMENT, metric.THRESHOLD)


def test_every_product_has_a_table_of_members() -> None:
    assert {contract.name for contract in RELEASES if MEMBERS in contract.tables} == {
        "ann.index",
        "xmr.ranker",
        "autocomplete.completer",
        "kg.alignment",
        "metric.threshold",
    }


@pytest.mark.parametrize("name", ["xmr.ranker", "anything.else"])
def test_members_are_read_as_they_were_written(store: Store, name: str) -> None:
    contract, ref = xmr.RANKER, Ref(name, DAY, "3" * 32)
    entry = store.write_table(ref, contract, "members", members_table(MEMBER_REFS))
    identity = identity_of(contract, {"parameters": {}, "inputs": {}, "code": ""}, [entry], {})
    store.commit(ref, Manifest(identity, {}))
    assert list(read_members(store, ref).items()) == list(MEMBER_REFS.items())


def test_what_is_no_release_is_refused(store: Store) -> None:
    commit_things(store, things_ref(1), seed=1)
    with pytest.raises(ForeignArtifactError, match=rf"{THINGS.name}.*expected a release with a table 'members'"):
        read_members(store, things_ref(1))
    with pytest.raises(MissingArtifactError):
        read_members(store, Ref("ann.index", DAY, "9" * 32))


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        (
            "fingerpost.tasks.xmr.open",
            ("fingerpost.tasks.ann.", "fingerpost.tasks.metric.", "fingerpost.ext.hnsw", "fingerpost.ext.finger"),
        ),
        (
            "fingerpost.tasks.metric.open",
            (
                "fingerpost.tasks.ann.open",
                "fingerpost.tasks.ann.hnsw",
                "fingerpost.tasks.ann.finger",
                "fingerpost.tasks.xmr.",
            ),
        ),
        ("fingerpost.tasks.ann.open", ("fingerpost.tasks.metric.", "fingerpost.tasks.xmr.")),
    ],
)
def test_opening_a_release_loads_no_other_domain(module: str, unwanted: tuple[str, ...]) -> None:
    script = f"import sys, {module}\nprint(*(name for name in sorted(sys.modules) if name.startswith({unwanted!r})))"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.split() == []
