"""Devices by name and by table: what they say they are, tables that cannot be used, and the timing of functions."""

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fingerpost.schemas.errors import FingerpostError, InputError, UsageError
from fingerpost.schemas.inputs.device_tables import DeviceTableFile, check_table_name
from fingerpost.tasks import nas
from fingerpost.tasks.nas.accelerator import Accelerator, AcceleratorParams
from fingerpost.tasks.nas.cpu_device import CpuDevice
from fingerpost.tasks.nas.cpu_params import RUNTIMES, CpuParams
from fingerpost.tasks.nas.latency import fit_latency_estimator
from fingerpost.tasks.nas.latency_params import LatencyParams, MeasuringParams
from fingerpost.tasks.nas.measurements import Measurements
from fingerpost.tasks.nas.measuring import measure_device
from fingerpost.tasks.nas.operators import Operator
from fingerpost.tasks.nas.spaces import space_for_images
from fingerpost.tasks.nas.stages.devices import device_source, write_measurements
from fingerpost.tasks.nas.timing import timed
from tests.unit.nas.worlds import small

SPACE = space_for_images(8, 1, 10)
PARAMS = MeasuringParams(networks=20, operators=60, rounds=0, training_networks=8, test_networks=8)
#: One operator and one network.
ROWS = (
    "kind,size,inputs,outputs,kernel,stride,relu,latency_ms,architecture\nconv,8,4,6,3,2,true,0.5,\n,,,,,,,0.7,a cell\n"
)


@pytest.fixture(scope="module")
def measured() -> Measurements:
    return measure_device(Accelerator(), SPACE, PARAMS, advance=lambda done: None)


def written(folder: Path, text: str) -> str:
    path = folder / "device.csv"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_what_was_measured_is_a_device_again(tmp_path: Path, measured: Measurements, suffix: str) -> None:
    path = tmp_path / f"mine{suffix}"
    check_table_name(path)
    write_measurements(path, Accelerator().properties(), measured)
    source = device_source(str(path))
    source.check()
    assert str(source) == str(path)
    assert (source.parallelism, source.bytes_per_value) == (16, 1.0)
    device = source.opened()
    assert device.name == "accelerator"
    # The space's operators are those of the table; whatever is asked of it gives what was measured.
    again = measure_device(device, SPACE, PARAMS, advance=lambda done: None)
    order = [np.lexsort(found.operators.rows.T) for found in (measured, again)]
    for name in ("rows", "ms", "spread_ms", "repeats"):
        one, other = (getattr(found.operators, name)[at] for found, at in zip((measured, again), order, strict=True))
        np.testing.assert_array_equal(one, other)
    assert sorted(again.networks.texts) == sorted(measured.networks.texts)
    estimator = fit_latency_estimator(again, LatencyParams())
    truth = Accelerator().measure_networks([small(resolution=8)]).ms
    assert estimator.predict([small(resolution=8)])[0] == pytest.approx(truth, rel=0.3)
    assert np.isnan(device.measure_operators([Operator("conv", 99, 3, 3)]).ms[0])
    assert np.isnan(device.measure_networks([small(resolution=7)]).ms[0])


def test_a_table_of_this_cpu_says_which_cpu_and_runtime_it_is_of(tmp_path: Path, measured: Measurements) -> None:
    properties = device_source("cpu").opened().properties()
    write_measurements(tmp_path / "cpu.csv", properties, measured)
    device = device_source(str(tmp_path / "cpu.csv")).opened()
    assert device.name == f"{properties['cpu']}, onnxruntime {properties['version']}"
    assert (device.parallelism, device.bytes_per_value) == (16, 4.0)


def test_a_table_by_hand_needs_few_columns(tmp_path: Path) -> None:
    source = device_source(written(tmp_path, ROWS))
    device = source.opened()
    assert device.name == "device.csv"
    assert (device.parallelism, device.bytes_per_value) == (1, 4.0)
    latencies = device.measure_operators([Operator("conv", 8, 4, 6, 3, 2, relu=True), Operator("conv", 8, 4, 6, 3, 2)])
    assert latencies.ms.tolist()[0] == 0.5
    assert np.isnan(latencies.ms[1])
    assert dict(device.cells) == {"a cell": 0.7}
    lines = tmp_path / "device.jsonl"
    lines.write_text(json.dumps({"kind": "linear", "size": 1, "inputs": 8, "outputs": 3, "latency_ms": 2}) + "\n")
    (one,) = DeviceTableFile(str(lines)).read().rows
    assert one.operator == ("linear", 1, 8, 3, 1, 1, 1, False, False)


