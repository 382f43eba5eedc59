"""What a build takes: the stated memory is kept, and the time left is near what is left."""

import subprocess
import sys
import time

import numpy as np
import pytest

from fingerpost.tasks.ann.build_cost import BuildMemoryError, TimeLeft, build_memory, check_memory
from fingerpost.tasks.ann.hnsw import HnswBuilder, HnswParams

_MEASURE = """
import sys
import numpy as np
from fingerpost.tasks.ann.hnsw import HnswParams, build
from fingerpost.tasks.shards import peak_memory_mb, reset_peak_memory
rows, dim, metric, whole = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4] == "whole"
rng = np.random.default_rng(0)
vectors = rng.integers(0, 256, (rows, dim)).astype(np.float32) if whole else rng.random((rows, dim), dtype=np.float32)
params = HnswParams(metric=metric, ef_construction=10)
build(vectors[:300], params)
reset_peak_memory()
before = peak_memory_mb()
build(vectors, params)
print(peak_memory_mb() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is reset through /proc")
@pytest.mark.parametrize(
    ("dim", "metric", "kind"), [(32, "l2", "whole"), (64, "l2", "floats"), (40, "cosine", "floats")]
)
def test_peak_memory_is_what_was_stated(dim: int, metric: str, kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, "30000", str(dim), metric, kind], capture_output=True, text=True, check=True
    )
    stated = build_memory(30_000, dim, HnswParams(metric=metric)).total / 2**20
    # Lists of random vectors are not full, and large buffers are whole pages of 2 MB.
    assert 0.5 * stated <= float(done.stdout) <= 1.0 * stated + 8, (stated, done.stdout)


def test_a_build_that_does_not_fit_is_refused() -> None:
    params = HnswParams()
    needed = build_memory(1_000_000, 128, params).total
    assert check_memory(1_000_000, 128, params, needed).total == needed
    with pytest.raises(BuildMemoryError, match=r"build of 1,000,000 x 128 vectors: expected at least [\d,]+ MB"):
        check_memory(1_000_000, 128, params, needed - 1)


def test_time_left_of_a_model_run_is_exact() -> None:
    clock = TimeLeft(1_000_000)
    assert clock.seconds() is None
    cost = np.cumsum(np.log(np.arange(1, 1_000_001)))
    for inserted in range(4096, 500_000, 4096):
        clock.add(inserted, float(cost[inserted - 1]))
    left = clock.seconds()
    assert left is not None
    assert left == pytest.approx(cost[-1] - cost[inserted - 1], rel=1e-3)


def test_time_left_of_a_build() -> None:
    rows = np.random.default_rng(0).integers(0, 100, (6000, 32)).astype(np.float32)
    builder = HnswBuilder(rows, HnswParams(metric="l2", ef_construction=60))
    clock, start, at_half = TimeLeft(6000), time.process_time(), 0.0
    while builder.inserted < 6000:
        builder.insert_until(builder.inserted + 500)
        clock.add(builder.inserted, time.process_time() - start)
        if builder.inserted <= 3100:
            guess, at_half = clock.seconds(), time.process_time() - start
    assert guess is not None
    assert 0.5 <= guess / (time.process_time() - start - at_half) <= 2.0
