"""An expert in the loop, on the simulated accelerator: ``python -m tests.bench.bench_nas_advice [--quick] [--only PART ...]``.

* ``masks``: segmentation of digits on cluttered canvases, the third case of "Optimizing neural networks for special-purpose
  hardware" (Amazon Science, 2023): a search over channels, kinds of blocks, expansions, input and output size; and beside it
  what advice makes of the same network with patterns mined on the classification of digits, without any search.
* ``memory``: the second case: peak activation memory and size of a classifier down by 40 % by advice alone, with the built-in
  patterns and with those mined.

Searches and advice see estimated latencies and validation images; what is reported are the device's latencies, and means over
seeds of longer trainings on test images. Before that, the best candidates of a search are trained longer, too, with three
seeds, and the one that is best on validation images is chosen. Of advice, the whole plan is tried like that, then the plan
without its last edit, and so on, until one is not worse than the reference on validation images.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fingerpost.tasks.nas.accelerator import Accelerator
from fingerpost.tasks.nas.advice import Advice, AdviceParams, plan
from fingerpost.tasks.nas.advice_text import advice_rows
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.architecture_toml import architecture_toml
from fingerpost.tasks.nas.costs import costs_of
from fingerpost.tasks.nas.edits import EDIT_KINDS
from fingerpost.tasks.nas.evolution import Costing
from fingerpost.tasks.nas.history import History
from fingerpost.tasks.nas.limits import LimitParams, limits_of
from fingerpost.tasks.nas.pattern_params import PatternParams
from fingerpost.tasks.nas.patterns import Observed, Pattern, built_in_patterns, mined_patterns
from fingerpost.tasks.nas.search import search
from fingerpost.tasks.nas.search_params import SearchParams
from fingerpost.tasks.nas.spaces import space_around
from tests.bench.nas_masks import Pool, Trainings, World, accelerator_costs, worlds
from tests.bench.results import print_table, results_folder, write_rows

#: What the searches vary: that of digits, and that of canvases, whose input and output sizes it has besides.
VARIED = ("width", "fusion", "plain", "expansion")
SIZES = ("resolution",)
#: Epochs of the trainings of a search and of the final ones, and the seeds of these.
SHORT, LONG = 3, 5
SEEDS = (0, 1, 2)
#: Trained candidates of the search of digits and of that of canvases, and the exponent of the latency of the first (Tan et al.,
#: "MnasNet", CVPR 2019).
EVALUATIONS, MASKS_EVALUATIONS, WEIGHT = 24, 48, 0.07
#: The limit of the search of canvases: half the latency, the goal of the third case.
HALF = LimitParams(latency_share=0.5)
#: Candidates of a search that are trained longer, the networks of a plan that are at most, and the seeds of both.
FINALISTS, TRIED, CHECK_SEEDS = 6, 6, (7, 8, 9)
#: What advice may cost by its own expectation, as a fraction; and the kinds of edits that carry over between tasks: sizes of
#: inputs and outputs depend on what is in the images.
EXPECTED_LOSS = 0.01
CARRIED = tuple(kind for kind in EDIT_KINDS if kind not in ("shrink_input", "shrink_output"))
#: The bars: the latency saved by the search, the part of that kept by advice, the difference that counts as equal; and the
#: memory and size saved, with the accuracy lost at most.
SAVED, KEPT, EQUAL = 0.45, 0.8, 0.003
MEMORY_SAVED, MEMORY_LOST = 0.4, 0.005


@dataclass(frozen=True)
class Searched:
    """A search of a world: its history, the costs of networks, and CPU seconds."""

    history: History
    costs: Costing
    seconds: float


@dataclass
class Judge:
    """Longer trainings of networks of a world, and what they show on validation images: means over seeds."""

    world: World
    epochs: int
    pool: Pool
    seeds: Sequence[int] = CHECK_SEEDS

    def __call__(self, networks: Sequence[Architecture]) -> list[float]:
        """The means of some networks, which are printed."""
        jobs = [(self.world.name, one.text, self.epochs, seed, "validation") for one in networks for seed in self.seeds]
        means: list[float] = np.reshape(self.pool(jobs), (len(networks), -1)).mean(axis=1).tolist()
        for network, mean in zip(networks, means, strict=True):
            print(f"  {self.world.name}: {mean:.4f} on validation images: {network.text}", flush=True)
        return means

    def first_equal(self, networks: Sequence[Architecture], least: float) -> Architecture:
        """The first of the networks that reaches ``least``, else the world's own."""
        return next((one for one in networks if self([one])[0] >= least), self.world.reference)


