"""Networks that fit the hardware: ``python -m tests.bench.bench_nas [--quick] [--fresh] [--only PART ...]``.

Trainings that are in ``bench-results/nas_trainings.jsonl`` are not repeated (``--fresh`` forgets them).

* ``accelerator``: the table of "Optimizing neural networks for special-purpose hardware" (Amazon Science, 2023) on the
  simulated accelerator: a network of inverted bottlenecks, and what searches of widths, of fused blocks and of both make of
  it. A search seeks the lowest latency at equal accuracy: under the tightest limit first, then under looser ones, networks
  are ranked by synaptic flow, the best are trained shortly, and the first limit with one that is not worse than the
  reference on validation images (trained as shortly) is taken. Latency is estimated in the search and measured at the end;
  the accuracies are those of longer trainings with several seeds, on all test images.
* ``cpu``: the same with this CPU, measured, in place of the accelerator.
* ``curation``: searches of the curated and of the uncurated space with as many evaluations (see tests/bench/nas_curation.py).
* ``landscape``: the figure of the article around the reference, in numbers.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from fingerpost.tasks.nas.accelerator import Accelerator
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.cpu_device import CpuDevice
from fingerpost.tasks.nas.cpu_params import CpuParams
from fingerpost.tasks.nas.devices import Device
from fingerpost.tasks.nas.evolution import Costing
from fingerpost.tasks.nas.landscape import landscape_of
from fingerpost.tasks.nas.latency_params import MeasuringParams
from fingerpost.tasks.nas.limits import LimitParams
from fingerpost.tasks.nas.search import search
from fingerpost.tasks.nas.search_params import SearchParams
from fingerpost.tasks.nas.spaces import space_around
from tests.bench.nas_curation import curation_rows
from tests.bench.nas_worlds import REFERENCE, Evaluator, accuracy, costing, fastest, fused_fraction
from tests.bench.results import cpu_seconds, print_table, results_folder, write_rows

#: The rows of the article's table: what the search varies.
VARIED: dict[str, tuple[str, ...]] = {
    "width only": ("width",),
    "fusion only": ("fusion",),
    "both": ("width", "fusion"),
}
#: Networks ranked by synaptic flow under each limit, and how many of them are trained.
RANKED, TRAINED = 60, 2
#: Epochs of the trainings of a search, and of the final ones with their seeds.
SHORT, LONG = 2, 4
SEEDS = (0, 1, 2)
#: By how much a candidate may be worse than the reference on validation images, and the limits as fractions of it.
TOLERANCE = 0.002
STEP = 0.06
#: By how much the final accuracy may be worse for it to count as equal.
EQUAL = 0.003


@dataclass(frozen=True)
class Found:
    """What a search found: the network, the limit that it kept, networks ranked and trained, CPU seconds."""

    architecture: Architecture
    limit_ms: float
    ranked: int
    trained: int
    seconds: float


def searched(vary: tuple[str, ...], device: Device, costs: Costing) -> Found:
    """The network with the lowest latency at equal accuracy among those around the reference."""
    start = time.process_time()
    space = space_around(REFERENCE, device.parallelism, vary=vary)
    evaluate, ranked = Evaluator(SHORT), 0
    limit, reference_ms = 1.02 * fastest(space, costs), costs([REFERENCE])[0].latency_ms
    params = SearchParams(method="zero-shot", evaluations=RANKED, finalists=TRAINED, scores=("synflow",))
    while limit < reference_ms:
        _, history = search(space, evaluate, costs, LimitParams(latency_ms=limit), params, reference=REFERENCE)
        ranked += len(history.evaluated)
        rivals = [one for one in history.trained if one.feasible and one.proposal.origin != "given"]
        best = max(rivals, key=lambda one: (one.accuracy or 0.0, -one.costs.latency_ms))
        reference = history.reference
        assert reference is not None
        if (best.accuracy or 0.0) >= (reference.accuracy or 0.0) - TOLERANCE:
            chosen = best.proposal.candidate
            assert isinstance(chosen, Architecture)
            return Found(chosen, limit, ranked, evaluate.trainings, time.process_time() - start)
        limit += STEP * reference_ms
    return Found(REFERENCE, reference_ms, ranked, evaluate.trainings, time.process_time() - start)


def final(architecture: Architecture, seeds: Sequence[int]) -> tuple[float, float]:
    """Mean and standard deviation of the test accuracy over seeds."""
    found = [accuracy(architecture, LONG, seed, "test") for seed in seeds]
    return float(np.mean(found)), float(np.std(found))


def table_rows(device: Device, measuring: MeasuringParams, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The article's table on a device."""
    costs = costing(device, space_around(REFERENCE, device.parallelism), measuring)
    found = {"none": Found(REFERENCE, 0.0, 0, 0, 0.0)}
    found |= {name: searched(vary, device, costs) for name, vary in VARIED.items()}
    networks = [one.architecture for one in found.values()]
    # On this CPU one measurement differs from the next.
    ms = np.median([device.measure_networks(networks).ms for _ in range(5)], axis=0).tolist()
    finals = [final(network, seeds) for network in networks]
    return [
        {
            "dataset": "mnist784",
            "contender": name,
            "setting": device.name,
            "estimated_ms": costs([one.architecture])[0].latency_ms,
            "measured_ms": measured,
            "saved_percent": 100 * (1 - measured / ms[0]),
            "accuracy_percent": 100 * mean,
            "deviation": 100 * deviation,
            "equal": mean >= finals[0][0] - EQUAL,
            "fused_early": fused_fraction(one.architecture, (0, 1)),
            "fused_late": fused_fraction(one.architecture, (2,)),
            "network": described(one.architecture),
            "ranked": one.ranked,
            "trained": one.trained,
            "cpu_seconds": one.seconds,
        }
        for (name, one), measured, (mean, deviation) in zip(found.items(), ms, finals, strict=True)
    ]


