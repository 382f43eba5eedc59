"""Networks run by onnxruntime from the bytes of their ONNX files; needs onnxruntime and no torch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Images of a pass: fixed, since a row's last bits depend on the size of its batch. They can depend on its place, too, by
#: the alignment of what onnxruntime takes a mean of.
BATCH = 256


def session(model: bytes) -> Any:
    """An onnxruntime session on one thread of this CPU; ImportError without onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def probabilities(opened: Any, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities float32 (n, classes[, output, output]) of images uint8 (n, size, size[, channels]).

    ValueError for images of another shape or dtype than the file takes.
    """
    (taken,) = opened.get_inputs()
    if images.dtype != np.uint8 or list(images.shape[1:]) != list(taken.shape[1:]):
        raise ValueError(
            f"images: expected uint8 of shape (n, {', '.join(map(str, taken.shape[1:]))}), got {images.dtype} of"
            f" {images.shape}; resize them"
        )
    out = []
    for begin in range(0, len(images), BATCH):
        part = images[begin : begin + BATCH]
        filled = np.concatenate([part, np.repeat(part[-1:], BATCH - len(part), axis=0)])
        out.append(opened.run(None, {taken.name: filled})[0][: len(part)])
    if not out:
        return np.zeros((0, *opened.get_outputs()[0].shape[1:]), dtype=np.float32)
    return np.concatenate(out)
