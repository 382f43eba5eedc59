"""Torch on one thread and with the same bits in every run."""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Within it torch takes one thread and deterministic algorithms; afterwards it is as it was."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)


@contextlib.contextmanager
def seeded(*seed: int) -> Iterator[None]:
    """Within it torch's own random numbers follow from the seed alone; afterwards they go on as before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]) >> 1)
        yield
