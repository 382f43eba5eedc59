"""Latencies of operators on an accelerator with an array of multipliers."""

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str
COLUMNS: int
KINDS: int

def operator_latencies(
    operators: NDArray[np.int64],
    *,
    input_parallelism: int,
    output_parallelism: int,
    packed_channels: int,
    bytes_per_value: float,
    weight_bandwidth: float,
    activation_bandwidth: float,
    overhead_cycles: float,
    cycles_per_ms: float,
) -> NDArray[np.float64]:
    """The latency of each operator in milliseconds, float64 (n,).

    operators: int64 (n, 9): kind (0 convolution, 1 depthwise, 2 global average pooling, 3 linear, 4 bilinear resize, 5
    addition), pixels on a side of the input, input and output channels, kernel, stride, pixels on a side of the output,
    whether a ReLU runs in it (free), whether another tensor of its output's shape is added in it.

    Latency is the larger of the cycles of the array and of memory, and the overhead. The array: a dense convolution takes
    pixels x kernel^2 x ceil(inputs / input_parallelism) x ceil(outputs / output_parallelism) cycles; a depthwise one pixels x
    kernel^2 x ceil(outputs / output_parallelism), since one row of the array alone is busy; a linear layer is a convolution
    of one pixel; pooling, resizing and adding take one cycle per value read and group of output channels. Memory: bytes of
    weights and of tensors over their bandwidths (bytes per cycle), tensors in whole groups of packed_channels.

    ValueError for rows of another form, values below 1, and bandwidths that are not positive.
    """
