"""Operators and networks as ONNX models with random weights, to be timed; needs onnx and onnxruntime."""

from collections.abc import Callable, Mapping

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.costs import placed_operators
from fingerpost.tasks.nas.operators import Operator

#: That of the exported networks.
OPSET = 18


class _Model:
    """The nodes and weights of a model as it grows; tensors are called by numbers."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random, self._count = random, 0
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []

    def weight(self, *shape: int) -> str:
        """The name of new random weights; their outputs neither vanish nor overflow."""
        fan = max(1, int(np.prod(shape[1:])))
        values = self._random.standard_normal(shape) * np.sqrt(2 / fan)
        return self.constant(values.astype(np.float32))

    def constant(self, values: NDArray[np.generic]) -> str:
        """The name of a constant."""
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: object) -> str:
        """The name of a node's output."""
        self._count += 1
        self.nodes.append(helper.make_node(kind, list(inputs), [f"t{self._count}"], **attributes))
        return f"t{self._count}"

    def operator(self, one: Operator, source: str, addend: str) -> str:
        """The name of an operator's output, with its addition and ReLU; addend: what it adds, "" for nothing."""
        if one.kind in ("conv", "depthwise"):
            groups = one.outputs if one.kind == "depthwise" else 1
            weight = self.weight(one.outputs, one.inputs // groups, one.kernel, one.kernel)
            out = self.node(
                "Conv",
                source,
                weight,
                self.weight(one.outputs),
                kernel_shape=[one.kernel] * 2,
                strides=[one.stride] * 2,
                pads=[one.kernel // 2] * 4,
                group=groups,
            )
        elif one.kind == "pool":
            out = self.node("GlobalAveragePool", source)
        elif one.kind == "linear":
            weight = self.weight(one.outputs, one.inputs)
            out = self.node("Gemm", self.node("Flatten", source), weight, self.weight(one.outputs), transB=1)
        elif one.kind == "resize":
            sizes = self.constant(np.array([1, one.outputs, one.output_size, one.output_size], dtype=np.int64))
            out = self.node("Resize", source, "", "", sizes, mode="linear", coordinate_transformation_mode="half_pixel")
        else:
            out = self.node("Add", source, addend)
        if one.added:
            out = self.node("Add", out, addend)
        return self.node("Relu", out) if one.relu else out


def operator_run(one: Operator, random: np.random.Generator) -> Callable[[], object]:
    """A function that runs an operator once on random values."""
    model = _Model(random)
    shapes = {"x": (1, one.inputs, one.size, one.size)}
    if one.added or one.kind == "add":
        shapes["y"] = (1, one.outputs, one.output_size, one.output_size)
    return _run(model, model.operator(one, "x", "y"), shapes, random)


def network_run(architecture: Architecture, random: np.random.Generator) -> Callable[[], object]:
    """A function that runs a network once on a random image."""
    model, outputs = _Model(random), list[str]()
    for placed in placed_operators(architecture):
        addend = outputs[placed.added_from] if placed.added_from >= 0 else ""
        outputs.append(model.operator(placed.operator, outputs[-1] if outputs else "x", addend))
    shape = (1, architecture.inputs, architecture.resolution, architecture.resolution)
    return _run(model, outputs[-1], {"x": shape}, random)


def empty_run(random: np.random.Generator) -> Callable[[], object]:
    """A function that runs a model that does nothing, which is what a call costs."""
    model = _Model(random)
    return _run(model, model.node("Identity", "x"), {"x": (1, 1)}, random)


def _run(
    model: _Model, output: str, shapes: Mapping[str, tuple[int, ...]], random: np.random.Generator
) -> Callable[[], object]:
    """A function that runs a model on one thread on random inputs."""
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
    graph = helper.make_graph(model.nodes, "timed", inputs, outputs, model.weights)
    session = _session(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10))
    values = {name: random.random(shape, dtype=np.float32) for name, shape in shapes.items()}
    return lambda: session.run(None, values)


def _session(model: ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