def searched(
    world: World,
    vary: tuple[str, ...],
    pool: Pool,
    *,
    epochs: int,
    params: SearchParams,
    limits: LimitParams = LimitParams(),
) -> Searched:
    """A search of a world around its network."""
    start, before = time.process_time(), pool.seconds
    space = space_around(world.reference, Accelerator().parallelism, vary=vary)
    costs = accelerator_costs(space, world.reference)
    _, history = search(space, Trainings(world, epochs, pool), costs, limits, params, reference=world.reference)
    return Searched(history, costs, time.process_time() - start + pool.seconds - before)


def finalists(history: History) -> list[Architecture]:
    """The best networks of a search that keep its limits, as shortly trained."""
    kept = [one for one in history.trained if one.feasible and one.proposal.origin != "given"]
    best = sorted(kept, key=lambda one: (-(one.accuracy or 0.0), one.costs.latency_ms))
    found = [one.proposal.candidate for one in best[:FINALISTS]]
    return [one for one in found if isinstance(one, Architecture)]


def observed(history: History) -> list[Observed]:
    """The networks of a search as patterns are mined from them."""
    front = {one.id for one in history.front()}
    found = []
    for one in history.trained:
        architecture, costs = one.proposal.candidate, one.costs
        assert isinstance(architecture, Architecture)
        found.append(
            Observed(
                architecture,
                one.accuracy or 0.0,
                costs.latency_ms,
                costs.parameters,
                costs.memory_bytes,
                one.id in front,
            )
        )
    return found


def row(
    world: World, contender: str, architecture: Architecture, seconds: float, pool: Pool, options: argparse.Namespace
) -> dict[str, Any]:
    """A network's latency, memory and size on the device, saved against the reference, and its accuracy on test images."""
    before = pool.seconds
    found = pool([(world.name, architecture.text, options.long, seed, "test") for seed in options.seeds])
    print(f"  {world.name}: {contender}: {' '.join(f'{one:.4f}' for one in found)} on test images", flush=True)
    device = Accelerator()
    latency, without = (float(device.measure_networks([one]).ms[0]) for one in (architecture, world.reference))
    own, base = costs_of(architecture), costs_of(world.reference)
    return {
        "dataset": world.name,
        "contender": contender,
        "latency_ms": latency,
        "latency_saved": 1 - latency / without,
        "memory_saved": 1 - own.peak_values / base.peak_values,
        "size_saved": 1 - own.parameters / base.parameters,
        "score": float(np.mean(found)),
        "score_spread": float(np.std(found, ddof=1)) if len(found) > 1 else None,
        "search_seconds": seconds,
        "final_seconds": pool.seconds - before,
    }


def show_plan(title: str, steps: Sequence[Advice]) -> None:
    """Prints the edits of a plan."""
    print(f"\n{title}")
    for cells in advice_rows(steps):
        print("  " + " | ".join(cells))


def show_patterns(patterns: Sequence[Pattern]) -> None:
    """Prints what was mined."""
    print("\npatterns mined (one edit, or one halving)")
    for one in patterns:
        print(
            f"  {one.edit:18} {one.part:10} tried {one.tried:3} chosen {one.chosen:4.0%} accuracy"
            f" {100 * one.accuracy_change:+.2f} ± {100 * one.accuracy_spread:.2f} points, latency {one.latency_change:+.0%}"
        )


