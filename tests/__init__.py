"""The tests. Their processes share the cores: one thread each for linear algebra, whose other threads would wait for a core and burn it."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
