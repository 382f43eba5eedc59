"""Linear layers of torch whose rows have the same bits at any place of a batch."""

import contextlib
from collections.abc import Iterator

import torch

#: Values of float32 in a line of the cache.
_STEP = 16


@contextlib.contextmanager
def aligned_rows(net: torch.nn.Module) -> Iterator[None]:
    """Gives the linear layers of a network rows (b, d) each of which begins a line of the cache; ends that on exit.

    Of few outputs (2 to 11), MKL sums a row in an order that depends on its alignment in memory, and so on its place among
    the others wherever d is no multiple of 4: findings/torch_linear_rows_by_alignment.sh.
    """
    layers = [layer for layer in net.modules() if isinstance(layer, torch.nn.Linear)]
    hooks = [layer.register_forward_pre_hook(_aligned) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _aligned(_: torch.nn.Module, given: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    (rows,) = given
    wide = rows.new_zeros((len(rows), -(-rows.shape[1] // _STEP) * _STEP))
    wide[:, : rows.shape[1]] = rows
    return (wide[:, : rows.shape[1]],)
