"""ONNX files of networks, by torch's exporter; needs torch, onnx and onnxscript.

The file takes images as they are and returns probabilities: scaling from 0..255 to 0..1, resizing and softmax are part of
the graph, batch norm is folded into the convolutions.
"""

import json
import warnings
from collections.abc import Sequence

import onnx
import torch

from fingerpost.tasks.determinism import one_thread
from fingerpost.tasks.nas.networks import Network, folded

#: The version of the operators of ONNX; below it the exporter writes files that some runtimes refuse.
OPSET = 18
#: The version of the file's format: the one of that opset, whatever the installed library's newest.
IR_VERSION = 10
#: Names of the input and the output.
INPUT, OUTPUT = "images", "probabilities"


class _FromPixels(torch.nn.Module):
    """Images uint8 (b, size, size) or (b, size, size, channels) to probabilities by class."""

    def __init__(self, net: Network) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pictures = images.to(torch.float32) / 255
        pictures = pictures.unsqueeze(1) if pictures.ndim == 3 else pictures.permute(0, 3, 1, 2)
        return torch.softmax(self.net(pictures), dim=1)


def onnx_bytes(net: Network, classes: Sequence[str] = ()) -> bytes:
    """The bytes of a network's ONNX file, checked; equal for equal networks and classes.

    Input ``images``: uint8 (n, size, size), or (n, size, size, channels) where there are several channels; n is free.
    Output ``probabilities``: float32 (n, classes), or (n, classes, output, output) for segmentation. The file's metadata
    hold the architecture's canonical text and the names of the classes. ValueError if a weight is not finite.
    """
    if any(not bool(torch.isfinite(weight).all()) for weight in net.state_dict().values()):
        raise ValueError(f"network {net.architecture.id}: expected finite weights, got others; train it again")
    # Contiguous weights: those of another memory format would be transposed in the graph.
    inner = folded(net).to(memory_format=torch.contiguous_format)
    shape = (2, net.size, net.size) + ((net.architecture.inputs,) if net.architecture.inputs > 1 else ())
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _FromPixels(inner).eval(),
            (torch.zeros(shape, dtype=torch.uint8),),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            external_data=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("n")},),
        )
    return _cleaned(program.model_proto, net, classes)


def _cleaned(model: onnx.ModelProto, net: Network, classes: Sequence[str]) -> bytes:
    """The bytes without source lines, folders and versions, which the exporter writes into the file."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    del model.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string = "fingerpost", "", ""
    model.ir_version = min(model.ir_version, IR_VERSION)
    graph.name = "network"
    for key, value in (("architecture", net.architecture.text), ("classes", json.dumps(list(classes)))):
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)
