"""Importing this leaves what tests write in the system's memory, where it survives a killed process as it would on the disk.

Only a machine that loses power tells the difference, and a run of a small pipeline waited as long for the disk as it computed. That
files are flushed, and when, is for tests/contracts/test_flushing.py.
"""

import os


def _left_in_memory(descriptor: int) -> None:
    """Stands for ``os.fsync``."""


os.fsync = _left_in_memory
