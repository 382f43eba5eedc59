"""TCM on real images: ``python -m tests.bench.bench_metric_training [--quick] [--processes N] [--only PART ...]``.

Each training is one job in a process of one thread; jobs that are in ``bench-results/metric_training.jsonl`` already are not run
again (``--fresh`` forgets them). Parts:

* ``open-world``: Omniglot, alphabets of training, validation and test disjoint. Three base losses with convolutions and one of
  them with a vision transformer, each without and with TCM, three seeds, until mAP@R of validation classes no longer grows.
  Margins come from short trainings with one seed, judged on validation classes (tasks/metric/margin_search.py); threshold and
  calibration range (FAR 1 to 10 %) are chosen per model on validation classes, everything else is measured on test classes.
* ``trade-off``: five base losses at two batch sizes, without and with TCM of the library's margins, shorter, one seed.
* ``toy``: MNIST in two dimensions with ArcFace, without and with TCM.
* ``cost``: TCM's share of a training step at batch 128.
"""

import argparse
import json
import os
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from functools import lru_cache
from multiprocessing import get_context
from typing import Any

import numpy as np

from fingerpost.tasks.metric.comparison import ComparisonParams, on_validation, scored
from fingerpost.tasks.metric.embedders import BackboneParams, TrainingParams
from fingerpost.tasks.metric.margin_search import MarginParams, Trial, candidates, chosen, is_acceptable
from fingerpost.tasks.metric.margins import TcmParams
from tests.bench.metric_images import OpenWorld, mnist, omniglot
from tests.bench.metric_pictures import draw_all
from tests.bench.results import results_folder

CONV, VIT = BackboneParams("conv", 64, width=32), BackboneParams("vit", 64, width=96, depth=4, heads=4, patch=7)
#: Losses and backbones, and how their training differs from the others'.
COMBINATIONS: tuple[tuple[str, BackboneParams, dict[str, Any]], ...] = (
    ("multi_similarity", CONV, {}),
    ("proxy_anchor", CONV, {}),
    ("smooth_ap", CONV, {}),
    ("multi_similarity", VIT, {"rate": 5e-4, "warmup": 200}),
)
SEEDS = (0, 1, 2)
FULL = TrainingParams(steps=2000, classes_per_batch=32, rows_per_class=4, check_every=100, patience=5, shift=2)
#: Of the transformer, which would need ten times as many, and of Smooth-AP, so that all fits into three hours.
FEWER_STEPS = 1200
MARGINS = MarginParams()
COMPARED = ComparisonParams(queries=20_000)
TRADE_LOSSES = ("multi_similarity", "smooth_ap", "contrastive", "proxy_anchor", "arcface")
TRADE = replace(FULL, steps=300, patience=0, check_every=200)

Job = dict[str, Any]


@lru_cache(maxsize=1)
def world(name: str) -> OpenWorld:
    """Images, loaded once a process."""
    return omniglot() if name == "omniglot" else mnist()


def job(
    part: str, loss: str, backbone: BackboneParams, params: TrainingParams, tcm: TcmParams | None, data: str
) -> Job:
    """One training as plain values."""
    made = {
        "backbone": asdict(backbone),
        "params": asdict(replace(params, loss=loss)),
        "tcm": asdict(tcm) if tcm else None,
    }  # type: ignore[arg-type]
    return {"part": part, "data": data} | made


