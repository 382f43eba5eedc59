"""The `nas measure` command: operators and networks measured on a device, and the errors of estimates. Imports no Prefect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import Progress

from fingerpost.flows.commands.options import pair
from fingerpost.flows.domains.nas.inputs import space_of
from fingerpost.flows.domains.nas.settings import NasSettings
from fingerpost.flows.domains.nas.sources import device_of
from fingerpost.flows.run.console import TextConsole, table_of, wide_console
from fingerpost.flows.run.plain_text import echo_json, visible
from fingerpost.flows.run.profiles import load_settings
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.figures import percent, significant
from fingerpost.schemas.inputs.device_tables import check_table_name
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.latency import LatencyEstimator, fit_latency_estimator
from fingerpost.tasks.nas.latency_figures import Figure, latency_figures
from fingerpost.tasks.nas.measurements import Measurements
from fingerpost.tasks.nas.measuring import measure_device
from fingerpost.tasks.nas.operators import OPERATOR_KINDS
from fingerpost.tasks.nas.stages.devices import write_measurements


@dataclass(frozen=True)
class Measured:
    """A measured device: its name and properties, what was measured, the estimator of that, and the errors of estimates."""

    name: str
    properties: Mapping[str, str]
    measurements: Measurements
    estimator: LatencyEstimator
    figures: list[Figure]


def settings_with(profile: str, settings: tuple[str, ...], **given: str) -> NasSettings:
    """The section of a profile with settings by dotted key, and those of options that are not empty."""
    overrides = dict(pair(text, "--set", "key=value") for text in settings)
    overrides |= {f"nas.{name}": value for name, value in given.items() if value}
    return load_settings(profile, overrides=overrides)[0].nas


def measure(
    *,
    device: str,
    images: Mapping[str, int],
    output: Path | None,
    settings: tuple[str, ...],
    profile: str,
    as_json: bool,
) -> None:
    """Measures a device, prints what it is like and how well networks are estimated, and writes the measurements."""
    own = settings_with(profile, (*settings, f"nas.images.channels={images['channels']}"), device=device)
    if output is not None:
        check_table_name(output)
    found = measured(own, images["size"], images["classes"])
    if output is not None:
        write_measurements(output, found.properties, found.measurements)
    if as_json:
        echo_json(_as_json(found, output))
    else:
        _show(found, output)


def measured(own: NasSettings, size: int, classes: int, *, given: Sequence[Architecture] = ()) -> Measured:
    """The device of settings, measured for images of a size and a number of classes; its progress is shown.

    given: architectures all of whose operators are measured.
    """
    device, space = device_of(own).opened(), space_of(own, size, classes)
    with Progress(console=TextConsole(stderr=True), transient=True) as progress:
        task = progress.add_task(f"measuring {device.name}", total=own.measuring.rounds + 2)
        try:
            found = measure_device(
                device, space, own.measuring, given=given, advance=lambda done: progress.update(task, completed=done)
            )
            estimator = fit_latency_estimator(
                found, own.latency, parallelism=device.parallelism, bytes_per_value=device.bytes_per_value
            )
        except ValueError as problem:
            raise FingerpostError(str(problem)) from problem
    return Measured(device.name, device.properties(), found, estimator, latency_figures(estimator, found))


def _by_kind(found: Measured) -> list[tuple[str, int, float, float, float]]:
    """Each kind of operators: its name, their number, the lowest and highest latency, and the median relative spread."""
    operators, rows = found.measurements.operators, []
    for number in np.unique(operators.rows[:, 0]).tolist():
        mine = operators.chosen(operators.rows[:, 0] == number)
        spread = float(np.median(mine.spread_ms / mine.ms))
        rows.append((OPERATOR_KINDS[number], len(mine.ms), float(mine.ms.min()), float(mine.ms.max()), spread))
    return rows


def _as_json(found: Measured, output: Path | None) -> dict[str, object]:
    names = ("kind", "operators", "lowest_ms", "highest_ms", "relative_spread")
    return {
        "device": found.name,
        "properties": dict(found.properties),
        "kinds": [dict(zip(names, row, strict=True)) for row in _by_kind(found)],
        "networks": len(found.measurements.networks.texts),
        "errors": [dict(zip(("method", "setting", "metric", "value"), row, strict=True)) for row in found.figures],
        "output": str(output or ""),
    }


def _show(found: Measured, output: Path | None) -> None:
    console = wide_console()
    table = table_of(visible(found.name), "operators", "measured>", "lowest ms>", "highest ms>", "relative spread>")
    for kind, count, low, high, spread in _by_kind(found):
        table.add_row(kind, f"{count:,}", significant(low), significant(high), percent(spread))
    console.print(table)
    errors = {(method, metric): value for method, setting, metric, value in found.figures if setting == "networks"}
    if errors:
        tested = round(errors["forest", "count"])
        table = table_of(
            f"\nestimates of {tested} networks not seen before", "by", "within 5 %>", "within 10 %>", "Spearman>"
        )
        for method, words in (("forest", "operators"), ("linear", "MACs alone")):
            if (method, "count") in errors:
                shares = (percent(errors[method, name]) for name in ("within_5", "within_10"))
                order = errors.get((method, "spearman"))
                table.add_row(words, *shares, "" if order is None else f"{order:.3f}")
        console.print(table)
    else:
        console.tell(f"{found.name} measures no whole networks: estimates are not compared with any")
    if output is not None:
        console.tell(f"{output}: name it in nas.device, or give it with --device")
