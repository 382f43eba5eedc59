"""One thread for linear algebra, whatever the libraries took for themselves."""

import sys
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from threadpoolctl import ThreadpoolController


def single_threaded() -> AbstractContextManager[Any]:
    """A context in which BLAS and OpenMP use one thread; afterwards they use as many as before."""
    return _libraries(len(sys.modules)).limit(limits=1)


# Looking through all that is loaded takes milliseconds, and small stages no longer. Libraries come with modules.
@lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:
    """The libraries that are loaded with this many modules."""
    return ThreadpoolController()
