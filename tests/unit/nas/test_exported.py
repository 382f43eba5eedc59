"""ONNX files of networks: what onnxruntime makes of them, their bytes, and what is refused."""

import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from fingerpost.tasks.nas.accuracy import softmax
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.training_params import Examples

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from fingerpost.tasks.nas.exported import OPSET, onnx_bytes  # noqa: E402
from fingerpost.tasks.nas.networks import Network, as_input, network  # noqa: E402
from fingerpost.tasks.nas.runtime import probabilities, session  # noqa: E402
from fingerpost.tasks.nas.training import logits_of  # noqa: E402
from tests.unit.nas.worlds import digits, masked, small  # noqa: E402

CLASSES = tuple("0123456789")


def settled(architecture: Architecture, examples: Examples) -> Network:
    """A network whose batch norms have seen the images."""
    size = examples.images.shape[1]
    net = network(architecture, size=size, seed=1).train()
    with torch.no_grad():
        for _ in range(3):
            net(as_input(examples.images[:200]))
    return net.eval()


@cache
def file_of(kind: str) -> tuple[Network, bytes, Examples]:
    """A network of a task, its file, and images: grey ones with classes, or coloured ones with masks."""
    examples, architecture = digits()[1], small()
    if kind == "masks":
        grey, masks = masked()[1].images, masked()[1].targets
        examples = Examples(np.stack([grey, grey // 2, 255 - grey], axis=3), masks)
        architecture = replace(small("fused", resolution=9, output=6), inputs=3)
    net = settled(architecture, examples)
    return net, onnx_bytes(net, CLASSES[: architecture.classes]), examples


@pytest.mark.parametrize("kind", ["classes", "masks"])
def test_onnxruntime_gives_the_probabilities_of_torch_on_real_images(kind: str) -> None:
    net, model, examples = file_of(kind)
    opened, images = session(model), examples.images
    expected = softmax(logits_of(net, images))
    np.testing.assert_allclose(probabilities(opened, images), expected, atol=1e-4)
    for rows in (slice(0, 1), slice(3, 10)):
        (alone,) = opened.run(None, {"images": images[rows]})
        np.testing.assert_allclose(alone, expected[rows], atol=1e-4)
    assert np.array_equal(probabilities(opened, images[3:10]), probabilities(opened, images)[3:10])
    assert probabilities(opened, images[:0]).shape == (0, *expected.shape[1:])
    with pytest.raises(ValueError, match="images: expected uint8 of shape"):
        probabilities(opened, images.astype(np.float32))


def test_equal_networks_have_files_of_equal_bytes() -> None:
    net, model, examples = file_of("masks")
    assert onnx_bytes(settled(net.architecture, examples), CLASSES[:2]) == model


def test_the_file_says_what_it_is_and_nothing_of_this_machine() -> None:
    net, content, _ = file_of("classes")
    model = onnx.load_from_string(content)
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        "architecture": net.architecture.text,
        "classes": json.dumps(list(CLASSES)),
    }
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert not any(initializer.external_data for initializer in model.graph.initializer)
    assert not any(
        part.metadata_props or part.doc_string for part in (*model.graph.node, *model.graph.value_info, model.graph)
    )
    assert b"site-packages" not in content
    assert b".py" not in content
    kinds = {node.op_type for node in model.graph.node}
    assert "BatchNormalization" not in kinds
    assert [shape(value) for value in (*model.graph.input, *model.graph.output)] == [["n", 8, 8], ["n", 10]]


def shape(value: Any) -> list[Any]:
    return [dimension.dim_param or dimension.dim_value for dimension in value.type.tensor_type.shape.dim]


def test_weights_that_are_not_finite_are_refused() -> None:
    net = network(small())
    with torch.no_grad():
        net.stem.conv.weight[0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="expected finite weights"):
        onnx_bytes(net)
