"""One thread for linear algebra, whatever the libraries took for themselves; and what kernels they took."""

import sys
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from threadpoolctl import ThreadpoolController


def single_threaded() -> AbstractContextManager[Any]:
    """A context in which BLAS and OpenMP use one thread; afterwards they use as many as before."""
    return _libraries(len(sys.modules)).limit(limits=1)


def blas_cores() -> str:
    """The cores whose kernels OpenBLAS took for this processor, such as Haswell or SkylakeX, on which last bits depend.

    Empty where another library does the linear algebra of numpy and scipy, or it is not loaded yet.
    """
    found = _libraries(len(sys.modules)).info()
    return ", ".join(sorted({one["architecture"] or "unknown" for one in found if one["internal_api"] == "openblas"}))


# Looking through all that is loaded takes milliseconds, and small stages no longer. Libraries come with modules.
@lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:
    """The libraries that are loaded with this many modules."""
    return ThreadpoolController()
