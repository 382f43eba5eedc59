"""An entity of an alignment is forgotten in tables, links, both graphs and all versions, and proven absent."""

import csv
import shutil
from pathlib import Path

import pytest

from fingerpost.flows.domains.kg.matches import match_table
from fingerpost.flows.ops.erase.forget import forget, listing
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas import kg
from fingerpost.schemas.inputs.graphs_rdf import LABEL, TYPE
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Store
from tests.support.matched_tables import DAYS, Shops, write, write_shops
from tests.support.query_logs import clear

pytestmark = pytest.mark.usefixtures("plain_runs")

PRODUCT = "kg.alignment"
#: The id, and words that nothing else has.
KEY, WORDS = "L-quistgaard-7", ("Quistgaard", "zanzibarian")
RESOURCE = f"http://left/{KEY}"


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


@pytest.mark.parametrize("missing", ["", "left.csv"], ids=["its inputs", "the store"])
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

    if not missing:
        # A table that is delivered again does not bring it back.
        with Path(shops.path("left.csv")).open("a") as file:
            file.write(f"{KEY},Acme,Quistgaard zanzibarian kettle,9.90\n")
        run_flow("align_graphs", shops.request(DAYS[1]), quiet=True)
        assert KEY not in ids(store, "left")


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> Shops:
    """The same products in N-Triples."""
    made = write_shops(tmp_path_factory.mktemp("resources"))
    for side, key, name in (("left", "sku", "title"), ("right", "number", "name")):
        with Path(made.path(f"{side}.csv")).open() as file:
            lines = [
                f'<http://{side}/{row[key]}> <{LABEL}> "{row[name]}"@en .\n'
                f"<http://{side}/{row[key]}> <{TYPE}> <http://x/Product> .\n"
                f'<http://{side}/{row[key]}> <http://x/price> "{row["price"]}" .\n'
                for row in csv.DictReader(file)
            ]
        if side == "left":
            lines.append(
                f'<{RESOURCE}> <{LABEL}> "Quistgaard zanzibarian kettle"@en .\n<{RESOURCE}> <{TYPE}> <http://x/Product> .\n'
            )
        Path(made.path(f"{side}.nt")).write_text("".join(lines))
    with Path(made.path("links.csv")).open() as file:
        rows = [
            {**row, "left": f"http://left/{row['left']}", "right": f"http://right/{row['right']}"}
            for row in csv.DictReader(file)
        ]
    write(made.folder / "links.csv", [*rows, {"left": RESOURCE, "right": "http://right/R003", "label": "0"}])
    run_flow("align_graphs", _of_resources(made, DAYS[0]), quiet=True)
    return made


def _of_resources(shops: Shops, day: str) -> RunRequest:
    graphs = {"kg.left": shops.path("left.nt"), "kg.right": shops.path("right.nt")}
    return shops.request(day, **graphs, **{"kg.id": "", "kg.name": "", "kg.right_columns": {}})


def test_a_resource_is_forgotten_in_n_triples(resources: Shops) -> None:
    store = resources.store
    assert len(match_table(store, Pointer(store, "shop", PRODUCT).required().artifact)) > 60
    outcome = forget(store, RESOURCE, "shop")
    assert outcome.clean, outcome.proof["findings"]
    assert (outcome.proof["inputs_rewritten"], outcome.proof["inputs_that_still_hold_it"]) == (2, 0)
    assert [*clear(resources.folder / "store", [RESOURCE, *WORDS])] == []
    assert RESOURCE not in Path(resources.path("left.nt")).read_text()
    assert RESOURCE not in ids(store, "left")
    assert "http://left/L003" in ids(store, "left")
