"""The stage that mines patterns: it reads the networks of searches whose accuracy is known, and writes what they tell."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fingerpost.schemas import nas as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.nas.open import read_patterns
from fingerpost.tasks.nas.pattern_params import PatternParams
from fingerpost.tasks.nas.patterns import PARTS, built_in_patterns, mined_patterns
from fingerpost.tasks.nas.stages.patterns import mine_patterns, observed
from fingerpost.tasks.shards import SerialExecutor
from tests.unit.metric.worlds import committed
from tests.unit.nas.test_patterns import search
from tests.worlds import DAY


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    return Environment(Store(str(tmp_path / "store")).prepare(), "digits", DAY, SerialExecutor())


def stored(store: Store, count: int) -> Ref:
    """A search of the linear world; every seventh network is not trained, and has an accuracy with shared weights."""
    rows: list[dict[str, Any]] = []
    for number, one in enumerate(search(count, 0)):
        known = number % 7 != 6
        rows.append(
            {
                "number": number,
                "architecture": one.architecture.id,
                "description": one.architecture.text,
                "origin": "given" if number == 0 else "random",
                "generation": number // 4,
                "accuracy": one.accuracy if known else one.accuracy / 2,
                "score": one.accuracy,
                "latency_ms": one.latency_ms,
                "latency_spread_ms": 0.0,
                "macs": 1000,
                "parameters": one.parameters,
                "memory_bytes": one.memory_bytes,
                "feasible": True,
                "trained": known,
                "front": 0 if one.front else 1,
            }
        )
    types = {field.name: field.type for field in contracts.SEARCH.table("evaluated").fields}
    evaluated = pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in types.items()})
    scores = {
        "architecture": pa.array([], pa.string()),
        "name": pa.array([], pa.string()),
        "value": pa.array([], pa.float64()),
    }
    return committed(store, contracts.SEARCH, {"evaluated": evaluated, "scores": pa.table(scores)})


def test_patterns_of_a_search_are_written_and_read_back(env: Environment) -> None:
    ref = stored(env.store, 40)
    networks = observed(env.store, ref)
    assert len(networks) == 36
    mined = mine_patterns.execute(env, ref, params=PatternParams())
    patterns = read_patterns(env.store, mined)
    assert patterns == mined_patterns([networks], params=PatternParams())
    by_key = {(one.edit, one.part): one for one in patterns}
    assert by_key["narrow", "middle"].accuracy_change == pytest.approx(-0.03, abs=0.003)
    rows = env.store.open(mined, contracts.PATTERNS).read("patterns").to_pylist()
    assert {(row["where"], row["low"], row["high"]) for row in rows} <= {(n, *ends) for n, ends in PARTS.items()}
    quality = env.store.open(mined, contracts.PATTERNS).quality
    assert (quality["searches"], quality["networks"], quality["patterns"]) == (1, 36, len(patterns))
    assert quality["measured"] == sum(one.measured for one in patterns) > 5
    assert mine_patterns.observes


def test_a_search_that_is_among_the_earlier_ones_counts_once_and_small_ones_do_not(env: Environment) -> None:
    ref = stored(env.store, 40)
    again = mine_patterns.execute(env, ref, ref, params=PatternParams())
    assert read_patterns(env.store, again) == mined_patterns([observed(env.store, ref)], params=PatternParams())
    assert env.store.open(again, contracts.PATTERNS).quality["networks"] == 36
    few = mine_patterns.execute(env, ref, params=PatternParams(least=60))
    assert read_patterns(env.store, few) == built_in_patterns()
    assert env.store.open(few, contracts.PATTERNS).quality["measured"] == 0
