"""Networks of architectures: the operators that run, folded batch norms, resized images, and what is refused."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.nas.architecture import BLOCK_KINDS, Architecture, Block, NetworkStage
from fingerpost.tasks.nas.operators import Operator, operators_of
from fingerpost.tasks.nas.resizing import resized, resized_masks

torch = pytest.importorskip("torch")

from fingerpost.tasks.nas.networks import as_input, folded, loaded, network, weights_of  # noqa: E402
from tests.unit.nas.worlds import digits, small  # noqa: E402

BLOCKS = st.builds(
    lambda kind, kernel, expansion: Block(kind, kernel, 1 if kind == "conv" else expansion),
    st.sampled_from(BLOCK_KINDS),
    st.sampled_from((1, 3, 5)),
    st.integers(1, 3),
)
STAGES = st.builds(
    NetworkStage, st.integers(1, 5), st.sampled_from((1, 2)), st.lists(BLOCKS, min_size=1, max_size=2).map(tuple)
)


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    """Networks of at most three small stages, for classification or segmentation."""
    output = draw(st.sampled_from((0, 0, 7, 16)))
    return Architecture(
        resolution=draw(st.integers(4, 15)),
        inputs=draw(st.sampled_from((1, 3))),
        classes=draw(st.integers(2, 4)),
        stem=draw(st.integers(1, 5)),
        stem_stride=draw(st.sampled_from((1, 2))),
        stages=draw(st.lists(STAGES, min_size=1, max_size=3).map(tuple)),
        head=draw(st.sampled_from((0, 6))),
        task="segmentation" if output else "classification",
        output=output,
    )


def ran(architecture: Architecture, *, fold: bool) -> list[Operator]:
    """The operators that run in a forward pass, as hooks of torch see them; additions are not seen."""
    seen: list[Operator] = []

    def record(module: Any, inputs: tuple[Any, ...], output: Any) -> None:
        size, channels = (inputs[0].shape[-1], inputs[0].shape[1])
        if isinstance(module, torch.nn.Conv2d):
            depthwise = module.groups > 1 or part_of.get(module, "").endswith("depthwise")
            kind = "depthwise" if depthwise else "conv"
            shape = (module.kernel_size[0], module.stride[0], output.shape[-1])
            seen.append(Operator(kind, size, channels, output.shape[1], *shape))  # type: ignore[arg-type]
        elif isinstance(module, torch.nn.Linear):
            seen.append(Operator("linear", 1, channels, output.shape[1]))
        elif isinstance(module, torch.nn.AdaptiveAvgPool2d):
            seen.append(Operator("pool", size, channels, channels))
        elif isinstance(module, torch.nn.Upsample):
            seen.append(Operator("resize", size, channels, channels, output_size=output.shape[-1]))

    net = network(architecture).eval()
    net = folded(net) if fold else net
    part_of = {part.conv: name for name, part in net.convolutions()}
    for module in net.modules():
        module.register_forward_hook(record)
    with torch.no_grad():
        net(torch.zeros(2, architecture.inputs, architecture.resolution, architecture.resolution))
    assert sum(weight.numel() for weight in net.parameters()) == sum(
        operator.parameters for operator in operators_of(architecture)
    ) + (0 if fold else sum(part.conv.out_channels for _, part in net.convolutions()))
    return seen


@settings(max_examples=15)
@given(architectures(), st.booleans())
def test_the_operators_that_run_are_those_of_the_architecture(architecture: Architecture, fold: bool) -> None:
    told = [
        Operator(o.kind, o.size, o.inputs, o.outputs, o.kernel, o.stride, o.output_size)
        for o in operators_of(architecture)
    ]
    seen = ran(architecture, fold=fold)
    assert seen == told
    assert [operator.macs for operator in seen] == [operator.macs for operator in operators_of(architecture)]


@pytest.mark.parametrize("kind", BLOCK_KINDS)
def test_what_is_added_and_cut_off_at_zero_is_what_the_operators_say(kind: str) -> None:
    architecture = small(kind)
    net = network(architecture).eval()
    parts = [part for _, part in net.convolutions()]
    told = [o for o in operators_of(architecture) if o.kind in ("conv", "depthwise")]
    assert [isinstance(part.relu, torch.nn.ReLU) for part in parts] == [o.relu for o in told]
    last = [list(block.parts.values())[-1] for block in net.blocks]
    added = [part for part, block in zip(last, net.blocks, strict=True) if block.added]
    assert [part in added for part in parts] == [o.added for o in told]
    block, rows = net.blocks[2], torch.rand(2, 16, 4, 4)
    with torch.no_grad():
        before = block(rows)
        for part in block.parts.values():
            part.conv.weight.zero_()
        assert not torch.equal(before, block(rows))
        assert torch.allclose(block(rows), rows)


@pytest.mark.parametrize("output", [0, 12])
def test_folded_networks_say_the_same(output: int) -> None:
    net = network(small(output=output, resolution=12), size=8, seed=1)
    pictures = as_input(digits()[0].images[:64])
    net.train()
    net(pictures)
    net.eval()
    with torch.no_grad():
        assert torch.allclose(net(pictures), folded(net)(pictures), atol=1e-5)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded(net).modules())


def test_initial_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(5)
    first = weights_of(network(small(), seed=3))
    torch.manual_seed(6)
    again, other = weights_of(network(small(), seed=3)), weights_of(network(small(), seed=4))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["stem.conv.weight"], other["stem.conv.weight"])


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(ValueError, match=r"weights: expected those of architecture .*, got others"):
        loaded(network(small()), weights_of(network(small("conv"))))


@given(st.integers(1, 30), st.integers(1, 30))
def test_resized_images_are_those_of_torch(size: int, resolution: int) -> None:
    images = np.random.default_rng(size).integers(0, 256, (3, size, size, 2)).astype(np.uint8)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2),
        (resolution, resolution),
        mode="bilinear",
        antialias=True,
    )
    ours = resized(images, resolution)
    assert np.allclose(ours, theirs.permute(0, 2, 3, 1).numpy(), atol=1e-3)
    assert np.allclose(resized(images[..., 0], resolution), ours[..., 0], atol=1e-3)


@given(st.integers(1, 20), st.integers(1, 20))
def test_resized_masks_have_the_class_of_the_nearest_pixel(size: int, resolution: int) -> None:
    masks = np.random.default_rng(size).integers(0, 5, (2, size, size)).astype(np.uint8)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(masks[:, None]), (resolution, resolution), mode="nearest-exact"
    )
    assert np.array_equal(resized_masks(masks, resolution), theirs[:, 0].numpy())


def test_the_network_resizes_as_numpy_does() -> None:
    architecture, images = small(resolution=5), digits()[0].images[:8]
    net = network(architecture, size=8).eval()
    inner = loaded(network(architecture), weights_of(net))
    with torch.no_grad():
        assert torch.allclose(net(as_input(images)), inner(as_input(resized(images, 5))), atol=1e-5)
