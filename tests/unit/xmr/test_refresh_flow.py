"""The flow that trains a ranker, refreshing the live one: day by day, past a limit, and without a base that fits."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fingerpost.flows.domains.xmr.refresh import Base, NoBaseError, base_of
from fingerpost.flows.report.page import render
from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.page import quality_rows
from fingerpost.flows.run.partitions import Partitions
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.rewriting import Rewriting, rewriting
from fingerpost.flows.run.runtime import planning
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas import xmr as contracts
from fingerpost.schemas.errors import ForeignArtifactError, MissingArtifactError
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref, digest_of
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import partition, runs, save_partition
from fingerpost.tasks.xmr.open import LiveRanker, live
from tests.support.report_pages import Page
from tests.support.shop_rankers import asked
from tests.unit.xmr.later import write_more
from tests.unit.xmr.shop import write_shop

pytestmark = pytest.mark.usefixtures("plain_runs")

TRAINING = {"merge_vocabulary", "embed_labels", "cluster_labels", "train_rankers"}


class Days:
    """A store in which a ranker was trained on the 5th, without a base, and refreshed on the 6th."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_more(write_shop(folder))
        self.store = Store(str(folder / ".fingerpost"))
        self.first, self.first_said = self.run(asked(folder, 5, "interactions.csv"))
        self.second, self.second_said = self.run(asked(folder, 6))

    def run(self, request: RunRequest) -> tuple[dict[str, Any], str]:
        """The record of a run, and what it said."""
        log = self.folder / f"log-{request.day}-{len(list(self.folder.glob('log-*')))}"
        run_flow("train_ranker", request, quiet=True, log_file=log)
        return runs(self.store, newest=1)[0], log.read_text()


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> Days:
    return Days(tmp_path_factory.mktemp("days"))


def computed(record: dict[str, Any]) -> set[str]:
    return {stage["stage"] for stage in record["stages"] if stage["computed"]}


def test_a_first_run_trains_fully_and_says_so(days: Days) -> None:
    assert computed(days.first) >= TRAINING
    assert "ranker trained fully: no ranker of shop is live" in days.first_said
    reasons = {stage["stage"]: stage["reason"] for stage in days.first["stages"]}
    assert reasons["train_rankers"] == "first run; trained fully: no ranker of shop is live"
    release = days.store.manifest(Ref.parse(days.first["refs"]["ranker"]))
    assert release.run["reason"] == "first run; trained fully: no ranker of shop is live"


def test_the_next_day_is_refreshed_and_names_its_base(days: Days) -> None:
    first, second = ({role: Ref.parse(ref) for role, ref in one["refs"].items()} for one in (days.first, days.second))
    assert not computed(days.second) & TRAINING
    assert computed(days.second) >= {"refresh_tree", "refresh_rankers", "predict_labels", "evaluate_ranker"}
    assert second["ranker_base"] == first["ranker"]
    assert second["ranker_vocabulary"] == first["ranker_vocabulary"]
    manifest = days.store.manifest(second["ranker_model"])
    drift = manifest.quality["drift"]
    assert manifest.quality["must_retrain"] == ""
    assert 2 / 98 < drift["solved_share"] < 0.2
    assert drift["new_share"] == pytest.approx(2 / 98, abs=1e-6)
    assert (
        f"ranker refreshed from {first['ranker']}: {100 * drift['solved_share']:.1f} % of 98 labels" in days.second_said
    )
    assert manifest.run["reason"] == f"first run; refreshed from {first['ranker']}"
    ranker = live("shop", store=days.store.url)
    assert ranker.ref == second["ranker"]
    assert ranker.rank("hammer saw drill", 1)[0].id == "tools"
    assert ranker.rank("large red hammer", 1)[0].id == "hammer-red"
    shown = next(stage for stage in days.second["stages"] if stage["stage"] == "refresh_rankers")
    assert shown["quality"]["drift"] == drift


