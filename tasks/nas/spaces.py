"""Search spaces: for images of a size, around a given network, and the same space curated or not."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar, cast

import numpy as np

from fingerpost.tasks.nas.architecture import BLOCK_KINDS, Architecture, Block, BlockKind, NetworkStage, Task
from fingerpost.tasks.nas.space import SearchSpace
from fingerpost.tasks.nas.space_choices import BlockChoices, StageChoices, rounded_channels
from fingerpost.tasks.nas.space_params import VARIED, SpaceParams

#: Width multipliers of a default space.
WIDTHS = (0.5, 0.75, 1.0, 1.25)
#: Channels of the stages of a reference network as multiples of the parallelism factor, as uneven as the 24, 40, 72
#: and 120 of published mobile networks are for 32.
_REFERENCE = (0.75, 1.25, 2.25, 3.75)
#: The last stage has at most this many pixels on a side.
_LAST = 4
#: Images of more pixels on a side than this begin with a stride in the first stage, and may be shrunk.
_LARGE = 64


def reference_for_images(
    size: int,
    inputs: int,
    classes: int,
    parallelism: int = 16,
    *,
    task: Task = "classification",
    output: int | None = None,
) -> Architecture:
    """A network of inverted bottlenecks in the manner of MobileNetV2, made without a thought for the device.

    size: pixels of the images on a side; output: of the masks, as many if None. Two blocks a stage with an expansion of 4; the stages halve the image until 4
    pixels on a side are left (at most four stages); channels grow by stages and are no multiples of the parallelism.
    """
    stem_stride = 1 if size < 16 else 2
    strides = _strides(size, stem_stride)
    channels = [max(1, round(parallelism * share)) for share in _REFERENCE]
    stages = tuple(
        NetworkStage(count, stride, (Block(), Block())) for count, stride in zip(channels, strides, strict=False)
    )
    masks = 0 if task == "classification" else output or size
    return Architecture(size, inputs, classes, channels[0], stem_stride, stages, 0, task, masks)


def _strides(size: int, stem_stride: int) -> list[int]:
    extent = -(-size // stem_stride)
    strides = [2 if size > _LARGE else 1]
    extent = -(-extent // strides[0])
    while extent > _LAST and len(strides) < len(_REFERENCE):
        strides.append(2)
        extent = -(-extent // 2)
    return strides


def space_for_images(
    size: int,
    inputs: int,
    classes: int,
    parallelism: int = 16,
    *,
    task: Task = "classification",
    params: SpaceParams = SpaceParams(),
) -> SearchSpace:
    """A space for images of ``size`` pixels on a side, with the shape of ``reference_for_images``.

    Where ``params`` leaves it to the images: three kinds of blocks, kernels 3 and 5, expansions 2, 4 and 6, one to three
    blocks a stage, widths 0.5 to 1.25; resolutions down to two thirds for images of 24 pixels and more, and for
    segmentation outputs of half the pixels too. ``params.vary`` makes it ``space_around`` the reference.
    """
    reference = reference_for_images(size, inputs, classes, parallelism, task=task)
    if params.vary:
        return space_around(reference, parallelism, vary=params.vary, aligned=params.curated)
    kinds = cast(tuple[BlockKind, ...], params.kinds or BLOCK_KINDS)
    choices = BlockChoices(kinds, _sorted(params.kernels, (3, 5)), _sorted(params.expansions, (2, 4, 6)))
    depths = _sorted(params.depths, (1, 2, 3))
    stages = tuple(
        StageChoices(_range(stage.channels, parallelism), (stage.stride,), depths, (choices,) * depths[-1])
        for stage in reference.stages
    )
    smaller = () if size < 24 else (_even(size * 2 / 3), _even(size * 5 / 6))
    outputs = (0,) if task == "classification" else _sorted(params.outputs, (_even(size / 2), size))
    space = SearchSpace(
        inputs,
        classes,
        _sorted(params.resolutions, (*smaller, size)),
        _range(reference.stem, parallelism),
        (reference.stem_stride,),
        stages,
        widths=_sorted(params.widths, WIDTHS),
        parallelism=parallelism,
        task=task,
        outputs=outputs,
    )
    found = curated(space, params.values)
    return found if params.curated else uncurated(found)


def reference_of(space: SearchSpace) -> Architecture:
    """``reference_for_images`` of a space's largest images."""
    return reference_for_images(
        space.resolutions[-1],
        space.inputs,
        space.classes,
        space.parallelism,
        task=space.task,
        output=space.outputs[-1],
    )


Number = TypeVar("Number", int, float)


def _sorted(values: tuple[Number, ...], default: tuple[Number, ...]) -> tuple[Number, ...]:
    return tuple(sorted(set(values or default)))


def _range(channels: int, parallelism: int) -> tuple[int, ...]:
    """From the parallelism factor, or half the channels, to one and a half of the channels and above."""
    low = max(1, math.floor(channels / 2 / parallelism))
    return tuple(sorted({low * parallelism, math.ceil(1.5 * channels / parallelism) * parallelism}))


def _even(value: float) -> int:
    return max(2, 2 * round(value / 2))