def train(given: Job) -> Job:
    """Trains one embedder and measures it; embeddings of the toy go to a file."""
    import torch

    torch.set_num_threads(1)
    from fingerpost.tasks.metric.trainer import EmbedderTrainer, embed, train_embedder

    images, tcm = world(given["data"]), TcmParams(**given["tcm"]) if given["tcm"] else None
    started = time.process_time()
    trainer = EmbedderTrainer(
        images.training.rows,
        images.training.classes,
        images.validation.rows,
        images.validation.classes,
        BackboneParams(**given["backbone"]),
        TrainingParams(**given["params"]),
        tcm,
    )
    made = train_embedder(trainer)
    found: Job = {
        "seconds": time.process_time() - started,
        "step": made.checks[made.best].step,
        "steps": made.checks[-1].step,
    }
    found["checks"] = [[check.step, check.map_at_r] for check in made.checks]
    held = (embed(made, images.validation.rows), images.validation.classes)
    if given["part"] == "margins":
        trial, pairs = on_validation(*held, tcm, COMPARED)
        found["validation"] = {
            name: getattr(trial, name) for name in ("opis", "worst_opis", "frr", "recall_at_1", "map_at_r")
        }
        found["candidates"] = [asdict(one) for one in candidates(pairs, MARGINS)] if tcm is None else []
        return given | found
    vectors = embed(made, images.test.rows)
    if given["part"] == "toy":
        np.savez_compressed(
            results_folder() / f"metric_toy_{'with' if tcm else 'without'}.npz",
            vectors=vectors,
            classes=images.test.classes,
        )
    measured = scored(held, (vectors, images.test.classes), tcm, COMPARED)
    kept = {name: getattr(measured.validation, name) for name in ("opis", "recall_at_1", "map_at_r")}
    if given["part"] == "open-world" and given["params"]["seed"] == 0:
        name = f"metric_curves_{given['backbone']['kind']}_{given['params']['loss']}_{'with' if tcm else 'without'}.npz"
        far = np.array(measured.assessment.classes["far"], dtype=np.float64)
        frr = np.array(measured.assessment.classes["frr"], dtype=np.float64)
        np.savez_compressed(results_folder() / name, far=far, frr=frr, **measured.assessment.curves)  # type: ignore[arg-type]
    intervals = {
        f"{method}_{value}": figure
        for method, _, value, figure in measured.assessment.figures
        if value in ("low", "high") and "opis" in method
    }
    return given | found | {"validation": kept, "test": measured.test, "intervals": intervals}


def key_of(row: Job) -> str:
    """What tells jobs apart."""
    return json.dumps({name: row[name] for name in ("part", "data", "backbone", "params", "tcm")}, sort_keys=True)


class Results:
    """The rows of earlier and present jobs, one JSON line each."""

    def __init__(self, *, fresh: bool) -> None:
        self.path = results_folder() / "metric_training.jsonl"
        if fresh:
            self.path.unlink(missing_ok=True)
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.rows = {key_of(row): row for row in map(json.loads, lines)}

    def run(self, jobs: Iterable[Job], processes: int) -> list[Job]:
        """The results of jobs in their order; those that are not there yet run in processes of their own."""
        wanted = list(jobs)
        todo = {key_of(one): one for one in wanted if key_of(one) not in self.rows}
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            for done in as_completed([pool.submit(train, one) for one in todo.values()]):
                row = done.result()
                self.rows[key_of(row)] = row
                with self.path.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(said(row), flush=True)
        return [self.rows[key_of(one)] for one in wanted]


def said(row: Job) -> str:
    """One job in a line."""
    tcm = row["tcm"] and [row["tcm"][name] for name in ("positive_margin", "negative_margin", "positive_weight")]
    found = row.get("test", row["validation"])
    figures = " ".join(
        f"{name} {found[name]:.4f}"
        for name in ("recall_at_1", "opis", "worst_opis", "far", "far_spread")
        if name in found
    )
    batch = row["params"]["classes_per_batch"] * row["params"]["rows_per_class"]
    return (
        f"{row['part']} {row['backbone']['kind']} {row['params']['loss']} batch {batch} seed {row['params']['seed']}"
        f" tcm {tcm}: step {row['step']} of {row['steps']}, {row['seconds']:.0f} s, {figures}"
    )


def open_world(results: Results, processes: int, *, quick: bool) -> None:
    """Margins for each combination, then all seeds without and with TCM."""
    full = replace(FULL, steps=60, check_every=30) if quick else FULL
    short = replace(full, steps=min(MARGINS.steps, full.steps), patience=0, check_every=200)
    without = [
        job("margins", loss, backbone, replace(short, **other), None, "omniglot")
        for loss, backbone, other in COMBINATIONS
    ]
    first = results.run(without, processes)
    trials = [
        [
            job("margins", loss, backbone, replace(short, **other), TcmParams(**tcm), "omniglot")
            for tcm in row["candidates"]
        ]
        for (loss, backbone, other), row in zip(COMBINATIONS, first, strict=True)
    ]
    results.run([one for part in trials for one in part], processes)
    jobs = []
    for (loss, backbone, other), row, part in zip(COMBINATIONS, first, trials, strict=True):
        rows = [row, *results.run(part, processes)]
        judged = [Trial(TcmParams(**one["tcm"]) if one["tcm"] else None, **one["validation"]) for one in rows]
        best = chosen(judged, MARGINS)
        good = sum(is_acceptable(one, judged[0], MARGINS) for one in judged[1:])
        print(f"{backbone.kind} {loss}: {good} of {len(part)} margins will do, chosen {judged[best].tcm}", flush=True)
        for seed in SEEDS:
            seeded = replace(full, seed=seed, **other)
            if backbone == VIT or loss == "smooth_ap":
                seeded = replace(seeded, steps=min(seeded.steps, FEWER_STEPS))
            jobs += [job("open-world", loss, backbone, seeded, tcm, "omniglot") for tcm in (None, judged[best].tcm)]
    results.run(jobs, processes)


