"""Alignments of two tables, of triples and within one table: what is published and refused, and what changes between days."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fingerpost.flows.domains.kg.matches import match_table
from fingerpost.flows.domains.kg.sources import skipped
from fingerpost.flows.ops.compare.changes import DataChange
from fingerpost.flows.ops.compare.diff import diff
from fingerpost.flows.ops.compare.versions import find_version
from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas import kg
from fingerpost.schemas.errors import FingerpostError, GateError
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.tasks.ledger import runs
from tests.support.matched_tables import COMMON, DAYS, Shops, write, write_people, write_shops, write_triples

pytestmark = pytest.mark.usefixtures("plain_runs")

FLOW, PRODUCT = "align_graphs", "kg.alignment"


def run(shops: Shops, **given: Any) -> dict[str, Any]:
    """The record of a run over the two tables, with other settings."""
    day = given.pop("day", DAYS[0])
    run_flow(FLOW, shops.request(day, **given), quiet=True)
    return runs(shops.store, newest=1)[0]


def live(shops: Shops) -> Ref:
    """What is live."""
    return Pointer(shops.store, "shop", PRODUCT).required().artifact


def found(shops: Shops) -> set[tuple[str, str]]:
    """The live matches as pairs of ids."""
    table = match_table(shops.store, live(shops))
    return set(zip(table["left"].to_pylist(), table["right"].to_pylist(), strict=True))


def right_of(pairs: set[tuple[str, str]]) -> float:
    """The fraction of pairs whose numbers agree, as those of one product do."""
    return sum(left[1:] == right[1:] for left, right in pairs) / len(pairs)


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> Shops:
    """Alignments of two days, on the second of which the left shop lacks a product and has a new one."""
    made = write_shops(tmp_path_factory.mktemp("shops"))
    run(made)
    rows = Path(made.path("left.csv")).read_text().splitlines()
    lacking = [row for row in rows if not row.startswith("L003,")]
    Path(made.path("left.csv")).write_text("\n".join([*lacking, "L999,Acme,Acme blue umbrella,9.50"]) + "\n")
    run(made, day=DAYS[1])
    return made


def test_two_tables_are_aligned_and_published_with_what_was_measured(shops: Shops) -> None:
    move = Pointer(shops.store, "shop", PRODUCT).required()
    assert {gate["name"] for gate in move.gates} >= {
        "alignment_matches",
        "quarantine_share",
        "alignment_tested",
        "alignment_blocking_recall",
        "alignment_prauc",
        "alignment_precision",
        "alignment_prauc_over_baseline",
        "alignment_prauc_against_live",
        "matches_against_live",
        "moved_ids_against_live",
    }
    quality = shops.store.manifest(move.artifact).quality
    assert quality["tested"] > 0
    assert quality["prauc"] >= 0.9
    pairs = found(shops)
    assert len(pairs) >= 0.85 * COMMON
    assert right_of(pairs) >= 0.9
    assert len({left for left, _ in pairs}) == len({right for _, right in pairs}) == len(pairs)


def test_a_pair_that_is_given_as_two_is_no_match(shops: Shops) -> None:
    members = read_members(shops.store, live(shops))
    links = shops.store.open(members["links"], kg.LINKS).read("links")
    matches = shops.store.open(members["matches"], kg.MATCHES).read("matches")
    accepted = set(zip(matches["left"].to_pylist(), matches["right"].to_pylist(), strict=True))
    apart = {(row["left"], row["right"]) for row in links.to_pylist() if row["label"] == 0}
    assert not accepted & apart


def test_what_did_not_change_is_reused_and_a_change_says_why(shops: Shops) -> None:
    record = run(shops, day=DAYS[1])
    assert not [stage["stage"] for stage in record["stages"] if stage["computed"]]
    plan = plan_of(
        FLOW, shops.request(DAYS[1], **{"kg.calibration.target.name": "precision", "kg.calibration.target.value": 0.99})
    )
    reasons = {stage.stage: stage.reason for stage in plan.stages if stage.runs}
    assert "parameters changed" in reasons["calibrate_alignment"]
    assert not {"import_graph", "import_links", "embed_entities", "propose_pairs", "score_pairs"} & set(reasons)


def test_the_diff_names_pairs_that_came_and_went_and_ids_that_moved(shops: Shops) -> None:
    before, after = (find_version(shops.store, f"live~{back}", product=PRODUCT) for back in (1, 0))
    changes = {
        change.about: change for artifact in diff(shops.store, before, after).artifacts for change in artifact.data
    }
    matches = changes["matches"]
    assert matches.figures["vanished"] >= 1
    assert any("L003" in example for example in matches.examples if example.startswith("vanished"))
    assert changes["ids"].figures["entities of both"] > 2 * COMMON
    assert changes["ids"].figures["whose id moved"] <= 0.05 * changes["ids"].figures["entities of both"]
    assert isinstance(changes["entities"], DataChange)


@pytest.mark.parametrize(
    ("target", "value", "holds"),
    [
        ("precision", 0.99, lambda pairs: right_of(pairs) >= 0.95),
        ("accepted", 40, lambda pairs: 60 <= len(pairs) <= COMMON / 3 + 40),
        ("far", 0.01, lambda pairs: right_of(pairs) >= 0.8),
    ],
)
def test_a_threshold_keeps_its_target(
    shops: Shops, tmp_path: Path, target: str, value: float, holds: Callable[[set[tuple[str, str]]], bool]
) -> None:
    other = write_shops(tmp_path)
    chosen = {"kg.calibration.target.name": target, "kg.calibration.target.value": value, "kg.gates.precision": 0.0}
    run(other, **chosen, **{"kg.links": other.path("few-links.csv")})
    assert holds(found(other))


def test_triples_without_names_are_aligned_by_structure(tmp_path: Path) -> None:
    shops = write_shops(tmp_path)
    write_triples(shops)
    record = run(
        shops,
        **{
            "kg.left": shops.path("left-triples.csv"),
            "kg.right": shops.path("right-triples.csv"),
            "kg.links": shops.path("triple-links.csv"),
            "kg.id": "",
            "kg.name": "",
            "kg.right_columns": {},
            "kg.gates.precision": 0.0,
            "kg.gates.blocking_recall": 0.0,
        },
    )
    assert "align_structure" in {stage["stage"] for stage in record["stages"]}
    pairs = {(left, right) for left, right in found(shops) if "maker" not in left and left.split()[1].isdigit()}
    assert pairs
    assert sum(left.split()[1] == right.split()[1] for left, right in pairs) / len(pairs) >= 0.9


def test_duplicates_within_one_table_are_found(tmp_path: Path) -> None:
    shops = write_shops(tmp_path)
    write_people(shops)
    record = run(
        shops,
        **{
            "kg.left": shops.path("people.csv"),
            "kg.right": "",
            "kg.within": True,
            "kg.links": shops.path("people-links.csv"),
            "kg.id": "number",
            "kg.name": "name",
            "kg.right_columns": {},
        },
    )
    assert "right" not in read_members(shops.store, live(shops))
    assert sum(stage["stage"] == "import_graph" for stage in record["stages"]) == 1
    pairs = found(shops)
    assert right_of(pairs) >= 0.9
    assert len(pairs) >= 0.8 * COMMON / 3


def test_without_known_pairs_matches_are_assumed_and_all_that_is_said(tmp_path: Path) -> None:
    shops = write_shops(tmp_path)
    record = run(shops, **{"kg.links": ""})
    assert any("is not measured: no pairs are known" in note for note in record["notes"])
    quality = shops.store.manifest(live(shops)).quality
    assert quality["tested"] == 0
    assert "prauc" not in quality
    pairs = found(shops)
    assert right_of(pairs) >= 0.85
    assert len(pairs) >= 0.6 * COMMON


def test_an_alignment_that_misses_a_gate_is_not_published(shops: Shops, tmp_path: Path) -> None:
    other = write_shops(tmp_path)
    with pytest.raises(GateError, match=r"alignment_matches \d+"):
        run(other, **{"kg.gates.matches": 1000})
    assert Pointer(other.store, "shop", PRODUCT).live() is None


def test_an_alignment_with_far_fewer_matches_than_the_live_one_is_refused(shops: Shops) -> None:
    tight = {"kg.calibration.target.name": "accepted", "kg.calibration.target.value": 1}
    with pytest.raises(GateError, match="matches_against_live"):
        run(shops, day=DAYS[2], **tight, **{"kg.links": shops.path("few-links.csv")})


def test_the_same_file_twice_is_aligned_with_itself(tmp_path: Path) -> None:
    """Two equal files are two graphs; they are no table whose duplicates are sought."""
    shops = write_shops(tmp_path)
    same = [{"left": f"L{number:03d}", "right": f"L{number:03d}", "label": "1"} for number in range(COMMON)]
    write(Path(shops.path("same.csv")), same)
    run(
        shops,
        **{"kg.right": shops.path("left.csv"), "kg.right_columns": {}, "kg.links": shops.path("same.csv")},
    )
    pairs = found(shops)
    assert len(pairs) >= 0.9 * COMMON
    assert all(left == right for left, right in pairs)


def test_a_nightly_without_graphs_says_so(shops: Shops) -> None:
    settings = shops.request(**{"kg.left": "", "kg.right": ""}).resolve()
    assert skipped(settings) == "Nothing is aligned: kg.left names no graph"
    assert skipped(shops.request().resolve()) == ""
    settings = shops.request(**{"kg.left": "python-objects", "kg.right": "", "input.source": "else.csv"}).resolve()
    assert skipped(settings).startswith("Nothing is aligned: kg.left is python-objects, which requires the built-in")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kg.within": True}, "expected no right graph with within"),
        ({"kg.left": "", "kg.right": "", "input.source": ""}, "kg: expected graphs"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(shops: Shops, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(FingerpostError, match=said):
        run(shops, **settings)


def test_identity_has_nothing_of_the_machine(shops: Shops) -> None:
    """A second store over the same files has the same artifacts."""
    other = Shops(shops.folder)
    request = other.request(DAYS[1]).model_copy(update={"store": str(shops.folder / "second")})
    run_flow(FLOW, request, quiet=True)
    second = type(shops.store)(str(shops.folder / "second"))
    mine = Pointer(second, "shop", PRODUCT).required().artifact
    theirs = live(shops)
    manifests: list[Manifest] = [store.manifest(ref) for store, ref in ((second, mine), (shops.store, theirs))]
    assert mine == theirs or manifests[0].quality == manifests[1].quality
