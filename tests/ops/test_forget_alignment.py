"""An entity of an alignment is forgotten in tables, links, both graphs and all versions, and proven absent."""

import shutil
from pathlib import Path

import pytest

from fingerpost.flows.domains.kg.matches import match_table
from fingerpost.flows.ops.erase.forget import forget, listing
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas import kg
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Store
from tests.support.matched_tables import DAYS, Shops, write_shops
from tests.support.query_logs import clear

pytestmark = pytest.mark.usefixtures("plain_runs")

PRODUCT = "kg.alignment"
#: The id, and words that nothing else has.
KEY, WORDS = "L-quistgaard-7", ("Quistgaard", "zanzibarian")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> Shops:
    """An alignment of two days, with an entity of which only the left table knows."""
    made = write_shops(tmp_path_factory.mktemp("shops"))
    with Path(made.path("left.csv")).open("a") as file:
        file.write(f"{KEY},Acme,Quistgaard zanzibarian kettle,9.90\n")
    with Path(made.path("links.csv")).open("a") as file:
        file.write(f"{KEY},R003,0\n")
    run_flow("align_graphs", made.request(), quiet=True)
    return made


@pytest.fixture
def shops(world: Shops, tmp_path: Path) -> Shops:
    """The same in a folder of the test's own, which the records of the runs name."""
    folder = tmp_path / "own"
    shutil.copytree(world.folder, folder)
    for record in [*folder.glob("store/.runs/*.json"), *folder.glob("store/.partitions/**/*.json")]:
        record.write_text(record.read_text().replace(str(world.folder), str(folder)))
    return Shops(folder)


def ids(store: Store, side: str) -> list[str]:
    members = read_members(store, Pointer(store, "shop", PRODUCT).required().artifact)
    found: list[str] = store.open(members[side], kg.GRAPH).read("entities")["id"].to_pylist()
    return found


@pytest.mark.parametrize("missing", ["", "left.csv", "links.csv"], ids=["its inputs", "no left table", "no links"])
def test_an_entity_is_forgotten_with_its_attributes_and_links(shops: Shops, missing: str) -> None:
    store = shops.store
    before = Pointer(store, "shop", PRODUCT).required().ref
    pairs = match_table(store, Pointer(store, "shop", PRODUCT).required().artifact)
    if missing:
        Path(shops.path(missing)).unlink()
    found = listing(store, KEY, "shop")
    assert {ref.split("/")[0] for ref in found.holders} >= {"kg.graph", "kg.joined"}
    assert [plan.stored for plan in found.reruns] == [["kg"] if missing else []]
    assert {Path(file.path).name: file.rows for file in found.inputs} == {
        name: 1 for name in ("left.csv", "links.csv") if name != missing
    }

    outcome = forget(store, KEY, "shop")
    assert outcome.clean, outcome.proof["findings"]
    assert outcome.proof["versions_lost"] == outcome.proof["inputs_that_still_hold_it"] == 0
    assert [*clear(shops.folder / "store", [KEY, *WORDS])] == []
    for name in {"left.csv", "links.csv"} - {missing}:
        assert KEY not in Path(shops.path(name)).read_text()
    after = Pointer(store, "shop", PRODUCT).required()
    assert after.ref != before
    assert KEY not in ids(store, "left")
    assert len(ids(store, "left")) == 130
    # Nothing else is lost.
    left = match_table(store, after.artifact)
    assert abs(left.num_rows - pairs.num_rows) <= 3

    if missing != "left.csv":
        # A table that is delivered again does not bring it back.
        with Path(shops.path("left.csv")).open("a") as file:
            file.write(f"{KEY},Acme,Quistgaard zanzibarian kettle,9.90\n")
        if missing != "links.csv":
            run_flow("align_graphs", shops.request(DAYS[1]), quiet=True)
            assert KEY not in ids(store, "left")