def _cell(name: str, value: str, row: int = 1) -> str:
    lines = list(csv.reader(ROWS.splitlines()))
    lines[row][lines[0].index(name)] = value
    return "".join(",".join(line) + "\n" for line in lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_cell("latency_ms", ""), r"row 0: expected latency_ms, found none; add it"),
        (_cell("latency_ms", "fast"), r"row 0: expected a number of at least 1e-12 as latency_ms, found 'fast'"),
        (_cell("latency_ms", "nan"), r"row 0: expected a number of at least"),
        (_cell("latency_ms", "-1"), r"row 0: expected a number of at least"),
        (_cell("inputs", "4.5"), r"row 0: expected a whole number of at least 1 as inputs, found '4.5'"),
        (_cell("outputs", ""), r"row 0: expected outputs, found none"),
        (_cell("relu", "maybe"), r"row 0: expected true or false as relu, found 'maybe'"),
        (_cell("kind", ""), r"row 0: expected the kind of an operator or an architecture, found neither"),
        (_cell("kind", "conv", 2), r"row 1: expected the kind of an operator or an architecture, found both"),
        (_cell("kind", "pooling"), r"expected kinds of operators of conv, .*, found 'pooling'"),
        (ROWS + "conv,8,4,6,3,2,true,0.6,\n", r"expected each operator and architecture once, found .* rows 0 and 2"),
        (ROWS + "conv,8\n", r"expected rows of the header's columns"),
        (ROWS.replace("latency_ms", "time"), r"expected a column 'latency_ms'"),
        ("latency_ms\n1\n", r"expected a column 'kind' or 'architecture'"),
        ("kind,size,inputs,outputs,latency_ms,device\nadd,1,1,1,1,a\nadd,1,2,2,1,b\n", r"one device in all rows"),
        (
            "kind,size,inputs,outputs,latency_ms,parallelism\nadd,1,1,1,1,0\n",
            r"whole number of at least 1 as parallelism",
        ),
        ("kind,size,inputs,outputs,latency_ms,parallelism\nadd,1,1,1,1,many\n", r"as parallelism, found 'many'"),
        ("kind,size,inputs,outputs,latency_ms,bytes_per_value\nadd,1,1,1,1,nan\n", r"as bytes_per_value, found 'nan'"),
        ("", r"found an empty file"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        device_source(written(tmp_path, text)).opened()


def test_missing_tables_and_names_of_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no-such"):
        device_source(str(tmp_path / "no-such.csv")).check()
    with pytest.raises(UsageError, match="expected a name that ends in"):
        check_table_name(tmp_path / "mine.txt")


def test_a_table_without_the_operators_of_a_space_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, f'architecture,latency_ms\n"{small().text.replace(chr(34), chr(34) * 2)}",1\n')
    device = device_source(path).opened()
    assert device.measure_networks([small()]).ms.tolist() == [1.0]
    with pytest.raises(ValueError, match="expected latencies of operators of the space, got none"):
        measure_device(device, SPACE, PARAMS, advance=lambda done: None)


def test_identities_are_of_what_a_device_is(tmp_path: Path) -> None:
    sources = [
        device_source("accelerator"),
        device_source("accelerator", accelerator=AcceleratorParams(clock_mhz=400)),
        device_source("cpu"),
        device_source("cpu", cpu=CpuParams(runtime="torch")),
        device_source("cpu", cpu=CpuParams(repeats=9)),
        device_source(written(tmp_path, ROWS)),
    ]
    assert len({source.identity() for source in sources}) == len(sources)
    assert device_source("accelerator").identity() == sources[0].identity()
    # Its content, not its place.
    pq.write_table(pa.table({"kind": ["add"], "latency_ms": [1.0]}), tmp_path / "one.parquet")
    (tmp_path / "two.parquet").write_bytes((tmp_path / "one.parquet").read_bytes())
    one, two = (device_source(str(tmp_path / name)).identity() for name in ("one.parquet", "two.parquet"))
    assert one == two
    properties = device_source("cpu").opened().properties()
    assert properties["threads"] == "1"
    assert properties["cpu"]


