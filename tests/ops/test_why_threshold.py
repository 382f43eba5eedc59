"""Why other rows pass with one of them by two thresholds, and what a replay of ids says of them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fingerpost.flows.domains.metric.answers import PassingRows
from fingerpost.flows.ops.compare.replay_tables import compare_with_live
from fingerpost.flows.ops.compare.why import Why, why
from fingerpost.flows.ops.compare.why_tables import show_why
from fingerpost.flows.run.replay import replay
from fingerpost.schemas.errors import FingerpostError, InputError
from fingerpost.schemas.publish import Gate, Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.metric.open import PRODUCT
from tests.ops.faces import faces, tune, turned
from tests.support.queries import write_queries

KEYS = ("face 3", "face 100", "face 222")


@dataclass(frozen=True)
class World:
    """A store with thresholds by name, and the rows that each was tuned on."""

    store: Store
    refs: dict[str, Ref]
    rows: dict[str, list[dict[str, Any]]]

    def why(self, key: str, before: str, after: str, k: int = 1000) -> Why:
        return why(self.store, self.refs[before], self.refs[after], key, k=k)

    def threshold(self, name: str) -> float:
        return float(self.store.manifest(self.refs[name]).quality["threshold"])

    def similarities(self, name: str, key: str) -> dict[str, float]:
        """Cosines of a row with every other, one by one."""
        vectors = {row["id"]: np.array(row["vector"], dtype=np.float32).astype(float) for row in self.rows[name]}
        own = vectors.pop(key)
        return {
            other: float(own @ vector / np.linalg.norm(own) / np.linalg.norm(vector))
            for other, vector in vectors.items()
        }

    def passing(self, name: str, key: str) -> list[str]:
        """The ids of the rows that pass, nearest first."""
        found = self.similarities(name, key)
        near = [other for other, cosine in found.items() if cosine >= self.threshold(name)]
        return sorted(near, key=lambda other: -found[other])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("thresholds")
    store, base = Store(str(folder / "store")).prepare(), faces()
    less = [row for row in base if row["id"] not in {"face 7", "face 8", "face 9"}]
    less.append(base[3] | {"id": "face new"})
    rng = np.random.default_rng(1)
    noisy = [
        row | {"vector": [number + 0.2 * float(rng.standard_normal()) for number in row["vector"]]} for row in base
    ]
    rows = {"base": base, "share": base, "data": less, "vectors": noisy, "model": turned(base)}
    options: dict[str, dict[str, Any]] = {"share": {"share": 0.2}, "model": {"model": "camera 2"}}
    refs = {
        name: tune(Environment(store, "faces", f"2026-01-{day:02d}"), folder, taken, **options.get(name, {}))["release"]
        for day, (name, taken) in enumerate(rows.items(), start=1)
    }
    return World(store, refs, rows)


def test_answers_are_the_rows_that_pass_as_a_loop_finds_them(world: World) -> None:
    answers = PassingRows(world.store, world.refs["base"])
    for key in KEYS:
        expected = world.passing("base", key)
        assert answers.answer([key], 1000) == [expected]
        assert answers.answer([key], 2) == [expected[:2]]
        assert key not in expected
    assert any(world.passing("base", key) for key in KEYS)
    assert answers.answer(["nobody"], 5) == [[]]
    assert answers.holds(["face 3", "nobody"]) == {"face 3"}


def test_a_group_with_a_threshold_of_its_own_is_compared_with_that(world: World) -> None:
    from dataclasses import replace

    answers = PassingRows(world.store, world.refs["base"])
    made = answers.made
    answers.made = replace(made, groups={"tight": (2.0, 2.0, 2.0)})
    answers.__dict__["_groups"] = {answers.classes[answers.row_of["face 3"]]: "tight"}
    assert answers.answer(["face 3"], 10) == [[]]
    assert answers.threshold_for("face 3") == 2.0


@pytest.mark.parametrize(("other", "kind"), [("share", "threshold"), ("data", "data")])
def test_each_row_that_passes_in_one_version_only_is_told_why(world: World, other: str, kind: str) -> None:
    for key in KEYS:
        found = world.why(key, "base", other)
        old, new = (world.passing(name, key) for name in ("base", other))
        assert [move.id for move in found.moves if move.after] == new
        crossed = {move.id: move for move in found.moves if bool(move.before) != bool(move.after)}
        assert crossed.keys() == set(old) ^ set(new)
        if other == "share":
            assert {move.kind for move in crossed.values()} <= {kind}
        for move in crossed.values():
            there = [move.id in {row["id"] for row in world.rows[name]} for name in ("base", other)]
            if there == [True, False]:
                assert move.because == "the row was removed"
            elif there == [False, True]:
                assert move.because == "the row is new"
            else:
                assert move.kind == "threshold"
                assert f"{world.threshold('base'):.6g} → {world.threshold(other):.6g}" in move.because
    assert any(
        f"because the {'threshold moved' if other == 'share' else 'row'}" in s or "rows were added or removed" in s
        for s in world.why(KEYS[0], "base", other).verdict
    )


def test_vectors_and_threshold_are_told_apart_by_what_each_would_have_done(world: World) -> None:
    seen = set()
    for key in [row["id"] for row in world.rows["base"][::10]]:
        old, new = (world.similarities(name, key) for name in ("base", "vectors"))
        before, after = world.threshold("base"), world.threshold("vectors")
        for move in world.why(key, "base", "vectors").moves:
            passed, passes = old[move.id] >= before, new[move.id] >= after
            if passed == passes:
                assert move.kind in {"same", "follows", "order"}
                continue
            vectors_alone, threshold_alone = (new[move.id] >= before) == passes, (old[move.id] >= after) == passes
            expected = {(True, False): "vectors", (False, True): "threshold"}.get(
                (vectors_alone, threshold_alone), "both"
            )
            assert move.kind == expected, (key, move)
            seen.add(expected)
    assert {"vectors"} < seen


def test_counts_are_of_all_rows_even_if_few_are_shown(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    key = KEYS[1]
    old, new = (set(world.passing(name, key)) for name in ("base", "share"))
    found = world.why(key, "base", "share", k=2)
    assert found.verdict[0] == (
        f"{len(old & new)} rows pass in both versions, {len(old - new)} only before, {len(new - old)} only after"
    )
    assert f"{len(old ^ new)} of {len(old ^ new)} because the threshold moved" in found.verdict
    assert [cause.artifact for cause in found.causes] == ["metric.threshold"]
    assert "metric.assessment" in {cause.artifact for cause in found.elsewhere}
    assert any("because of it: parameters" in sentence for sentence in found.verdict)
    show_why(found)
    assert f"cosine ≥ {world.threshold('share'):.6g}" in capsys.readouterr().out
    json.dumps(asdict(found))


def test_a_row_that_is_asked_for_may_be_new_or_gone_but_must_be_known(world: World) -> None:
    gone = world.why("face 7", "base", "data")
    assert {move.because for move in gone.moves} == {"the queried row was removed"}
    with pytest.raises(FingerpostError, match=r"expected the id of a row of either version .*got 'nobody'"):
        world.why("nobody", "base", "data")
    with pytest.raises(FingerpostError, match="method: expected auto for a threshold"):
        why(world.store, world.refs["base"], world.refs["data"], "face 3", k=3, method="finger")


def test_another_model_is_named(world: World) -> None:
    found = world.why(KEYS[0], "base", "model")
    assert any("of other models: camera 1 and camera 2" in sentence for sentence in found.verdict) or not (
        set(world.passing("base", KEYS[0])) ^ set(world.passing("model", KEYS[0]))
    )
    assert [move.kind for move in world.why(KEYS[0], "base", "base").moves if move.kind != "same"] == []


def test_a_replay_of_thresholds_is_that_of_a_recount(world: World, tmp_path: Path) -> None:
    file = write_queries(tmp_path / "ids.csv", [[key] for key in KEYS], ["query"])
    found = replay(world.store, world.refs["share"], world.refs["base"], file=file, k=10)
    overlaps = []
    for key, replayed in zip(KEYS, found.queries, strict=True):
        old, new = (world.passing(name, key)[:10] for name in ("base", "share"))
        assert (replayed.live, replayed.candidate) == (old, new)
        overlaps.append(len(set(old) & set(new)) / len(old) if old else 1.0)
    assert found.figures == {"overlap": pytest.approx(np.mean(overlaps))}
    wrong = write_queries(tmp_path / "texts.csv", [["a text"], ["another"]], ["query"])
    with pytest.raises(InputError, match="expected queries that the threshold answers, found no answer to any of 2"):
        replay(world.store, world.refs["share"], world.refs["base"], file=wrong, k=10)
    Pointer(world.store, "faces", PRODUCT).promote(
        world.refs["base"], gates=[Gate("threshold_frr", 0.3, 0.5, "at_most")]
    )
    given: dict[str, Any] = {"live_alone": False, "k": 10, "profile": "quick", "collection": "faces"}
    shown, gates = compare_with_live(world.store, file, candidate=str(world.refs["share"]), product=PRODUCT, **given)
    assert shown.figures == found.figures
    assert [gate.name for gate in gates] == ["replay_overlap"]
    with pytest.raises(FingerpostError, match=r"expected an artifact ann\.index, found metric\.threshold"):
        compare_with_live(world.store, file, candidate=str(world.refs["share"]), product="ann.index", **given)