def described(architecture: Architecture) -> str:
    """The stages: channels, and for each block its kind and expansion."""
    stages = [
        f"{stage.channels}: {' '.join(f'{block.kind} {block.expansion}' for block in stage.blocks)}"
        for stage in architecture.stages
    ]
    return f"{architecture.stem} | " + " | ".join(stages)


def landscape_rows() -> list[dict[str, Any]]:
    """The landscape around the reference: how rocky it is, and the way down."""
    device = Accelerator()
    found = landscape_of(REFERENCE, device.parallelism, lambda networks: device.measure_networks(networks).ms)
    rows = []
    for space in ("curated", "uncurated"):
        way = [step.latency_ms for step in found.steps if step.space == space]
        drops = [1 - after / before for before, after in pairwise(way)]
        rows.append(
            {
                "dataset": "reference",
                "contender": space,
                "points": sum(point.space == space for point in found.points),
                "roughness": found.roughness(space),
                "turns": found.turns(space),
                "steps_down": len(drops),
                "smallest_step_percent": 100 * min(drops),
                "median_step_percent": 100 * float(np.median(drops)),
            }
        )
    return rows


def main() -> None:
    """Measure, print and write ``bench-results/nas_<part>.json`` for each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed, few searches")
    parser.add_argument("--fresh", action="store_true", help="train all networks anew")
    parts = ("accelerator", "cpu", "curation", "landscape")
    parser.add_argument("--only", nargs="*", choices=parts, default=parts)
    given = parser.parse_args()
    if given.fresh:
        (results_folder() / "nas_trainings.jsonl").unlink(missing_ok=True)
    seeds, quick = SEEDS[:1] if given.quick else SEEDS, given.quick
    fewer = MeasuringParams(operators=200, rounds=1, most=300, training_networks=12, test_networks=12)
    make: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "accelerator": lambda: table_rows(Accelerator(), MeasuringParams(), seeds),
        "cpu": lambda: table_rows(CpuDevice(CpuParams(), time.perf_counter_ns), fewer, seeds),
        "curation": lambda: curation_rows(range(4 if quick else 20)),
        "landscape": landscape_rows,
    }
    for part in given.only:
        seconds, found = cpu_seconds(make[part])
        print_table([{**row, "network": None} for row in found], f"{part}: {seconds:.0f} CPU seconds")
        for row in found:
            if "network" in row:
                print(f"{row['contender']}: {row['network']}")
        print(f"written to {write_rows(f'nas_{part}', found, quick=quick, cpu_seconds=seconds)}")


if __name__ == "__main__":
    main()
