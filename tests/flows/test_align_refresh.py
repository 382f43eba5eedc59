"""The flow that aligns, refreshing the live alignment: day by day, past a limit, and without a base that fits."""

from pathlib import Path
from typing import Any

import pytest

from fingerpost.flows.domains.kg.base import NoBaseError, base_of
from fingerpost.flows.domains.kg.inputs import inputs_of
from fingerpost.flows.domains.kg.steps import steps_of
from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.request import ResolvedRequest
from fingerpost.flows.run.runtime import planning
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas import kg
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.ledger import runs
from tests.support.matched_tables import DAYS, Shops, write_people, write_shops

pytestmark = pytest.mark.usefixtures("plain_runs")

FLOW, PRODUCT = "align_graphs", "kg.alignment"
#: Stages of a full alignment that a refresh has not.
FULL = {
    "embed_entities",
    "index_entities",
    "propose_pairs",
    "find_rivals",
    "train_baseline",
    "fit_scorer",
    "score_pairs",
    "calibrate_alignment",
}
LIVE = {"kg.refresh.mode": "live"}


def run(shops: Shops, day: str, **given: Any) -> tuple[dict[str, Any], str]:
    """The record of a run, and what it said."""
    log = shops.folder / f"log-{day}-{len(list(shops.folder.glob('log-*')))}"
    run_flow(FLOW, shops.request(day, **{**LIVE, **given}), quiet=True, log_file=log)
    return runs(shops.store, newest=1)[0], log.read_text()


def change(shops: Shops, *without: str, new: str = "") -> None:
    """The left table without some products, and with another one."""
    path = Path(shops.path("left.csv"))
    rows = [row for row in path.read_text().splitlines() if not row.startswith(tuple(f"{sku}," for sku in without))]
    path.write_text("\n".join([*rows, *([new] if new else [])]) + "\n")


def computed(record: dict[str, Any]) -> set[str]:
    return {stage["stage"] for stage in record["stages"] if stage["computed"]}


def quality(record: dict[str, Any], stage: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in record["stages"] if one["stage"] == stage)["quality"]
    return found


def ids(shops: Shops, record: dict[str, Any]) -> dict[tuple[str, str], str]:
    """The id of each entity by its side and key."""
    refs = {role: Ref.parse(ref) for role, ref in record["refs"].items()}
    keys = {
        side: shops.store.open(refs[f"alignment_{side}"], kg.GRAPH).read("entities")["id"].to_pylist()
        for side in ("left", "right")
    }
    rows = shops.store.open(refs["alignment_clusters"], kg.CLUSTERS).read("members").to_pylist()
    return {(row["side"], keys[row["side"]][row["entity"]]): row["cluster"] for row in rows}


class Two:
    """A full alignment of a first day, and the refreshed one of a second, on which a product is gone and one is new."""

    def __init__(self, folder: Path) -> None:
        self.shops = write_shops(folder)
        self.first, self.first_said = run(self.shops, DAYS[0])
        change(self.shops, "L003", new="L999,Acme,Acme blue umbrella,9.50")
        self.second, self.second_said = run(self.shops, DAYS[1])


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> Two:
    return Two(tmp_path_factory.mktemp("refreshed"))


def test_a_first_run_aligns_fully_and_says_so(two: Two) -> None:
    assert computed(two.first) >= FULL
    assert "alignment made fully: no alignment of shop is live" in two.first_said
    reasons = {stage["stage"]: stage["reason"] for stage in two.first["stages"]}
    assert reasons["fit_scorer"] == "first run; made fully: no alignment of shop is live"


def test_the_next_day_scores_only_pairs_of_changed_entities_with_the_model_of_its_base(two: Two) -> None:
    first, second = ({role: Ref.parse(ref) for role, ref in one["refs"].items()} for one in (two.first, two.second))
    assert not computed(two.second) & FULL
    assert second["alignment_base"] == first["alignment"]
    for role in ("terms", "baseline", "scorer", "calibration"):
        assert second[f"alignment_{role}"] == first[f"alignment_{role}"]
    changes = quality(two.second, "compare_graphs")
    assert (changes["new"], changes["changed"], changes["gone"]) == (1, 0, 1)
    scores, candidates = (quality(two.second, stage) for stage in ("refresh_scores", "refresh_candidates"))
    assert 0 < scores["scored"] <= 40
    assert scores["scored"] == candidates["added"]
    assert scores["pairs"] == candidates["pairs"] == scores["scored"] + scores["carried"]
    said = (
        f"alignment refreshed from {first['alignment']}: {scores['scored']:,} of {scores['pairs']:,} pairs scored again"
    )
    assert said in two.second_said
    assert Pointer(two.shops.store, "shop", PRODUCT).required().artifact == second["alignment"]


