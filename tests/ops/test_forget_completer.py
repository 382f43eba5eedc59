"""A user of a query log, and a query however short and spelled, is forgotten in inputs, events and all versions."""

import shutil
from pathlib import Path

import pytest

from fingerpost.flows.ops.erase.forget import forget, listing
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas.forgotten import salt_of
from fingerpost.schemas.inputs.suppression import hashed_key
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.autocomplete.open import PRODUCT, live
from fingerpost.tasks.ledger import runs
from tests.support.query_logs import DAYS, LONE, USER, Log, clear, write_log

pytestmark = pytest.mark.usefixtures("plain_runs")

#: A query of less than six bytes, in the spellings of those who asked it.
SHORT = ("zqx", "ZQX", " Zqx ")
#: A user who asked what nobody else did.
OWN = f"{USER}lone"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> Log:
    """A completer of one day."""
    log = write_log(tmp_path_factory.mktemp("log"))
    rows = [
        f"{USER}{user:03d},short-{user},{1_767_225_600 + step},{query}\n"
        for user, spelled in enumerate(SHORT)
        for step, query in enumerate((spelled, "tent", f"{spelled} tent"))
    ]
    with (log.folder / f"events-{DAYS[0]}.csv").open("a") as file:
        file.writelines(rows)
    run_flow("train_autocomplete", log.request(), quiet=True)
    return log


@pytest.fixture
def shop(world: Log, tmp_path: Path) -> Log:
    """The same in a folder of the test's own, which the records of the runs name."""
    folder = tmp_path / "own"
    shutil.copytree(world.folder, folder)
    for record in [*folder.glob("store/.runs/*.json"), *folder.glob("store/.partitions/**/*.json")]:
        record.write_text(record.read_text().replace(str(world.folder), str(folder)))
    return Log(folder)


def events(store: Store) -> list[dict[str, str]]:
    """The events that the live completer was trained on."""
    (record, *_) = runs(store)
    ref = next(stage["ref"] for stage in record["stages"] if stage["stage"] == "import_events")
    rows: list[dict[str, str]] = store.open(Ref.parse(ref), contracts.EVENTS).read("events").to_pylist()
    return rows


@pytest.mark.parametrize("missing", [False, True], ids=["its input", "the store"])
def test_a_user_is_forgotten_with_what_nobody_else_asked(shop: Log, *, missing: bool) -> None:
    store, cell = shop.store, hashed_key(salt_of(shop.store), OWN)
    before = Pointer(store, "shop", PRODUCT).required().ref
    assert {text for text, _ in clear(shop.folder / "store", [LONE, cell])} == {LONE, cell}
    if missing:
        (shop.folder / f"events-{DAYS[0]}.csv").unlink()
    found = listing(store, OWN, "shop")
    assert {ref.split("/")[0] for ref in found.holders} == {"autocomplete.events"}
    assert [plan.stored for plan in found.reruns] == [["autocomplete"] if missing else []]

    outcome = forget(store, OWN, "shop")
    assert outcome.clean, outcome.proof["findings"]
    assert outcome.proof["versions_lost"] == 0
    assert outcome.proof["inputs_that_still_hold_it"] == 0
    assert [*clear(shop.folder / "store", [LONE, OWN])] == []
    assert {path.split("/")[0] for _, path in clear(shop.folder / "store", [cell])} <= {".forgotten"}
    if not missing:
        assert OWN not in (shop.folder / f"events-{DAYS[0]}.csv").read_text()
    after = Pointer(store, "shop", PRODUCT).required()
    assert after.ref != before
    assert cell not in {row["user"] for row in events(store)}
    assert "hiking boots" in [one.query for one in live("shop", store=store.url).complete([], "hik", k=5)]


def test_a_short_query_is_forgotten_in_every_spelling(shop: Log) -> None:
    store = shop.store

    def shown(prefix: str) -> set[str]:
        return {one.query.lower() for one in live("shop", store=store.url).complete([], prefix, k=10)}

    assert shown("z") == {"zqx", "zqx tent"}
    outcome = forget(store, " zQx", "shop")
    assert outcome.clean, outcome.proof["findings"]
    assert shown("z") == {"zqx tent"}
    assert not {"zqx"} & {row["query"].lower() for row in events(store)}
    rest = (shop.folder / f"events-{DAYS[0]}.csv").read_text().lower()
    assert "zqx tent" in rest
    assert ",zqx\n" not in rest

    # A file that is delivered again does not bring it back.
    with (shop.folder / f"events-{DAYS[0]}.csv").open("a") as file:
        file.writelines(f"new-{number},again-{number},1767225600,{query}\n" for number, query in enumerate(SHORT))
    run_flow("train_autocomplete", shop.request(), quiet=True)
    assert shown("z") == {"zqx tent"}
    assert not {"zqx"} & {row["query"].lower() for row in events(store)}