def test_the_report_and_the_page_of_the_run_show_the_drift(days: Days) -> None:
    text = Page(render(days.store, days.second)).text("refresh")
    drift = next(stage for stage in days.second["stages"] if stage["stage"] == "refresh_rankers")["quality"]["drift"]
    shown = ("labels re-solved", f"{100 * drift['solved_share']:.1f} %", days.first["refs"]["ranker_model"])
    assert all(part in text for part in (*shown, f"{drift['precision_after']:.4f}", "90.0 %"))
    assert "Trained fully" not in text
    assert "Trained fully: no ranker of shop is live." in Page(render(days.store, days.first)).text("refresh")
    rows = [
        row
        for row in quality_rows(days.second)
        if row["stage"].startswith("refresh_rankers") and row["figure"] == "drift"
    ]
    assert str(drift["solved_share"]) in rows[0]["value"]


def test_the_same_day_again_computes_nothing_and_a_later_one_keeps_the_base(days: Days) -> None:
    again = plan_of("train_ranker", asked(days.folder, 6))
    assert not again.runs
    later = {stage.stage: stage for stage in plan_of("train_ranker", asked(days.folder, 7)).stages}
    assert not later["refresh_rankers"].runs
    (days.folder / "third.csv").write_text((days.folder / "more.csv").read_text() + "green sofa xy,sofa-green,1\n")
    plan = {stage.stage: stage for stage in plan_of("train_ranker", asked(days.folder, 7, "third.csv")).stages}
    assert plan["refresh_rankers"].runs
    assert plan["refresh_rankers"].inputs["old_model"] == days.first["refs"]["ranker_model"]
    assert not set(plan) & TRAINING
    same = plan_of("train_ranker", asked(days.folder, 7, "interactions.csv"))
    assert {stage.stage for stage in same.stages} >= TRAINING
    assert not same.runs


def test_past_a_limit_the_run_trains_fully_and_says_why(days: Days, tmp_path: Path) -> None:
    other = Days.__new__(Days)
    other.folder, other.store = days.folder, days.store
    before = Pointer(days.store, "shop", contracts.RANKER.name).required()
    strict = asked(days.folder, 8, **{"xmr.refresh.limits.new_share": 0.01})
    record, said = other.run(strict)
    why = "the refresh exceeds a limit: new_share: expected at most 0.01, got 0.02041"
    assert f"ranker trained fully: {why}" in said
    assert computed(record) >= TRAINING | {"refresh_rankers"}
    assert "ranker_base" not in record["refs"]
    ranker = LiveRanker(days.store, Ref.parse(record["refs"]["ranker"]))
    assert ranker.manifest.run["reason"].endswith(f"trained fully: {why}")
    assert Pointer(days.store, "shop", contracts.RANKER.name).required().ref == record["refs"]["ranker"] != before.ref
    assert not plan_of("train_ranker", strict).runs
    assert str(base_for(asked(days.folder, 9, "third.csv")).release) == record["refs"]["ranker"]
    assert state_of(asked(days.folder, 6)) == "fresh", "a day before the new base keeps its own"
    back = Pointer(days.store, "shop", contracts.RANKER.name).promote(before.artifact, gates=[])
    assert back.ref == before.ref
    assert state_of(strict) == "fresh", "the run has some stages twice: refreshed, and then trained fully"
    failed = partition(days.store, "train_ranker", "shop", strict.day) | {"state": "failed", "error_kind": "GateError"}
    save_partition(days.store, failed)
    assert state_of(strict) == "failed"


def state_of(request: RunRequest) -> str:
    """The state of the request's day."""
    (found,) = Partitions("train_ranker", request).of([request.day])
    return found.state


def base_for(request: RunRequest) -> Base:
    """The base that a run of this request would have, of interactions that are new."""
    with planning("train_ranker", request) as run:
        return base_of(run, Ref(contracts.INTERACTIONS.name, run.env.day, digest_of("new")[:32]))