def masks_rows(
    world: World, patterns: Sequence[Pattern], pool: Pool, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """The table of segmentation, and whether its bars are met."""
    params = SearchParams(method="surrogate", evaluations=options.masks_evaluations, scores=("synflow",))
    full = searched(world, VARIED + SIZES, pool, epochs=options.short, params=params, limits=HALF)
    judge, before = Judge(world, options.long, pool), pool.seconds
    (least,) = judge([world.reference])
    best_ones = finalists(full.history)
    chosen = best_ones[int(np.argmax(judge(best_ones)))]
    searching, before = full.seconds + pool.seconds - before, pool.seconds
    steps = plan(
        world.reference,
        full.costs,
        patterns,
        params=AdviceParams(accuracy=EXPECTED_LOSS, kinds=CARRIED, assumed=False, caution=0.0),
    )
    show_plan("advice on the segmentation network", steps)
    advised = judge.first_equal([step.architecture for step in steps[::-1]][:TRIED], least)
    advising = pool.seconds - before
    rows = [
        row(world, "inverted bottlenecks", world.reference, 0.0, pool, options),
        row(world, "search", chosen, searching, pool, options),
        row(world, "advice, patterns of digits", advised, advising, pool, options),
    ]
    base, best, told = rows
    print("\nthe network that the search chose\n" + architecture_toml(chosen))
    print("\nthe network that was advised\n" + architecture_toml(advised))
    bars = {
        f"search saves at least {SAVED:.0%}": best["latency_saved"] >= SAVED,
        "search: equal intersection over union": best["score"] >= base["score"] - EQUAL,
        f"advice keeps at least {KEPT:.0%} of that": told["latency_saved"] >= KEPT * best["latency_saved"],
        "advice: equal intersection over union": told["score"] >= base["score"] - EQUAL,
    }
    show_bars(bars)
    return rows


def memory_rows(
    world: World, mined: Sequence[Pattern], pool: Pool, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """The table of the memory budget, and whether its bar is met."""
    space = space_around(world.reference, Accelerator().parallelism, vary=VARIED)
    costs = accelerator_costs(space, world.reference)
    share = 1 - MEMORY_SAVED
    limits = limits_of(LimitParams(memory_share=share, parameter_share=share), costs([world.reference])[0])
    rows = [row(world, "inverted bottlenecks", world.reference, 0.0, pool, options)]
    bars = {}
    for name, patterns in (("advice, built-in patterns", built_in_patterns()), ("advice, mined patterns", mined)):
        params = AdviceParams(accuracy=1.0, kinds=CARRIED)
        steps = plan(world.reference, costs, patterns, params=params, limits=limits)
        show_plan(f"{name}: memory budget", steps)
        advised = steps[-1].architecture if steps else world.reference
        rows.append(row(world, name, advised, 0.0, pool, options))
        saved = min(rows[-1]["memory_saved"], rows[-1]["size_saved"])
        bars[f"{name}: memory and size at least {MEMORY_SAVED:.0%} less"] = saved >= MEMORY_SAVED
        bars[f"{name}: accuracy within {100 * MEMORY_LOST:g} points"] = (
            rows[-1]["score"] >= rows[0]["score"] - MEMORY_LOST
        )
    show_bars(bars)
    return rows


def show_bars(bars: dict[str, bool]) -> None:
    """Prints which bars are met."""
    for name, met in bars.items():
        print(f"  {'met' if met else 'MISSED'}: {name}")


def mined(world: World, pool: Pool, options: argparse.Namespace) -> tuple[Pattern, ...]:
    """The patterns of a search of digits, or those that an earlier run mined."""
    if options.patterns is not None:
        return tuple(Pattern(**values) for values in json.loads(options.patterns.read_text()))
    params = SearchParams(evaluations=options.evaluations, latency_weight=WEIGHT)
    found = searched(world, VARIED, pool, epochs=options.short, params=params)
    print(f"{len(found.history.trained)} networks trained on digits in {found.seconds:.0f} CPU seconds", flush=True)
    patterns = mined_patterns([observed(found.history)], params=PatternParams())
    (results_folder() / "nas-patterns.json").write_text(json.dumps([asdict(one) for one in patterns], indent=1) + "\n")
    return patterns


def main() -> None:
    """Runs the chosen parts, prints their tables, and writes ``bench-results/nas-advice-….json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few candidates and one seed: to see that it runs")
    parser.add_argument("--only", nargs="*", choices=("masks", "memory"), default=("masks", "memory"))
    parser.add_argument(
        "--patterns", type=Path, help="patterns that an earlier run mined: bench-results/nas-patterns.json"
    )
    options = parser.parse_args()
    options.evaluations, options.masks_evaluations, options.short, options.long, options.seeds = (
        (8, 8, 1, 1, SEEDS[:1]) if options.quick else (EVALUATIONS, MASKS_EVALUATIONS, SHORT, LONG, SEEDS)
    )
    start, pool = time.process_time(), Pool()
    classification, segmentation = worlds()
    patterns = mined(classification, pool, options)
    show_patterns(patterns)
    rows: list[dict[str, Any]] = []
    if "memory" in options.only:
        rows += memory_rows(classification, patterns, pool, options)
    if "masks" in options.only:
        rows += masks_rows(segmentation, patterns, pool, options)
    pool.close()
    print_table(rows, "advice: latency, memory and size saved, and accuracy or intersection over union on test images")
    seconds = time.process_time() - start + pool.seconds
    print(f"{seconds:.0f} CPU seconds and {pool.count} trainings in all")
    write_rows("nas-advice-" + "-".join(options.only), rows, cpu_seconds=seconds)


if __name__ == "__main__":
    main()
