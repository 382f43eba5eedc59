"""The metric stages without Prefect: what they make is what one process makes of all rows, however their shards run."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from fingerpost.flows.run.executor import DaskExecutor
from fingerpost.schemas import corpus
from fingerpost.schemas import metric as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.matrices import tensors_from_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.metric.assessment import AssessmentParams, assess
from fingerpost.tasks.metric.calibrated import ForeignModelError, calibrated
from fingerpost.tasks.metric.classes import ClassParams, chosen_rows, in_validation
from fingerpost.tasks.metric.groups import group_thresholds
from fingerpost.tasks.metric.histograms import pair_histograms
from fingerpost.tasks.metric.open import LiveThreshold, read_bins, read_groups, read_histograms, read_threshold
from fingerpost.tasks.metric.opis import OpisParams
from fingerpost.tasks.metric.recount import Recount, counted_at, recounting, refined
from fingerpost.tasks.metric.retrieval import retrieval
from fingerpost.tasks.metric.scores import Measure, bins_covering, bounded_bins
from fingerpost.tasks.metric.stages import thresholds as stages
from fingerpost.tasks.metric.thresholds import Target, choose_threshold, class_rates
from tests.support.kills import Deadly
from tests.unit.metric.worlds import CLASSES, ROWS, embeddings, world
from tests.worlds import DAY, identities

PARAMS = AssessmentParams(target=Target("far", 0.02), opis=OpisParams(draws=50, least_pairs=3))


@dataclass
class Shuffled:
    """Shards in another order, all together or until one fails."""

    seed: int
    fail_at: int = -1
    ran: list[int] = field(default_factory=list)

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """In a drawn order."""
        order = list(range(len(items)))
        random.Random(self.seed).shuffle(order)
        for count, position in enumerate(order):
            if count == self.fail_at:
                raise RuntimeError("the machine is gone")
            self.ran.append(position)
            yield position, function(items[position])


def make(
    env: Environment, *, measure: Measure = "cosine", rows_per_shard: int = 4096, bins: int = 512
) -> dict[str, Ref]:
    """All stages for both sides of the split."""
    inputs = [Ref(contract.name, DAY, "0" * 32) for contract in (corpus.VECTORS, corpus.DOCUMENTS)]
    made: dict[str, Ref] = {}
    for part in ("validation", "test"):
        classes = ClassParams(part=part, validation_share=0.3)  # type: ignore[arg-type]
        rows = stages.arrange_classes.execute(
            env, *inputs, measure=measure, bins=bins, memory_mb=64, classes=classes, rows_per_shard=rows_per_shard
        )
        counts = stages.count_class_pairs.execute(env, rows)
        made |= {f"{part} rows": rows, f"{part} counts": counts}
        made[part] = stages.merge_pair_counts.execute(env, rows, counts)
    made["assessment"] = stages.assess_threshold.execute(
        env, made["validation"], made["test"], made["validation rows"], made["test rows"], params=PARAMS
    )
    return made


@pytest.mark.parametrize("measure", ["cosine", "euclidean"])
def test_stages_make_what_one_process_makes_of_all_rows(measure: Measure, tmp_path: Path) -> None:
    env, vectors, packages = world(tmp_path)
    made = make(env, measure=measure)
    pairs, chosen_of = {}, {}
    for part in ("validation", "test"):
        rows = env.store.open(made[f"{part} rows"], contracts.ROWS)
        chosen = chosen_rows(packages, ClassParams(part=part, validation_share=0.3))  # type: ignore[arg-type]
        chosen_of[part] = chosen
        order = tensors_from_arrow(rows.read("order"))["rows"]
        assert sorted(order) == chosen.tolist()
        names = np.array(packages)[order]
        assert (np.sort(names) == names).all()
        pairs[part] = pair_histograms(vectors[chosen], np.array(packages)[chosen], read_bins(rows))
        stored = read_histograms(env.store.open(made[part], contracts.HISTOGRAMS))
        assert stored.bins == pairs[part].bins
        assert (stored.names == pairs[part].names).all()
        assert (stored.inside == pairs[part].inside).all()
        assert (stored.outside == pairs[part].outside).all()
        quality = env.store.manifest(made[f"{part} counts"]).quality
        assert quality["pairs"] == len(chosen) * (len(chosen) - 1) // 2
        groups = -(-len(chosen) // 4096)
        assert quality["shards"] == groups * (groups + 1) // 2
    assert not set(pairs["validation"].names) & set(pairs["test"].names)
    recounts = [recounting(vectors[rows], np.array(packages)[rows], measure) for rows in chosen_of.values()]
    # Stages compute with one thread: intervals are sums whose last bit depends on it.
    with threadpool_limits(1):
        expected = assess(pairs["validation"], pairs["test"], PARAMS, recounts=(recounts[0], recounts[1]))
    assert env.store.manifest(made["assessment"]).quality == expected.quality
    artifact = env.store.open(made["assessment"], contracts.ASSESSMENT)
    figures = {
        (row["method"], row["setting"], row["metric"]): row["value"] for row in artifact.read("figures").to_pylist()
    }
    assert figures == {figure[:3]: figure[3] for figure in expected.figures}
    threshold = expected.quality["threshold"]
    rates = class_rates(counted_at(pairs["test"], [threshold], recounts[1]), threshold)
    classes = artifact.read("classes")
    assert classes["name"].to_pylist() == pairs["test"].names.tolist()
    assert classes["far"].to_pylist() == rates.far.tolist()
    assert 0.95 * 0.02 <= figures["threshold", "validation", "far"] <= 0.02
    assert 0.01 < figures["threshold", "test", "far"] < 0.04


def test_the_released_threshold_knows_its_model(tmp_path: Path) -> None:
    env, vectors, packages = world(tmp_path)
    inputs = [Ref(contract.name, DAY, "0" * 32) for contract in (corpus.VECTORS, corpus.DOCUMENTS)]
    rows = stages.arrange_classes.execute(
        env, *inputs, measure="cosine", bins=512, memory_mb=64, classes=ClassParams(), rows_per_shard=100_000
    )
    pairs = stages.merge_pair_counts.execute(env, rows, stages.count_class_pairs.execute(env, rows))
    target = Target("frr", 0.05)
    measured = [
        stages.assess_threshold.execute(env, pairs, pairs, rows, rows, params=replace(PARAMS, target=target)),
        stages.measure_retrieval.execute(env, rows, queries=500),
    ]
    released = {"target": target, "model": "toy 1", "canaries": 4}
    ref = stages.release_threshold.execute(env, pairs, *inputs, *measured, **released)
    with pytest.raises(FingerpostError, match="expected the assessment of a threshold for far, found none"):
        stages.release_threshold.execute(env, pairs, *inputs, *measured, **released | {"target": Target("far", 0.05)})
    found = read_threshold(env.store.open(ref, contracts.THRESHOLD))
    ids = [f"d{row}" for row in range(ROWS)]
    counted = read_histograms(env.store.open(pairs, contracts.HISTOGRAMS))
    choice = choose_threshold(refined(counted, target, recount_of(vectors, packages)), target)
    made = calibrated(choice, "cosine", model="toy 1", ids=ids, vectors=vectors, canaries=4)
    assert replace(found, canaries=made.canaries) == made
    assert (found.canaries == made.canaries).all()
    assert found.check(model="toy 1", ids=ids, vectors=vectors) == 4
    with pytest.raises(ForeignModelError, match="the vectors are of another model"):
        found.check(ids=ids, vectors=vectors[:, ::-1])
    quality = env.store.manifest(ref).quality
    assert quality["held_out_frr"] == choice.held_out
    tested, searched = (env.store.manifest(one).quality for one in measured)
    assert (quality["test_far"], quality["opis"]) == (tested["far"], tested["opis"])
    assert quality["recall_at_1"] == searched["recall_at_1"]


def recount_of(vectors: np.ndarray, packages: list[str]) -> Recount:
    """Recounts of the pairs of the rows that have a class."""
    with_class = np.flatnonzero(np.array(packages) != "")
    return recounting(vectors[with_class], np.array(packages)[with_class], "cosine")


def as_version_2(store: Store, ref: Ref) -> Ref:
    """The threshold as the version before wrote it: without the table of members."""
    manifest, older = store.manifest(ref), Ref(ref.name, ref.day, ref.fingerprint[::-1])
    identity = dict(manifest.identity) | {"contract": {"name": ref.name, "version": 2}}
    for key in ("schema", "rows"):
        identity[key] = {name: value for name, value in identity[key].items() if name != "members"}
    identity["files"] = [entry for entry in identity["files"] if entry["table"] != "members"]
    identity["inputs"] = {name: given for name, given in identity["inputs"].items() if not name.startswith("others_")}
    store.commit(older, Manifest(identity, manifest.run))
    return older


def test_members_of_a_threshold_are_the_same_where_they_are_derived(tmp_path: Path) -> None:
    env, vectors, packages = world(tmp_path)
    inputs = [Ref(contract.name, DAY, "0" * 32) for contract in (corpus.VECTORS, corpus.DOCUMENTS)]
    made = make(env)
    retrieval_ref = stages.measure_retrieval.execute(env, made["test rows"], queries=50)
    others = {"validation_rows": made["validation rows"], "test_rows": made["test rows"], "test_pairs": made["test"]}
    ref = stages.release_threshold.execute(
        env,
        made["validation"],
        *inputs,
        made["assessment"],
        retrieval_ref,
        *others.values(),
        roles=tuple(others),
        target=PARAMS.target,
        model="toy 1",
        canaries=4,
    )
    members = read_members(env.store, ref)
    assert members == others | {
        "validation_pairs": made["validation"],
        "vectors": inputs[0],
        "documents": inputs[1],
        "assessment": made["assessment"],
        "retrieval": retrieval_ref,
    }
    older = as_version_2(env.store, ref)
    assert read_members(env.store, older) == members
    for release in (ref, older):
        threshold = LiveThreshold(env.store, release, "toys")
        ids, labels, rows = threshold.embeddings()
        assert (ids, labels) == ([f"d{row}" for row in range(ROWS)], packages)
        assert (rows == vectors).all()
        assert threshold.embedder() is None
        assert threshold.threshold.model == "toy 1"


def test_groups_go_from_documents_to_the_released_threshold(tmp_path: Path) -> None:
    env, vectors, packages = world(tmp_path, kinds=True)
    inputs = [Ref(contract.name, DAY, "0" * 32) for contract in (corpus.VECTORS, corpus.DOCUMENTS)]
    rows = stages.arrange_classes.execute(
        env,
        *inputs,
        measure="cosine",
        bins=512,
        memory_mb=64,
        classes=ClassParams(group="kind"),
        rows_per_shard=100_000,
    )
    assert env.store.manifest(rows).quality["grouped_classes"] == 2 * (CLASSES // 3)
    pairs = stages.merge_pair_counts.execute(env, rows, stages.count_class_pairs.execute(env, rows))
    target = Target("frr", 0.05)
    params = replace(PARAMS, target=target)
    assessment = stages.assess_threshold.execute(env, pairs, pairs, rows, rows, params=params)
    table = env.store.open(assessment, contracts.ASSESSMENT).read("groups").to_pylist()
    counted = env.store.open(pairs, contracts.HISTOGRAMS)
    groups = read_groups(counted)
    assert groups is not None
    kept = read_histograms(counted)
    recount = recount_of(vectors, packages)
    kept = refined(kept, target, recount)
    for group in ("tight", "wide"):
        kept = refined(kept, target, recount, classes=np.flatnonzero(groups == group))
    found = group_thresholds(kept, groups, choose_threshold(kept, target))
    assert [(row["name"], row["threshold"], row["worth"]) for row in table] == [
        (group.name, group.threshold, group.worth) for group in found.groups
    ]
    assert [row["worth"] for row in table] == [True, True], "tight and wide classes need thresholds of their own"
    ref = stages.release_threshold.execute(
        env,
        pairs,
        *inputs,
        assessment,
        stages.measure_retrieval.execute(env, rows, queries=50),
        target=target,
        model="toy 1",
        canaries=4,
    )
    made = read_threshold(env.store.open(ref, contracts.THRESHOLD))
    assert made.groups == {group.name: (group.threshold, *group.interval) for group in found.groups}
    assert made.of("tight") == found.groups[0].threshold
    assert made.of("no such") == made.of() == made.threshold
    assert made.search_radius("wide") == 1 - found.groups[1].threshold


def test_retrieval_of_shards_is_that_of_all_rows(tmp_path: Path) -> None:
    env, vectors, packages = world(tmp_path)
    inputs = [Ref(contract.name, DAY, "0" * 32) for contract in (corpus.VECTORS, corpus.DOCUMENTS)]
    classes = ClassParams(part="test", validation_share=0.3)
    rows = stages.arrange_classes.execute(
        env, *inputs, measure="cosine", bins=512, memory_mb=64, classes=classes, rows_per_shard=4096
    )
    quality = env.store.manifest(stages.measure_retrieval.execute(env, rows, queries=100_000)).quality
    chosen = chosen_rows(packages, classes)
    whole = retrieval(vectors[chosen], np.array(packages)[chosen], "cosine")
    assert (quality["rows"], quality["lone_classes"]) == (whole.rows, whole.lone_classes)
    for name in ("recall_at_1", "map_at_r", "recall_at_1_classes", "map_at_r_classes"):
        assert quality[name] == pytest.approx(getattr(whole, name), abs=1e-12)
    some = env.store.manifest(stages.measure_retrieval.execute(env, rows, queries=2000)).quality
    assert 1900 < some["rows"] <= 2000
    assert some["recall_at_1"] != quality["recall_at_1"]
    for name in ("recall_at_1", "map_at_r", "recall_at_1_classes", "map_at_r_classes"):
        assert some[name] == pytest.approx(quality[name], abs=0.03)


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    env, _, _ = world(tmp_path_factory.mktemp("serial"))
    make(env)
    return identities(env.store)


def test_order_and_failures_of_shards_change_nothing(serial: dict[str, str], tmp_path: Path) -> None:
    executor = Shuffled(1, fail_at=2)
    env, _, _ = world(tmp_path, executor)
    with pytest.raises(RuntimeError, match="the machine is gone"):
        make(env)
    make(env)
    assert identities(env.store) == serial
    assert len(executor.ran) == 1 + 3, "what was counted before the failure is not counted again"


class AfterTheFirst(Deadly):
    """Kills a worker when the first of several shards of pairs is there."""

    total = 0

    def begin(self, stage: str, total: int) -> None:
        self.total = total

    def advance(self, stage: str, done: int) -> None:
        if stage == contracts.PAIR_COUNTS.name and done == 1 < self.total:
            self.at = {self.steps + 1}
            super().advance(stage, done)


def test_two_workers_of_which_one_is_killed_make_the_same(
    forked_workers: None, serial: dict[str, str], tmp_path: Path
) -> None:
    executor = DaskExecutor(2)
    env, _, _ = world(tmp_path, executor)
    env.progress = progress = AfterTheFirst(executor, set(), random.Random(0))
    try:
        make(env)
    finally:
        executor.close()
    assert identities(env.store) == serial
    assert len(progress.killed) == 1


def test_groups_of_another_size_give_the_same_answer(serial: dict[str, str], tmp_path: Path) -> None:
    files = []
    for rows_per_shard in (4096, 100_000):
        env, _, _ = world(tmp_path / f"{rows_per_shard}")
        made = make(env, rows_per_shard=rows_per_shard)
        shards = env.store.manifest(made["test counts"]).quality["shards"]
        assert shards == (3 if rows_per_shard == 4096 else 1)
        names = ("validation", "test", "assessment")
        files.append([entry.sha256 for name in names for entry in env.store.manifest(made[name]).files])
    assert files[0] == files[1]


def test_a_classs_side_depends_on_its_name_alone() -> None:
    names = [f"class {number}" for number in range(1000)]
    sides = [in_validation(name, 0.3, 0) for name in names]
    assert 250 < sum(sides) < 350
    assert sides != [in_validation(name, 0.3, 1) for name in names]
    labels = [*names, *names, "", "", ""]
    parts = {
        part: chosen_rows(labels, ClassParams(part=part, validation_share=0.3))  # type: ignore[arg-type]
        for part in ("validation", "test", "all")
    }
    assert sorted([*parts["validation"], *parts["test"]]) == parts["all"].tolist() == list(range(2000))
    assert [labels[row] for row in parts["validation"][: sum(sides)]] == [
        n for n, s in zip(names, sides, strict=True) if s
    ]
    sized = chosen_rows(["a", "b", "b", "c", "c", None], ClassParams(least_rows=2))
    assert sized.tolist() == [1, 2, 3, 4]


def test_what_cannot_be_split_or_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="classes: expected at least two in the all part with 1 rows each, got 1 of 2"):
        chosen_rows(["a", "a", ""], ClassParams())
    with pytest.raises(ValueError, match="classes: expected one of all, training, validation, test"):
        ClassParams(part="train")  # type: ignore[arg-type]
    vectors, labels = embeddings(5, 60, 4, 0)
    both = [pair_histograms(vectors, labels, bins_covering(vectors, measure)) for measure in ("cosine", "euclidean")]
    with pytest.raises(ValueError, match="test pairs: expected cosine, got euclidean"):
        assess(both[0], both[1], PARAMS)


def test_memory_bounds_the_bins_of_many_classes(tmp_path: Path) -> None:
    assert [bounded_bins(2048, classes, 32) for classes in (976, 977, 15_000)] == [2048, 1024, 128]
    with pytest.raises(
        ValueError, match=r"histograms: expected at most 32 MB, found 102\.4 MB for 100,000 classes with 64"
    ):
        bounded_bins(2048, 100_000, 32)
    env, _, _ = world(tmp_path)
    inputs = [Ref(contract.name, DAY, "0" * 32) for contract in (corpus.VECTORS, corpus.DOCUMENTS)]
    rows = stages.arrange_classes.execute(
        env, *inputs, measure="cosine", bins=2048, memory_mb=5, classes=ClassParams(), rows_per_shard=100_000
    )
    assert env.store.manifest(rows).quality["bins"] == read_bins(env.store.open(rows, contracts.ROWS)).count == 1024