def space_around(
    architecture: Architecture,
    parallelism: int = 16,
    *,
    vary: tuple[str, ...] = ("width", "fusion"),
    aligned: bool = True,
) -> SearchSpace:
    """The networks around a given one that differ in nothing but what ``vary`` names.

    width: channels of stem, head and stages from half to five quarters of the network's (the multiples of the
    parallelism factor among them) and widths. fusion: each block an inverted bottleneck as it is, or fused, with its
    expansion or two thirds of it (as 4 for 6 in EfficientNetV2, Tan and Le, ICML 2021). plain: each block also a plain convolution. kernel: 3 or 5. expansion: 2, 4, 6.
    depth: one block to one more than now. resolution: two thirds and five sixths too; outputs of half the pixels for
    segmentation. Without width, channels stay as they are, aligned or not; with it, ``aligned`` tells whether they are
    multiples of the parallelism factor alone.
    """
    if unknown := [name for name in vary if name not in VARIED]:
        raise ValueError(f"vary: expected some of {', '.join(VARIED)}, got {', '.join(unknown)}; correct it")
    stages = tuple(
        StageChoices(
            (stage.channels,),
            (stage.stride,),
            tuple(range(1, len(stage.blocks) + 2)) if "depth" in vary else (len(stage.blocks),),
            _block_choices(stage.blocks, vary),
        )
        for stage in architecture.stages
    )
    size = architecture.resolution
    shrunk = {_even(size * 2 / 3), _even(size * 5 / 6)} if "resolution" in vary else set()
    outputs = {architecture.output, architecture.output // 2} if "resolution" in vary else {architecture.output}
    space = SearchSpace(
        architecture.inputs,
        architecture.classes,
        tuple(sorted({*shrunk, size})),
        (architecture.stem,),
        (architecture.stem_stride,),
        stages,
        (architecture.head,),
        parallelism=parallelism,
        task=architecture.task,
        outputs=tuple(sorted(outputs)),
    )
    if "width" not in vary:
        return space
    return _widened(space) if aligned else uncurated(_widened(space))


def _block_choices(blocks: tuple[Block, ...], vary: tuple[str, ...]) -> tuple[BlockChoices, ...]:
    found = []
    for block in (*blocks, blocks[-1]) if "depth" in vary else blocks:
        kinds = {block.kind: None}
        if "fusion" in vary:
            kinds |= {"ibn": None, "fused": None}
        if "plain" in vary:
            kinds |= {"conv": None}
        kernels = {3, 5, block.kernel} if "kernel" in vary else {block.kernel}
        # A plain convolution has no expansion of its own that another kind could keep.
        expansion = 4 if block.kind == "conv" else block.expansion
        expansions = {2, 4, 6, expansion} if "expansion" in vary else {expansion}
        fused = {2, 4, 6, expansion} if "expansion" in vary else {-(-2 * expansion // 3), expansion}
        found.append(BlockChoices(tuple(kinds), *(tuple(sorted(values)) for values in (kernels, expansions, fused))))
    return tuple(found)


def _widened(space: SearchSpace) -> SearchSpace:
    factor = space.parallelism
    ends = _with_channels(
        space, lambda choices: tuple(sorted({rounded_channels(choices[-1], width, factor) for width in (0.5, 1.25)}))
    )
    return curated(replace(ends, widths=WIDTHS))


def curated(space: SearchSpace, values: int = 5) -> SearchSpace:
    """The same space with at most ``values`` channel choices a stage: multiples of the parallelism factor in its range."""
    factor = space.parallelism

    def multiples(choices: tuple[int, ...]) -> tuple[int, ...]:
        low, high = -(-choices[0] // factor), choices[-1] // factor
        if low > high:
            return (rounded_channels(choices[-1], 1.0, factor),)
        return tuple(sorted({factor * round(value) for value in np.linspace(low, high, values).tolist()}))

    return replace(_with_channels(space, multiples), multiple=factor)


def uncurated(space: SearchSpace) -> SearchSpace:
    """The same space with each number of channels between the fewest and the most that a width gives, and so one width.

    It holds all networks of the curated space.
    """

    def steps(choices: tuple[int, ...]) -> tuple[int, ...]:
        ends = ((choices[0], space.widths[0]), (choices[-1], space.widths[-1]))
        low, high = (rounded_channels(value, width, space.multiple) for value, width in ends)
        return tuple(range(low, high + 1))

    return replace(_with_channels(space, steps), widths=(1.0,), multiple=1)


def _with_channels(space: SearchSpace, change: Callable[[tuple[int, ...]], tuple[int, ...]]) -> SearchSpace:
    def changed(choices: tuple[int, ...]) -> tuple[int, ...]:
        # 0 is the absence of a head, not a number of channels.
        numbers = tuple(value for value in choices if value > 0)
        return (*choices[: len(choices) - len(numbers)], *(change(numbers) if numbers else ()))

    stages = tuple(replace(stage, channels=changed(stage.channels)) for stage in space.stages)
    return replace(space, stem=changed(space.stem), head=changed(space.head), stages=stages)
