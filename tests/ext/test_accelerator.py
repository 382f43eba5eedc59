"""Latencies on an array of multipliers: against a slow version, in steps of channels, fused and not, and what is refused."""

from dataclasses import asdict
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.ext import accelerator as kernel
from fingerpost.ext.accelerator import operator_latencies
from fingerpost.ext.sources import source_hash
from fingerpost.tasks.nas.accelerator import Accelerator, AcceleratorParams
from fingerpost.tasks.nas.architecture import Architecture, Block, NetworkStage
from fingerpost.tasks.nas.operator_arrays import COLUMNS, operator_rows, operators_from
from fingerpost.tasks.nas.operators import OPERATOR_KINDS, Operator, block_operators, operators_of

sides, channels = st.integers(1, 40), st.integers(1, 300)
operators = st.builds(
    Operator,
    st.sampled_from(OPERATOR_KINDS),
    sides,
    channels,
    channels,
    st.sampled_from([1, 3, 5, 7]),
    st.sampled_from([1, 2]),
    sides,
    st.booleans(),
    st.booleans(),
)
accelerators = st.builds(
    AcceleratorParams,
    st.integers(1, 64),
    st.integers(1, 64),
    st.floats(1, 2000),
    st.sampled_from([0.5, 1, 2, 4]),
    st.integers(1, 64),
    st.floats(0.1, 64),
    st.floats(0.1, 64),
    st.floats(0, 100),
)


def slow_latency(one: Operator, device: AcceleratorParams) -> float:
    """The latency of one operator in milliseconds, written out."""
    pixels, taps = one.output_size * one.output_size, one.kernel * one.kernel
    rows, columns = ceil(one.inputs / device.input_parallelism), ceil(one.outputs / device.output_parallelism)
    busy = {
        "conv": pixels * taps * rows * columns,
        "depthwise": pixels * taps * columns,
        "pool": one.size * one.size * columns,
        "linear": rows * columns,
        "resize": 4 * pixels * columns,
        "add": pixels * columns,
    }[one.kind]
    packed = device.packed_channels
    read = one.size**2 * ceil(one.inputs / packed) * packed
    written = pixels * ceil(one.outputs / packed) * packed
    values = read + written + (written if one.added or one.kind == "add" else 0)
    memory = values * device.bytes_per_value / device.activation_bandwidth
    memory += one.parameters * device.bytes_per_value / device.weight_bandwidth
    return max(busy, memory) / (device.clock_mhz * 1000) + device.overhead_us / 1000


def block_ms(block: Block, size: int, inputs: int) -> float:
    return float(Accelerator().measure_operators(block_operators(block, size, inputs, inputs, 1)).ms.sum())


def test_the_binary_is_of_these_sources() -> None:
    assert source_hash("accelerator") == kernel.SOURCE_HASH
    assert len(COLUMNS) == kernel.COLUMNS
    assert len(OPERATOR_KINDS) == kernel.KINDS


@settings(max_examples=150, deadline=None)
@given(st.lists(operators, max_size=6), accelerators)
def test_latencies_are_those_of_a_slow_version(some: list[Operator], device: AcceleratorParams) -> None:
    found = Accelerator(device).measure_operators(some)
    assert found.ms == pytest.approx([slow_latency(one, device) for one in some], rel=1e-12)
    assert operators_from(operator_rows(some)) == tuple(some)
    assert not found.spread_ms.any()


@settings(max_examples=80, deadline=None)
@given(operators, st.integers(1, 3))
def test_latency_is_a_staircase_that_rises_with_the_channels(one: Operator, step: int) -> None:
    # Weights of zero bytes would be needed for steps that are flat: their bytes rise with each channel.
    device = Accelerator(AcceleratorParams(weight_bandwidth=1e12))
    wide = [
        Operator(one.kind, one.size, count, count, one.kernel, one.stride, one.output_size) for count in range(1, 65)
    ]
    ms = device.measure_operators(wide).ms
    assert (np.diff(ms) >= -1e-12).all()
    rises = np.flatnonzero(np.diff(ms) > 1e-9) + 1
    assert set(rises.tolist()) == {16, 32, 48}
    assert ms[16 * step - 1] == pytest.approx(ms[16 * step - 16], rel=1e-6)