def trade_off(results: Results, processes: int, *, quick: bool) -> None:
    """Losses and batch sizes, without and with TCM of the library's margins."""
    steps = 40 if quick else TRADE.steps
    jobs = []
    for classes in (16, 32):
        params = replace(TRADE, steps=steps, classes_per_batch=classes)
        for loss in TRADE_LOSSES:
            jobs += [job("trade-off", loss, CONV, params, tcm, "omniglot") for tcm in (None, TcmParams())]
    results.run(jobs, processes)


def toy(results: Results, processes: int, *, quick: bool) -> None:
    """MNIST in two dimensions."""
    params = replace(
        FULL,
        steps=40 if quick else 400,
        classes_per_batch=10,
        rows_per_class=12,
        patience=0,
        check_every=200,
        proxy_rate=1e-2,
    )
    flat = replace(CONV, dimensions=2)
    results.run([job("toy", "arcface", flat, params, tcm, "mnist") for tcm in (None, TcmParams())], processes)


def cost(results: Results, processes: int, *, quick: bool) -> None:
    """TCM's share of a step's CPU time at batch 128, the two trainers taking turns; the median of several."""
    import torch

    from fingerpost.tasks.metric.trainer import EmbedderTrainer

    torch.set_num_threads(1)
    images = world("omniglot")
    rows = []
    for loss, backbone, _ in COMBINATIONS:
        params = replace(FULL, loss=loss, check_every=10**6)  # type: ignore[arg-type]
        given = (images.training.rows, images.training.classes, images.validation.rows, images.validation.classes)
        pair = [EmbedderTrainer(*given, backbone, params, tcm) for tcm in (None, TcmParams())]
        ratios = []
        for _ in range(3 if quick else 15):
            spent = []
            for trainer in pair:
                trainer.net.train()
                started = time.process_time()
                for _ in range(4):
                    trainer._one_step()
                    trainer.step += 1
                spent.append(time.process_time() - started)
            ratios.append(spent[1] / spent[0] - 1)
        losses = _loss_alone(pair[1], images)
        rows.append({"loss": loss, "backbone": backbone.kind, "share": float(np.median(ratios)), "of_step": losses})
        print(
            f"cost {backbone.kind} {loss}: TCM adds {100 * rows[-1]['share']:.1f} % (median of turns),"
            f" {100 * losses:.2f} % by its own time",
            flush=True,
        )
    (results_folder() / "metric_training_cost.json").write_text(json.dumps(rows))


def _loss_alone(trainer: Any, images: OpenWorld) -> float:
    """The time of TCM's own forward and backward pass over that of a whole step."""
    import torch

    from fingerpost.tasks.metric.tcm import ThresholdConsistentMargin

    tcm = ThresholdConsistentMargin(TcmParams())
    rows = torch.nn.functional.normalize(torch.randn(128, 64), dim=1).requires_grad_(True)
    labels = torch.arange(32).repeat_interleave(4)
    spent = []
    for count, once in ((200, lambda: tcm(rows, labels).backward()), (10, trainer._one_step)):
        once()
        started = time.process_time()
        for _ in range(count):
            once()
        spent.append((time.process_time() - started) / count)
    return spent[0] / spent[1]


PARTS = {"cost": cost, "open-world": open_world, "trade-off": trade_off, "toy": toy}


def main() -> None:
    """Run the parts, print and write ``bench-results/metric_training.jsonl`` and the pictures beside it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few steps each, to see that it runs")
    parser.add_argument("--fresh", action="store_true", help="forget earlier results")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="trainings at a time")
    parser.add_argument("--only", nargs="*", choices=sorted(PARTS), default=list(PARTS), help="some parts alone")
    options = parser.parse_args()
    results = Results(fresh=options.fresh)
    for name in options.only:
        PARTS[name](results, options.processes, quick=options.quick)
    draw_all(list(results.rows.values()), results_folder())


if __name__ == "__main__":
    main()
