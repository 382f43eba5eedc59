"""The stages that measure a device, and that fit a latency estimator to what was measured."""

import pyarrow as pa

from fingerpost.schemas import nas as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.matrices import figures_to_arrow, tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.latency import fit_latency_estimator
from fingerpost.tasks.nas.latency_figures import Figure, latency_figures
from fingerpost.tasks.nas.latency_params import LatencyParams, MeasuringParams
from fingerpost.tasks.nas.measurements import Measurements
from fingerpost.tasks.nas.measuring import measure_device
from fingerpost.tasks.nas.space import SearchSpace
from fingerpost.tasks.nas.spaces import reference_of
from fingerpost.tasks.nas.stages.devices import DeviceSource
from fingerpost.tasks.nas.stages.latency_tables import (
    networks_table,
    operators_table,
    properties_table,
    read_measurements,
)
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.MEASUREMENTS)
def measure_operators(
    run: StageRun, device: DeviceSource, *, space: SearchSpace, params: MeasuringParams, given: tuple[str, ...] = ()
) -> None:
    """Measures operators of a search space on a device, more of them where they are hard to estimate, and whole networks.

    given: canonical texts of architectures all of whose operators are measured, besides those of the space's reference.
    """
    opened = device.opened()
    run.begin(params.rounds + 2)
    known = [reference_of(space), *(Architecture.parse(text) for text in given)]
    try:
        found = measure_device(opened, space, params, given=known, advance=run.advance)
    except ValueError as problem:
        raise FingerpostError(str(problem)) from problem
    run.write("operators", operators_table(found.operators))
    ids = [Architecture.parse(text).id for text in found.networks.texts]
    run.write("networks", networks_table(found.networks, ids))
    run.write("device", properties_table(opened.properties()))
    run.quality = _counts(found) | {"device": opened.name}


def _counts(found: Measurements) -> dict[str, int]:
    operators = found.operators
    return {
        "operators": len(operators.rows),
        "refined": int((operators.rounds > 0).sum()),
        "validation": int(operators.validation.sum()),
        "networks": len(found.networks.texts),
    }


@stage(contracts.LATENCY)
def fit_latency(run: StageRun, measurements: Ref, *, params: LatencyParams) -> None:
    """Fits a latency estimator to measured operators, and states its errors on networks that it has not seen."""
    found, properties = read_measurements(run.store, measurements)
    parallelism, size = int(properties["parallelism"]), float(properties["bytes_per_value"])
    try:
        estimator = fit_latency_estimator(found, params, parallelism=parallelism, bytes_per_value=size)
    except ValueError as problem:
        raise FingerpostError(f"{measurements}: {problem}") from problem
    figures = latency_figures(estimator, found)
    run.write("model", tensors_to_arrow(estimator.arrays()))
    run.write("figures", figures_to_arrow(figures))
    run.write("kinds", pa.table({"name": pa.array(list(estimator.kinds), pa.string())}))
    run.quality = _errors(figures)


def _errors(figures: list[Figure]) -> dict[str, float | None]:
    """The errors on networks, or where none were measured on operators, and those of the linear control."""
    known = {(method, setting, metric): value for method, setting, metric, value in figures}
    setting = "networks" if ("forest", "networks", "count") in known else "operators"
    names = ("within_5", "within_10", "spearman")
    found = {name: known.get(("forest", setting, name)) for name in names}
    found |= {f"linear_{name}": known.get(("linear", "networks", name)) for name in names}
    return found | {"operators_within_10": known.get(("forest", "operators", "within_10"))}
