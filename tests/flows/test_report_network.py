"""The part of the report that tells of a searched network: what was found, its picture, its latencies, and advice."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fingerpost.flows.domains.nas.report.candidates import Candidate, Candidates
from fingerpost.flows.domains.nas.report.latencies import Measured
from fingerpost.flows.domains.nas.report.network_picture import network_svg
from fingerpost.flows.domains.nas.report.section import Contents, cards, gather, plots
from fingerpost.flows.report.page import render
from fingerpost.schemas import nas
from fingerpost.schemas.contract import Contract
from fingerpost.schemas.matrices import tensors_to_arrow
from fingerpost.tasks.nas.accelerator import Accelerator
from fingerpost.tasks.nas.architecture import Architecture, Block, NetworkStage
from fingerpost.tasks.nas.latency import LatencyEstimator, fit_latency_estimator
from fingerpost.tasks.nas.latency_params import LatencyParams, MeasuringParams
from fingerpost.tasks.nas.measuring import measure_device
from fingerpost.tasks.nas.operators import operators_of
from fingerpost.tasks.nas.spaces import space_for_images
from tests.support.report_pages import NASTY, Made, Page, figure_table

pytest.importorskip("matplotlib")

IBN, FUSED, CONV = Block("ibn", 3, 4), Block("fused", 3, 4), Block("conv", 3, 1)


def network(block: Block, channels: int, *, output: int = 0) -> Architecture:
    stages = (NetworkStage(channels, 1, (block, block)), NetworkStage(2 * channels, 2, (IBN,)))
    task: Any = "segmentation" if output else "classification"
    return Architecture(8, 1, 10, 16, 1, stages, 32, task, output)


REFERENCE, CHOSEN, SMALLER, LATE = network(IBN, 16), network(FUSED, 16), network(CONV, 16), network(CONV, 32)
#: Accuracy, latency, memory, within the limits, trained, rank among the fronts.
SEARCHED = (
    (REFERENCE, 0.91, 0.09, 4096, False, True, -1),
    (CHOSEN, 0.95, 0.05, 2048, True, True, 0),
    (SMALLER, 0.90, 0.03, 1024, True, True, 0),
    (LATE, 0.89, 0.08, 8192, True, True, 1),
)


@pytest.fixture
def made(tmp_path: Any) -> Made:
    return Made(tmp_path)


@cache
def estimator() -> LatencyEstimator:
    params = MeasuringParams(networks=20, operators=40, rounds=0, training_networks=4, test_networks=4)
    space = space_for_images(8, 1, 10)
    measured = measure_device(Accelerator(), space, params, advance=lambda done: None)
    return fit_latency_estimator(measured, LatencyParams(), parallelism=16, bytes_per_value=1.0)


def table(contract: Contract, name: str, rows: list[dict[str, Any]]) -> pa.Table:
    fields = contract.table(name).fields
    if name == "images":
        pixels = pa.list_(pa.float32(), 4)
        return pa.table({one.name: pa.array([], pixels if one.name == "pixels" else one.type) for one in fields})
    return pa.table({field.name: pa.array([row[field.name] for row in rows], field.type) for field in fields})


def stage(made: Made, name: str, contract: Contract, tables: dict[str, Any], **quality: Any) -> str:
    """A stage with tables of these rows; of other tables of the contract without any."""
    found = {one.name: tables.get(one.name, []) for one in contract.tables}
    return made.stage(
        name,
        contract,
        {
            key: rows
            if isinstance(rows, pa.Table)
            else tensors_to_arrow({})
            if key in ("shape", "weights")
            else table(contract, key, rows)
            for key, rows in found.items()
        },
        quality,
    )


def evaluated(rows: Any = SEARCHED, *, origin: str = "mutation") -> list[dict[str, Any]]:
    return [
        {
            "number": number,
            "architecture": one.id,
            "description": one.text,
            "origin": origin if number else "given",
            "generation": number,
            "accuracy": accuracy,
            "score": accuracy or 0.5,
            "latency_ms": latency,
            "latency_spread_ms": 0.001,
            "macs": sum(operator.macs for operator in operators_of(one)),
            "parameters": 1000 + number,
            "memory_bytes": memory,
            "feasible": feasible,
            "trained": trained,
            "front": front,
        }
        for number, (one, accuracy, latency, memory, feasible, trained, front) in enumerate(rows)
    ]


def add_images(made: Made) -> None:
    stage(made, "import_labelled_images", nas.IMAGES, {}, images=400, classes=10)


def add_search(made: Made, rows: list[dict[str, Any]] | None = None, **more: Any) -> None:
    found = evaluated() if rows is None else rows
    quality = {"method": "multishot", "evaluated": len(found), "trained": 4, "feasible": 3, "latency_limit_ms": 0.085}
    stage(made, "search_networks", nas.SEARCH, {"evaluated": found}, **quality | more)


def add_network(made: Made) -> None:
    """All stages of a search."""
    add_images(made)
    described = [
        {"architecture": one.id, "description": one.text, "latency_ms": ms, "spread_ms": 0.0, "split": split}
        for one, ms, split in ((REFERENCE, 0.06, "test"), (CHOSEN, 0.05, "test"), (LATE, 0.07, "training"))
    ]
    stage(made, "measure_operators", nas.MEASUREMENTS, {"networks": described}, device="simulated accelerator")
    figures = [
        (method, setting, metric, value)
        for method, setting, worth in (
            ("forest", "networks", 0.975),
            ("linear", "networks", 0.125),
            ("forest", "operators", 0.99),
        )
        for metric, value in (("count", 40.0), ("within_5", worth - 0.05), ("within_10", worth), ("spearman", worth))
    ]
    kinds = [{"name": name} for name in estimator().kinds]
    model = {"model": tensors_to_arrow(estimator().arrays()), "figures": figure_table(figures), "kinds": kinds}
    stage(made, "fit_latency", nas.LATENCY, model)
    add_search(made)
    points = [
        {"space": space, "axis": axis, "value": float(value), "latency_ms": value / 100, "macs": value * value}
        for space, width in (("curated", 16), ("uncurated", 4))
        for axis in ("channels of stage 1", "channels of the stem")
        for value in range(16, 49, width)
    ]
    steps = [
        {"space": space, "step": n, "latency_ms": 1 / (n + 1)} for space in ("curated", "uncurated") for n in range(3)
    ]
    stage(made, "map_landscape", nas.LANDSCAPE, {"points": points, "steps": steps})
    names = ("latency_change", "accuracy_change", "accuracy_spread", "memory_change", "size_change")
    patterns = [
        {"edit": edit, "where": "early", "low": 0.0, "high": 0.3, "tried": 7, "chosen": often}
        | dict.fromkeys(names, -0.25)
        | {"accuracy_spread": 0.005}
        for edit, often in (("fuse", 0.75), ("narrow", 0.25))
    ]
    stage(made, "mine_patterns", nas.PATTERNS, {"patterns": patterns})
    epochs = [{"epoch": n, "loss": 1 / n, "validation": 0.9 + n / 100} for n in (1, 2, 3)]
    told = [{"architecture": CHOSEN.id, "description": CHOSEN.text}]
    stage(made, "train_network", nas.TRAINED, {"architecture": told, "epochs": epochs, "classes": [{"name": NASTY}]})
    measured = [
        {
            "architecture": one.id,
            "role": role,
            "predicted_ms": ms,
            "predicted_spread_ms": 0.002,
            "measured_ms": found,
            "spread_ms": 0.0,
        }
        for one, role, ms, found in ((REFERENCE, "reference", 0.09, None), (CHOSEN, "chosen", 0.051, 0.05))
    ]
    stage(made, "measure_network", nas.MEASURED, {"networks": measured})
    tested = {"tested": 100, "accuracy": 0.96, "accuracy_low": 0.9, "accuracy_high": 0.99, "reference_accuracy": 0.93}
    costs = {"latency_ms": 0.05, "memory_bytes": 2048, "parameters": 1001, "bytes": 9000, "onnx_difference": 2e-6}
    stage(made, "evaluate_network", nas.EVALUATION, {}, **tested, **costs)
    stage(made, "assemble_network", nas.NETWORK, {}, evaluated=4, **tested, **costs)


def test_the_chosen_network_stands_beside_the_reference_and_the_front(made: Made) -> None:
    add_network(made)
    page = Page(render(made.store, made.record()))
    text = page.text("network")
    assert (
        "Searched by multishot evolution: every candidate is trained. 4 networks were evaluated and 4 of them trained; 3 keep the limits. Device: simulated accelerator."
        in text
    )
    assert "chosen 0.9600 (0.9000 to 0.9900) 0.9500 0.05 ms 2.0 KiB 1,001" in text
    assert "reference 0.9300 0.9100 0.09 ms 4.0 KiB 1,000" in text
    assert "change -44.4 % -50.0 % +0.1 %" in text
    assert "differ from those in torch by at most 2e-06" in text
    front = text[text.index("Pareto front") :]
    assert front.index(CHOSEN.id) < front.index(SMALLER.id)
    assert (
        f"{CHOSEN.id} chosen 0.9500 0.05 ms ± 0.001 2.0 KiB 1,001 mutation stem 16 16: 2 × fused 3×3 e4 32/2: ibn 3×3 e4"
        in front
    )
    assert LATE.id not in front
    assert REFERENCE.id not in front
    assert "script" not in page.tags
    shown = dict(cards(gather(made.store, made.record()) or Contents()))
    assert shown["network: accuracy"] == "0.9600"
    assert shown["network: latency on the device"] == "0.05 ms"
    assert shown["network: latency beside the reference"] == "-44.4 %"


def test_latencies_are_predicted_beside_measured_and_the_estimator_beside_its_control(made: Made) -> None:
    add_network(made)
    text = Page(render(made.store, made.record())).text("latency")
    assert f"{CHOSEN.id} chosen 0.051 ms ± 0.002 0.05 ms +2.0 %" in text
    assert f"{REFERENCE.id} reference 0.09 ms ± 0.002 – –" in text
    assert text.index("chosen") < text.index("reference")
    assert "whole networks estimator: operators by random forests, added up 40 92.5 % 97.5 % 0.9750" in text
    assert "whole networks control: linear in multiply-accumulates 40 7.5 % 12.5 % 0.1250" in text


def test_advice_and_the_patterns_that_most_fronts_have_are_told(made: Made) -> None:
    add_network(made)
    text = Page(render(made.store, made.record())).text("advice")
    assert "stage 1, block 1: fused inverted bottleneck to standard convolution" in text
    assert "fuse early 75.0 % -25.0 % -25.00 ± 0.50 7" in text
    assert "narrow" not in text


def test_all_there_is_is_drawn(made: Made) -> None:
    add_network(made)
    contents = gather(made.store, made.record())
    assert contents is not None
    assert contents.problems == []
    drawn = plots(contents)
    assert list(drawn) == ["front", "progress", "predicted", "landscape", "ways", "network", "training"]
    words = {"front": "limit", "progress": "best so far", "predicted": "exact", "landscape": "channels of the stem"}
    assert [name for name, word in words.items() if word not in drawn[name].svg] == []
    assert [axis.name for axis in contents.landscape.axes] == ["channels of the stem", "channels of stage 1"]
    assert contents.candidates.progress == [(2, 0.95), (3, 0.95), (4, 0.95)]
    assert contents.predicted.measured == [0.06, 0.05]


def test_a_picture_has_every_block_operator_and_addition() -> None:
    drawn = network_svg(network(IBN, 16))
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    assert texts.count("ibn 3×3 e4") == 3
    assert texts.count("depthwise 3×3") == 2
    assert texts.count("depthwise 3×3 / 2") == 1
    assert texts.count("+") == 2
    assert "64×8×8" in texts
    assert "1×8×8" in texts
    assert "inverted bottleneck" in texts
    assert "plain convolution" not in texts
    masks = re.findall(r"<text[^>]*>([^<]*)</text>", network_svg(network(CONV, 16, output=8)))
    assert "resize" in masks
    assert "10×8×8" in masks


def test_a_search_that_trained_nothing_yet_or_whose_artifact_is_gone_is_told_of_so_far_as_it_is_known(
    made: Made,
) -> None:
    add_images(made)
    assert dict(cards(gather(made.store, made.record()) or Contents())) == {"images for the search": "400"}
    assert "network" not in Page(render(made.store, made.record())).texts
    untrained = tuple((one, None, ms, memory, kept, False, -1) for one, _, ms, memory, kept, _, _ in SEARCHED)
    add_search(made, evaluated(untrained, origin=NASTY), method="zero-shot")
    page = Page(render(made.store, made.record()))
    assert "Searched by zero-shot" in page.text("network")
    assert "Pareto front" not in page.text("network")
    assert page.plots == []
    for file in Path(made.store.url).rglob("nas.search/**/evaluated*.parquet"):
        file.unlink()
    contents = gather(made.store, made.record())
    assert contents is not None
    assert len(contents.problems) == 1
    assert contents.search["evaluated"] == 4


def test_a_run_without_images_has_no_section_and_a_segmentation_says_what_is_measured(made: Made) -> None:
    assert gather(made.store, made.record()) is None
    contents = Contents(architecture=network(CONV, 16, output=8))
    assert contents.accuracy_name == "mean intersection over union"
    assert contents.change("latency_ms") is None


@pytest.mark.parametrize(("measured", "change"), [(0.1, -0.5), (None, 0.05 / 0.09 - 1)])
def test_the_latency_saved_is_the_measured_one_where_there_is_one(measured: float | None, change: float) -> None:
    networks = [
        Measured(CHOSEN.id, "chosen", 0.051, 0.002, 0.05, 0.0),
        Measured(REFERENCE.id, "reference", 0.09, 0.002, measured, 0.0),
    ]
    every = [
        Candidate(number, one, 0.9, ms, 0.0, 1, 1, 1, True, True, True, "given")
        for number, (one, ms) in enumerate(((REFERENCE, 0.09), (CHOSEN, 0.05)))
    ]
    contents = Contents(candidates=Candidates(every, every[1]), measured=networks)
    assert contents.latency_change == pytest.approx(change)