def why_none(request: RunRequest) -> str:
    with pytest.raises(NoBaseError) as found:
        base_for(request)
    return str(found.value)


def test_a_base_that_does_not_fit_is_not_used_and_it_is_said_why(days: Days) -> None:
    folder, release = days.folder, days.first["refs"]["ranker"]
    assert str(base_for(asked(folder, 7)).release) == release
    changed = why_none(asked(folder, 7, **{"xmr.training.solver.cost_positive": 2.0, "xmr.label_words": 7}))
    assert (
        changed == f"base {release} was trained differently: list_queries: parameters changed (label_words); "
        "train_rankers: parameters changed (params.solver.cost_positive)"
    )
    assert "embed_labels: forced" in why_none(asked(folder, 7).model_copy(update={"force": ("embed_labels",)}))
    assert "pifa, the only one" in why_none(asked(folder, 7, **{"xmr.embedding.method": "pii"}))
    assert why_none(asked(folder, 7, **{"xmr.ensemble.seeds": [0, 1]})).endswith(
        "xmr.ensemble: 2 ranker(s), the base has 1"
    )
    old = why_none(asked(folder, 9, **{"xmr.refresh.base_days": 3}))
    assert old == f"base {release}: expected one of 0 to 3 days before 2026-01-09, found 4"
    assert why_none(asked(folder, 4)).endswith("days before 2026-01-04, found -1")
    elsewhere = asked(folder, 7).model_copy(update={"collection": "other"})
    assert why_none(elsewhere) == "no ranker of other is live"
    token = rewriting.set(Rewriting())
    try:
        assert why_none(asked(folder, 7)) == "an earlier version is rewritten without a forgotten key"
    finally:
        rewriting.reset(token)


@pytest.fixture
def damaged(days: Days) -> Iterator[str]:
    """The base's model with another byte in one of its files."""
    model = Ref.parse(days.first["refs"]["ranker_model"])
    path = days.store.manifest(model).files[-1].path
    content = days.store.files.read(path)
    days.store.files.write(path, content[:50] + bytes([content[50] ^ 1]) + content[51:])
    yield path
    days.store.files.write(path, content)


def test_a_damaged_base_is_left_alone_aloud(days: Days, damaged: str) -> None:
    fourth = days.folder / "fourth.csv"
    fourth.write_text((days.folder / "more.csv").read_text() + "blue lamp xy,lamp-blue,1\n")
    record, said = days.run(asked(days.folder, 9, "fourth.csv"))
    lines = [line for line in said.splitlines() if "ranker trained fully: the base of" in line]
    assert len(lines) == 1
    assert (
        f"cannot be used: artifact {days.first['refs']['ranker_model']}: expected {damaged} with checksum" in lines[0]
    )
    assert "cannot be used" in days.store.manifest(Ref.parse(record["refs"]["ranker"])).run["reason"]
    assert "ranker_base" not in record["refs"]


def test_a_base_in_pieces_or_of_another_version_is_named(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from fingerpost.flows.domains.xmr import refresh as refreshing
    from fingerpost.flows.run.bases import Base, _named_by

    def named(release: Ref) -> Base:
        return _named_by(days.store, release, lambda _: refreshing._MEMBERS)

    release = Ref.parse(days.first["refs"]["ranker"])
    assert named(release) == named(Ref.parse(days.second["refs"]["ranker"]))
    newer = replace(contracts.MODEL, version=contracts.MODEL.version + 2, readable_from=contracts.MODEL.version + 1)
    monkeypatch.setitem(refreshing._MEMBERS, "model", (newer,))
    base = named(release)
    with pytest.raises(ForeignArtifactError, match=r"expected contract xmr\.model version"):
        refreshing._check_whole(days.store, base, thoroughly=False)
    monkeypatch.setitem(refreshing._MEMBERS, "towers", (contracts.TOWERS,))
    with pytest.raises(MissingArtifactError, match="expected it to name towers, found none; train it again"):
        named(release)
