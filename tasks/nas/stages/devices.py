"""The devices of stages and commands: by name, or by a table of measurements. Imports neither torch nor onnxruntime."""

import importlib.metadata
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fingerpost.schemas.errors import FingerpostError, InputError
from fingerpost.schemas.inputs.device_tables import DeviceTable, DeviceTableFile, MeasuredRow, write_device_table
from fingerpost.schemas.refs import digest_of
from fingerpost.tasks.nas.accelerator import Accelerator, AcceleratorParams
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.cpu_device import CpuDevice
from fingerpost.tasks.nas.cpu_params import CpuParams
from fingerpost.tasks.nas.devices import Device
from fingerpost.tasks.nas.measurements import Measurements
from fingerpost.tasks.nas.operator_arrays import cells_of, operators_from
from fingerpost.tasks.nas.operators import OPERATOR_KINDS, Operator
from fingerpost.tasks.nas.table_device import Entry, TableDevice


class DeviceSource(Protocol):
    """A device as a stage's input; ``str`` is its name for users."""

    def __str__(self) -> str:
        """Its name or path."""
        ...

    def check(self) -> None:
        """FingerpostError for one that cannot be used; measures nothing."""
        ...

    def identity(self) -> str:
        """A digest of what it is."""
        ...

    def opened(self) -> Device:
        """The device."""
        ...

    @property
    def parallelism(self) -> int:
        """As the device's."""
        ...

    @property
    def bytes_per_value(self) -> float:
        """As the device's."""
        ...


@dataclass(frozen=True)
class BuiltInDevice:
    """A device that is no file."""

    name: str
    device: Accelerator | CpuDevice

    def __str__(self) -> str:
        return self.device.name

    def check(self) -> None:
        """FingerpostError where the CPU's runtime is not installed."""
        if isinstance(self.device, CpuDevice) and not _version(self.device.params.runtime):
            runtime = self.device.params.runtime
            raise FingerpostError(
                f"device cpu: expected {runtime} to be installed, found none; pip install 'fingerpost[nas]', or choose"
                " another runtime in nas.cpu.runtime"
            )

    def identity(self) -> str:
        """A digest of its properties."""
        return digest_of(dict(self.device.properties()))

    def opened(self) -> Device:
        """The device."""
        return self.device

    @property
    def parallelism(self) -> int:
        """As the device's."""
        return self.device.parallelism

    @property
    def bytes_per_value(self) -> float:
        """As the device's."""
        return self.device.bytes_per_value


@dataclass(frozen=True)
class TableSource:
    """A table of measurements of a device."""

    file: DeviceTableFile

    def __str__(self) -> str:
        return self.file.path

    def check(self) -> None:
        """InputError for a file that is missing or lacks a column."""
        if not Path(self.file.path).exists():
            raise InputError(
                f"{self.file.path}: expected accelerator, cpu, or a table of measured latencies, found no file of that name;"
                " correct the device"
            )
        self.file.check()

    def identity(self) -> str:
        """A digest of its content."""
        return self.file.identity()

    def opened(self) -> TableDevice:
        """The device; InputError for rows that cannot be used."""
        table = self.file.read()
        operators: dict[Operator, Entry] = {}
        architectures: dict[str, Entry] = {}
        for row in table.rows:
            entry = (row.latency_ms, row.spread_ms, row.repeats)
            if row.operator:
                operators[_operator(row, self.file.path)] = entry
            else:
                architectures[row.architecture] = entry
        networks = {text: entry for text, entry in architectures.items() if _is_network(text)}
        cells = {text: entry[0] for text, entry in architectures.items() if text not in networks}
        about = _about(table, Path(self.file.path).name)
        return TableDevice(
            about["device"], operators, networks, cells, int(about["parallelism"]), float(about["bytes_per_value"])
        )

    @property
    def parallelism(self) -> int:
        """As the table says; 1 where it does not."""
        return self.opened().parallelism

    @property
    def bytes_per_value(self) -> float:
        """As the table says; 4 where it does not."""
        return self.opened().bytes_per_value


def device_source(
    name: str,
    *,
    accelerator: AcceleratorParams = AcceleratorParams(),
    cpu: CpuParams = CpuParams(),
) -> DeviceSource:
    """The device of a name: ``accelerator`` (simulated), ``cpu`` (this one), or the path of a table of measurements."""
    if name == "accelerator":
        return BuiltInDevice(name, Accelerator(accelerator))
    if name == "cpu":
        return BuiltInDevice(name, CpuDevice(cpu, time.perf_counter_ns, _this_cpu(cpu.runtime)))
    return TableSource(DeviceTableFile(name))


def write_measurements(path: Path, properties: Mapping[str, str], measurements: Measurements) -> None:
    """Writes what was measured on a device as a table that ``device_source`` reads: Parquet (.parquet) or CSV (.csv)."""
    operators, networks = measurements.operators, measurements.networks
    rows = [
        MeasuredRow(tuple(row), "", *numbers)
        for row, *numbers in zip(
            map(cells_of, operators_from(operators.rows)),
            operators.ms.tolist(),
            operators.spread_ms.tolist(),
            operators.repeats.tolist(),
            strict=True,
        )
    ]
    measured = zip(networks.texts, networks.ms.tolist(), networks.spread_ms.tolist(), strict=True)
    rows += [MeasuredRow((), text, ms, spread, 1) for text, ms, spread in measured]
    write_device_table(path, rows, {**properties, "device": _named(properties)})


def _named(properties: Mapping[str, str]) -> str:
    """What a device is, in a few words."""
    if "cpu" in properties:
        return f"{properties['cpu']}, {properties['runtime']} {properties['version']}"
    return properties["device"]


def _about(table: DeviceTable, name: str) -> dict[str, str]:
    return {"device": name, "parallelism": "1", "bytes_per_value": "4"} | dict(table.about)


def _operator(row: MeasuredRow, path: str) -> Operator:
    if row.operator[0] not in OPERATOR_KINDS:
        raise InputError(
            f"{path}: expected kinds of operators of {', '.join(OPERATOR_KINDS)}, found {row.operator[0]!r}; correct it"
        )
    return Operator(*row.operator)


def _is_network(text: str) -> bool:
    with suppress(ValueError):
        Architecture.parse(text)
        return True
    return False


def _this_cpu(runtime: str) -> dict[str, str]:
    """What this CPU and a runtime are, by name."""
    model = platform.processor() or platform.machine()
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), model)
    return {"cpu": model, "machine": platform.machine(), "version": _version(runtime)}


def _version(package: str) -> str:
    """The installed version of a package; empty without it."""
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return ""