def test_its_quality_is_measured_with_the_same_pairs_and_ids_stay(two: Two) -> None:
    before, after = (quality(one, "assemble_alignment") for one in (two.first, two.second))
    assert after["tested"] == pytest.approx(before["tested"], abs=3)
    assert after["prauc"] == pytest.approx(before["prauc"], abs=0.02)
    first, second = ids(two.shops, two.first), ids(two.shops, two.second)
    kept = set(first) & set(second)
    assert ("left", "L003") not in second
    assert {key for key in kept if first[key] != second[key]} <= {("right", "R003")}
    assert second["left", "L999"] not in first.values()


def test_the_same_day_again_computes_nothing_and_a_later_one_keeps_the_base(two: Two, tmp_path: Path) -> None:
    again = plan_of(FLOW, two.shops.request(DAYS[1], **LIVE))
    assert not again.runs
    later = {stage.stage: stage for stage in plan_of(FLOW, two.shops.request(DAYS[2], **LIVE)).stages}
    assert not later["refresh_scores"].runs
    assert not set(later) & FULL


def why_none(shops: Shops, **given: Any) -> str:
    """Why the second day's alignment would have no base with other settings."""
    with planning(FLOW, shops.request(DAYS[1], **{**LIVE, **given})) as run, pytest.raises(NoBaseError) as found:
        base_of(run, inputs_of(run))
    return str(found.value)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"kg.blocking.candidates": 7}, "was made differently: propose_pairs: parameters changed (params.candidates)"),
        ({"kg.scorer.forests": 2}, "was made differently: fit_scorer: parameters changed (params.forests)"),
        ({"kg.refresh.base_days": 0}, "expected one of 0 to 0 days before 2026-03-02, found 1"),
        ({"kg.aligner.on": "on"}, "was made differently: an aligner would be trained, the base has none"),
        ({"kg.right": "", "kg.within": True, "kg.links": ""}, "it is of two graphs"),
    ],
)
def test_a_base_that_a_full_run_would_make_otherwise_is_not_used(two: Two, given: dict[str, Any], why: str) -> None:
    assert why in why_none(two.shops, **given)
    plan = plan_of(FLOW, two.shops.request(DAYS[1], **{**LIVE, **given}))
    assert {stage.stage for stage in plan.stages} >= FULL - {"label_pairs"}


def test_without_a_refresh_and_with_the_graphs_of_the_base_the_plan_is_a_full_one(two: Two) -> None:
    plan = plan_of(FLOW, two.shops.request(DAYS[1], **{"kg.refresh.mode": "off"}))
    assert {stage.stage for stage in plan.stages} >= FULL
    limited = plan_of(FLOW, two.shops.request(DAYS[1], **LIVE, **{"kg.refresh.entities": 0.001}))
    assert {stage.stage for stage in limited.stages} >= FULL


def test_every_step_of_the_wiring_has_the_parameters_that_a_base_is_compared_by(two: Two) -> None:
    shops = two.shops
    members = read_members(shops.store, Ref.parse(two.first["refs"]["alignment"]))
    own = ResolvedRequest.of(shops.request(DAYS[1], **LIVE)).settings.kg
    env = Environment(shops.store, "shop", DAYS[1])
    steps = steps_of(own, members)
    assert {
        role: stage.differs(env, members[role], **given) for role, (stage, given) in steps.items()
    } == dict.fromkeys(steps, "")
    made = {stage["stage"] for stage in two.first["stages"]}
    others = {"import_graph", "import_links", "search_entities", "share_neighbors", "score_labelled", "decide_matches"}
    others |= {"identify_entities", "join_graphs", "evaluate_alignment", "queue_review", "assemble_alignment"}
    assert {stage.name for stage, _ in steps.values()} == made - others


def test_too_many_changes_make_an_alignment_fully_and_that_is_the_next_base(tmp_path: Path) -> None:
    shops = write_shops(tmp_path)
    run(shops, DAYS[0])
    change(shops, *(f"L{number:03d}" for number in range(95, 125)))
    record, said = run(shops, DAYS[1])
    assert computed(record) >= FULL - {"calibrate_alignment"}
    assert "alignment made fully: 23.1 % of the entities of the left graph are new, changed or gone" in said
    change(shops, "L094")
    third, _ = run(shops, DAYS[2])
    assert third["refs"]["alignment_base"] == record["refs"]["alignment"]


def test_within_one_table_and_with_an_aligner_pairs_are_refreshed(tmp_path: Path) -> None:
    shops = write_shops(tmp_path)
    write_people(shops)
    given = {
        "kg.left": shops.path("people.csv"),
        "kg.right": "",
        "kg.within": True,
        "kg.links": shops.path("people-links.csv"),
        "kg.id": "number",
        "kg.name": "name",
        "kg.right_columns": {},
        "kg.shared": ["maker"],
        "kg.types": ["row"],
    }
    run(shops, DAYS[0], **given)
    path = Path(shops.path("people.csv"))
    path.write_text(path.read_text() + "Z1,Acme blue umbrella,Acme\nZ2,Acme blue umbrella 2,Acme\n")
    record, said = run(shops, DAYS[1], **given)
    assert "alignment refreshed from" in said, said
    scores = quality(record, "refresh_scores")
    assert 0 < scores["scored"] < scores["pairs"] / 2
    assert "train_aligner" not in computed(record)