class Ticks:
    """A clock on which functions take the nanoseconds that are listed, call after call."""

    def __init__(self, *taken: list[int]) -> None:
        self.now, self.calls, self._taken = 0, [0] * len(taken), taken

    def function(self, place: int) -> Callable[[], object]:
        def run() -> None:
            times = self._taken[place]
            self.now += times[min(self.calls[place], len(times) - 1)]
            self.calls[place] += 1

        return run


def test_slow_repeats_and_first_calls_do_not_count() -> None:
    # Two calls to choose the calls of a repeat after one of the warm-up; then ten repeats, each after a slow first call.
    repeats = [100, 102, 98, 100, 5000, 100, 104, 96, 9000, 100]
    paired = [taken for repeat in repeats for taken in (700, repeat)]
    ticks = Ticks([70_000, 50_000, 100, *paired], [1000])
    params = CpuParams(warmup=1, repeats=10, trimmed=0.3, least_us=0.0)
    found = timed([ticks.function(0), ticks.function(1)], params, clock=lambda: ticks.now)
    kept = sorted(repeats)[:7]
    assert found.ms == pytest.approx([np.median(kept) / 1e6, 1e-3])
    assert found.spread_ms[0] == pytest.approx((np.percentile(kept, 75) - np.percentile(kept, 25)) / 2e6)
    assert found.repeats.tolist() == [10, 10]
    assert ticks.calls == [23, 23]


def test_short_functions_are_called_several_times_in_a_repeat() -> None:
    ticks = Ticks([1000])
    found = timed([ticks.function(0)], CpuParams(warmup=0, repeats=3, least_us=50.0), clock=lambda: ticks.now)
    assert found.ms == pytest.approx([1e-3])
    assert ticks.calls == [2 + 3 * 51]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_this_cpu_is_measured(runtime: str) -> None:
    pytest.importorskip(runtime)
    source = device_source("cpu", cpu=CpuParams(runtime=runtime, repeats=5, least_us=50.0))  # type: ignore[arg-type]
    source.check()
    device = source.opened()
    small_one, large = Operator("conv", 14, 16, 16, 3, relu=True), Operator("conv", 28, 64, 64, 3, relu=True)
    kinds = [
        Operator("depthwise", 14, 32, 32, 5, 2, relu=True),
        Operator("pool", 7, 32, 32),
        Operator("linear", 1, 32, 10),
        Operator("resize", 7, 8, 8, output_size=14),
        Operator("add", 14, 16, 16),
        Operator("conv", 14, 16, 16, added=True),
    ]
    found = device.measure_operators([small_one, large, *kinds])
    assert (found.ms > 0).all()
    assert found.ms[1] > 5 * found.ms[0]
    architectures = [small(), small("fused", resolution=12, output=12)]
    networks = device.measure_networks(architectures)
    assert (networks.ms > 0).all()
    assert networks.repeats.tolist() == [5, 5]
    assert device.measure_networks([]).ms.shape == (0,)


def test_a_runtime_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fingerpost.tasks.nas.stages.devices._version", lambda package: "")
    with pytest.raises(FingerpostError, match=r"expected onnxruntime to be installed, found none; pip install"):
        device_source("cpu").check()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "fingerpost.tasks.nas.onnx_operators", raising=False)
    monkeypatch.delattr(nas, "onnx_operators", raising=False)
    with pytest.raises(ValueError, match=r"expected onnxruntime to be installed.*'fingerpost\[nas\]'"):
        CpuDevice(CpuParams(), lambda: 0).measure_operators([Operator("pool", 2, 2, 2)])


@pytest.mark.parametrize(("name", "value"), [("runtime", "tvm"), ("repeats", 1), ("trimmed", 0.9), ("together", 0)])
def test_impossible_ways_to_measure_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected"):
        CpuParams(**{name: value})  # type: ignore[arg-type]
