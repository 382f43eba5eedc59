#!/bin/sh
# onnxruntime 1.31.1, CPU: a depthwise convolution of 95 channels takes several times as long as one of 96.
#
# Expected: latency about proportional to the channels; with vectors of 8 or 16 floats, at most as long as for the next
# multiple of 16. (Depthwise convolutions are most of a mobile network's layers.)
# Seen: only where the number of channels is a multiple of 4 is the convolution laid out in blocks of channels (NCHWc) and run
# by a kernel for that; with any other number it is run channel by channel, two to six times slower. Without the blocks
# (ORT_ENABLE_EXTENDED in place of the default ORT_ENABLE_ALL) both take equally long: the slow time. A width multiplier that
# makes 95 of 96 channels thus makes a network slower. AMD EPYC with AVX-512, one thread.
#
# Prints how each number of channels compares with the next multiple of 16, and fails if any of that changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "onnxruntime==1.31.1" "onnx==1.23.2" "numpy==2.4.6"
"$work/venv/bin/python" - > "$work/seen" <<'PY'
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def session(channels, level):
    weights = numpy_helper.from_array(np.ones((channels, 1, 3, 3), np.float32), "w")
    node = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3], pads=[1] * 4, group=channels)
    shape = (1, channels, 28, 28)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy")
    graph = helper.make_graph([node], "g", [x], [y], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = level
    return onnxruntime.InferenceSession(model.SerializeToString(), options), {"x": np.ones(shape, np.float32)}


def fastest(channels, level):
    run, values = session(channels, level)
    seconds = []
    for _ in range(400):
        begin = time.perf_counter()
        run.run(None, values)
        seconds.append(time.perf_counter() - begin)
    return sorted(seconds)[20]


levels = onnxruntime.GraphOptimizationLevel
for name in ("ORT_ENABLE_ALL", "ORT_ENABLE_EXTENDED"):
    base = fastest(96, getattr(levels, name))
    for channels in (96, 95, 94, 93, 92, 84):
        ratio = fastest(channels, getattr(levels, name)) / base
        print(name, "|", channels, "|", "more than twice as long as 96" if ratio > 2 else "about as long as 96, or less")
PY
cat "$work/seen"
cat > "$work/expected" <<'OUT'
ORT_ENABLE_ALL | 96 | about as long as 96, or less
ORT_ENABLE_ALL | 95 | more than twice as long as 96
ORT_ENABLE_ALL | 94 | more than twice as long as 96
ORT_ENABLE_ALL | 93 | more than twice as long as 96
ORT_ENABLE_ALL | 92 | about as long as 96, or less
ORT_ENABLE_ALL | 84 | about as long as 96, or less
ORT_ENABLE_EXTENDED | 96 | about as long as 96, or less
ORT_ENABLE_EXTENDED | 95 | about as long as 96, or less
ORT_ENABLE_EXTENDED | 94 | about as long as 96, or less
ORT_ENABLE_EXTENDED | 93 | about as long as 96, or less
ORT_ENABLE_EXTENDED | 92 | about as long as 96, or less
ORT_ENABLE_EXTENDED | 84 | about as long as 96, or less
OUT
diff "$work/expected" "$work/seen"
