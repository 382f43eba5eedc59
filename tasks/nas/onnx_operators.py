"""Operators and networks as ONNX models with random weights, to be timed; needs onnx and onnxruntime."""

from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.costs import placed_operators
from fingerpost.tasks.nas.operators import Operator

#: That of the exported networks.
OPSET = 18


#: Tensors are laid out in blocks of channels only where their number is a multiple of this.
_BLOCKED = 4


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

    def conv(self, source: str, channels: tuple[int, int], kernel: int, *, stride: int, groups: int) -> str:
        """The name of the output of a convolution of some input and output channels."""
        inputs, outputs = channels
        return self.node(
            "Conv",
            source,
            self.weight(outputs, inputs // groups, kernel, kernel),
            self.weight(outputs),
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[kernel // 2] * 4,
            group=groups,
        )

    def converted(self, source: str, channels: int) -> str:
        """The name of an input in the layout that convolutions leave it in."""
        if channels % _BLOCKED:
            return source
        return self.conv(source, (channels, channels), 1, stride=1, groups=channels)

    def pixel(self, source: str, channels: int, size: int) -> str:
        """The name of one pixel of a tensor of ``size`` pixels on a side, or of the tensor where it is in no blocks."""
        if channels % _BLOCKED:
            return source
        return self.conv(source, (channels, channels), 1, stride=size, groups=channels)

    def operator(self, one: Operator, source: str, addend: str) -> str:
        """The name of an operator's output, with its addition and ReLU; addend: what it adds, "" for nothing."""
        if one.kind in ("conv", "depthwise"):
            groups = one.outputs if one.kind == "depthwise" else 1
            out = self.conv(source, (one.inputs, one.outputs), one.kernel, stride=one.stride, groups=groups)
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
    """A function that runs an operator once on random values, between others as in a network.

    onnxruntime lays tensors out in blocks of channels where it can, and converts them at both ends of a model. So the
    operator comes after one that has converted its input, and before one that takes a single pixel of its output;
    ``context_run`` is the same without it.
    """
    model = _Model(random)
    source, addend = model.converted("x", one.inputs), ""
    if _adds(one):
        addend = model.converted("y", one.outputs)
    found = model.operator(one, source, addend)
    ends = [found] if one.kind == "linear" else [model.pixel(found, one.outputs, one.output_size)]
    if addend not in ("", "y"):
        ends.append(model.pixel(addend, one.outputs, one.output_size))
    return _run(model, ends, _shapes(one), random)


def context_of(one: Operator) -> Hashable:
    """What operators with the same ``context_run`` have in common."""
    return one.kind == "linear", tuple(_shapes(one).items())


def context_run(one: Operator, random: np.random.Generator) -> Callable[[], object]:
    """A function that runs what is around an operator, without it."""
    model = _Model(random)
    source = model.converted("x", one.inputs)
    ends = [source] if one.kind == "linear" else [model.pixel(source, one.inputs, one.size)]
    if _adds(one):
        ends.append(model.pixel(model.converted("y", one.outputs), one.outputs, one.output_size))
    # Without blocks there is nothing around the operator but the call.
    computed = [end for end in ends if end not in ("x", "y")]
    if not computed:
        return _run(model, [model.node("Identity", "x")], {"x": (1, 1)}, random)
    return _run(model, computed, _shapes(one), random)


def _adds(one: Operator) -> bool:
    return one.added or one.kind == "add"


def _shapes(one: Operator) -> dict[str, tuple[int, ...]]:
    """The shapes of an operator's inputs."""
    found: dict[str, tuple[int, ...]] = {"x": (1, one.inputs, one.size, one.size)}
    if _adds(one):
        found["y"] = (1, one.outputs, one.output_size, one.output_size)
    return found


def network_run(architecture: Architecture, random: np.random.Generator) -> Callable[[], object]:
    """A function that runs a network once on a random image."""
    model, outputs = _Model(random), list[str]()
    for placed in placed_operators(architecture):
        addend = outputs[placed.added_from] if placed.added_from >= 0 else ""
        outputs.append(model.operator(placed.operator, outputs[-1] if outputs else "x", addend))
    shape = (1, architecture.inputs, architecture.resolution, architecture.resolution)
    return _run(model, outputs[-1:], {"x": shape}, random)


def _run(
    model: _Model, ends: Sequence[str], shapes: Mapping[str, tuple[int, ...]], random: np.random.Generator
) -> Callable[[], object]:
    """A function that runs a model on one thread on random inputs."""
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    outputs = [helper.make_tensor_value_info(end, TensorProto.FLOAT, None) for end in ends]
    graph = helper.make_graph(model.nodes, "timed", inputs, outputs, model.weights)
    session = _session(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10))
    values = {name: random.random(shape, dtype=np.float32) for name, shape in shapes.items()}
    return lambda: session.run(None, values)


def _session(model: ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
