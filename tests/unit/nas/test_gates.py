"""The gates of a network, by the figures of its release."""

from types import SimpleNamespace
from typing import Any

import pytest

from fingerpost.flows.domains.nas.comparison import network_compared
from fingerpost.flows.domains.nas.gates import network_gates, on_missed, unmeasured
from fingerpost.flows.domains.nas.settings import NetworkGates
from fingerpost.schemas.publish import Gate
from fingerpost.schemas.refs import Ref

GOOD: dict[str, Any] = {
    "tested": 100,
    "classes": 10,
    "quarantine_share": 0.0,
    "accuracy": 0.9,
    "reference_accuracy": 0.92,
    "latency_ms": 0.4,
    "memory_bytes": 1000,
    "parameters": 500,
    "latency_ms_limit": 0.5,
    "memory_bytes_limit": 1000,
    "parameters_limit": None,
    "onnx_difference": 1e-6,
    "measured": True,
    "device": "simulated accelerator",
}


def gates(settings: NetworkGates = NetworkGates(), **other: Any) -> dict[str, Gate]:
    """The gates of a release with other figures, by name."""
    found = network_gates(SimpleNamespace(quality=GOOD | other), settings)  # type: ignore[arg-type]
    return {gate.name: gate for gate in found}


def test_what_keeps_all_limits_passes_and_what_has_no_limit_has_no_gate() -> None:
    found = gates()
    assert set(found) == {
        "network_tested",
        "quarantine_share",
        "network_latency_ms",
        "network_memory_bytes",
        "network_onnx_difference",
    }
    assert all(gate.holds for gate in found.values())


@pytest.mark.parametrize(
    ("figure", "value", "gate"),
    [
        ("latency_ms", 0.51, "network_latency_ms"),
        ("memory_bytes", 1001, "network_memory_bytes"),
        ("onnx_difference", 2e-4, "network_onnx_difference"),
        ("onnx_difference", float("nan"), "network_onnx_difference"),
        ("quarantine_share", 0.06, "quarantine_share"),
        ("tested", 0, "network_tested"),
    ],
)
def test_what_misses_a_limit_is_refused_by_its_gate(figure: str, value: float, gate: str) -> None:
    assert [name for name, one in gates(**{figure: value}).items() if not one.holds] == [gate]


def test_a_latency_may_exceed_its_limit_by_a_factor_that_is_set() -> None:
    assert gates(NetworkGates(over_limit=1.1), latency_ms=0.54)["network_latency_ms"].holds
    assert "network_latency_ms" not in gates(NetworkGates(over_limit=0), latency_ms=9.0)


def test_accuracy_is_compared_with_a_minimum_and_with_the_reference_where_that_is_asked() -> None:
    assert not gates(NetworkGates(accuracy=0.95))["network_accuracy"].holds
    assert gates(NetworkGates(under_reference=0.02))["network_accuracy_beside_reference"].holds
    assert not gates(NetworkGates(under_reference=0.01))["network_accuracy_beside_reference"].holds
    assert "network_accuracy_beside_reference" not in gates(NetworkGates(under_reference=0.01), reference_accuracy=None)


def test_what_was_not_measured_is_said_and_is_no_gate() -> None:
    assert unmeasured(SimpleNamespace(quality=GOOD)) == []  # type: ignore[arg-type]
    lacking = SimpleNamespace(quality=GOOD | {"onnx_difference": None, "measured": False})
    first, second = unmeasured(lacking)  # type: ignore[arg-type]
    assert "onnxruntime is not installed" in first
    assert "simulated accelerator cannot run whole networks" in second
    assert "network_onnx_difference" not in gates(onnx_difference=None)


def test_a_network_is_compared_with_the_live_one_and_the_samples_gates_are_noted() -> None:
    sides = {"a" * 32: GOOD, "b" * 32: GOOD | {"accuracy": 0.87, "classes": 9}}
    store = SimpleNamespace(manifest=lambda ref: SimpleNamespace(quality=sides[ref.fingerprint]))
    old, new = (Ref("nas.network", "2026-01-02", name) for name in sides)
    found = {one.name: one for one in network_compared(store, old, new, NetworkGates())}  # type: ignore[arg-type]
    assert not found["accuracy_against_live"].holds
    assert not found["classes_against_live"].holds
    assert all(one.holds for one in network_compared(store, old, old, NetworkGates()))  # type: ignore[arg-type]
    assert (on_missed("python-docs", NetworkGates()), on_missed("photos", NetworkGates())) == ("note", "fail")