def test_flops_do_not_order_latencies() -> None:
    few, many = Operator("conv", 14, 17, 17, 3), Operator("conv", 14, 32, 32, 3)
    one, other = Accelerator().measure_operators([few, many]).ms
    assert many.macs > 3 * few.macs
    assert other == pytest.approx(one, rel=0.02)


@pytest.mark.parametrize(("kernel_size", "size"), [(3, 14), (3, 28), (5, 14), (3, 56)])
def test_fusing_wins_with_few_channels_and_loses_with_many(kernel_size: int, size: int) -> None:
    faster = [
        block_ms(Block("fused", kernel_size, 4), size, count) < block_ms(Block("ibn", kernel_size, 4), size, count)
        for count in range(16, 257, 16)
    ]
    crossing = faster.index(False)
    assert 0 < crossing < len(faster)
    assert not any(faster[crossing:])
    # Where it wins, it has more multiply-accumulates all the same.
    fused, plain = (block_operators(Block(kind, kernel_size, 4), size, 16, 16, 1) for kind in ("fused", "ibn"))
    assert sum(one.macs for one in fused) > 1.5 * sum(one.macs for one in plain)


def test_networks_take_the_sum_of_their_operators() -> None:
    small = Architecture(28, 1, 10, 16, 2, (NetworkStage(16, 1, (Block(), Block("fused"))),))
    large = Architecture(28, 1, 10, 16, 1, (NetworkStage(48, 2, (Block(), Block("conv", 3, 1))),), head=64)
    device = Accelerator()
    found = device.measure_networks([small, large]).ms
    for architecture, ms in zip((small, large), found, strict=True):
        assert ms == pytest.approx(sum(slow_latency(one, device.params) for one in operators_of(architecture)))
    assert device.measure_networks([]).ms.shape == (0,)


def test_properties_name_each_parameter() -> None:
    params = AcceleratorParams(input_parallelism=32, overhead_us=3.5)
    properties = Accelerator(params).properties()
    assert set(asdict(params)) < set(properties)
    assert properties["overhead_us"] == "3.5"
    assert Accelerator(params).parallelism == 32


@pytest.mark.parametrize(
    ("row", "changes", "message"),
    [
        ([0, 1, 1, 1, 1, 1, 1, 0], {}, "expected \\(n, 9\\), got 8 columns"),
        ([6, 1, 1, 1, 1, 1, 1, 0, 0], {}, "expected kinds of 0 to 5, got 6"),
        ([-1, 1, 1, 1, 1, 1, 1, 0, 0], {}, "expected kinds of 0 to 5, got -1"),
        ([0, 1, 0, 1, 1, 1, 1, 0, 0], {}, "strides from 1, got 0"),
        ([0, 1, 1, 1, 1, 1, 1, 0, 0], {"input_parallelism": 0}, "groups of at least 1 channel, got 0"),
        ([0, 1, 1, 1, 1, 1, 1, 0, 0], {"cycles_per_ms": 0.0}, "clock above 0"),
        ([0, 1, 1, 1, 1, 1, 1, 0, 0], {"weight_bandwidth": float("nan")}, "bandwidths"),
        ([0, 1, 1, 1, 1, 1, 1, 0, 0], {"overhead_cycles": -1.0}, "an overhead of -1"),
    ],
)
def test_what_does_not_fit_is_refused(row: list[int], changes: dict, message: str) -> None:
    given = {
        "input_parallelism": 16,
        "output_parallelism": 16,
        "packed_channels": 16,
        "bytes_per_value": 1.0,
        "weight_bandwidth": 4.0,
        "activation_bandwidth": 4.0,
        "overhead_cycles": 0.0,
        "cycles_per_ms": 1e5,
    }
    with pytest.raises(ValueError, match=message):
        operator_latencies(np.array([row], np.int64), **(given | changes))


@pytest.mark.parametrize(("name", "value"), [("input_parallelism", 0), ("clock_mhz", 0.0), ("overhead_us", -1.0)])
def test_impossible_accelerators_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected"):
        AcceleratorParams(**{name: value})
