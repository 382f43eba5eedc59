"""What a command that answers one question sets before it imports numpy and Arrow."""

import os


def one_thread() -> None:
    """Lets libraries start one thread each, unless the environment says otherwise: the others take memory and answer nothing.

    On a machine of many cores that is most of what a query would start and hold.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
