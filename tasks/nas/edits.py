"""Edits of an architecture that an expert may make, each one a pure function.

Those of "Optimizing neural networks for special-purpose hardware" (Amazon Science, 2023): inverted bottlenecks are fused,
depthwise convolutions replaced by standard ones, channels reduced, made even, and aligned with the parallelism factor;
besides smaller expansions, kernels, depths, inputs and outputs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

from fingerpost.tasks.nas.architecture import Architecture, Block, NetworkStage

EditKind = Literal[
    "fuse",
    "replace_depthwise",
    "replace_fused",
    "round",
    "narrow",
    "even",
    "shrink_expansion",
    "shrink_kernel",
    "shrink_depth",
    "shrink_input",
    "shrink_output",
]
EDIT_KINDS: tuple[EditKind, ...] = get_args(EditKind)
#: What a resolution or output is multiplied with, and the fewest pixels of either.
_SMALLER, _FEWEST = (5 / 6, 2 / 3), 8


@dataclass(frozen=True)
class Edit:
    """An edit and its place.

    stage: from 1; 0 for the stem, or for an edit of the whole network; one more than the stages for the head. block: from 0,
    -1 for an edit that is not of one block, or of all blocks of the stage, or network, that it can change. value: the new channels, expansion, kernel, blocks or pixels; 0 where the kind
    says all.
    """

    kind: EditKind
    stage: int = 0
    block: int = -1
    value: int = 0


def edited(architecture: Architecture, edit: Edit) -> Architecture:
    """The architecture after an edit; ValueError for a place that it does not have."""
    if edit.stage > len(architecture.stages) + 1 or edit.stage < 0:
        raise ValueError(f"edit: expected a stage of at most {len(architecture.stages)}, got {edit}; correct it")
    return _EDITS[edit.kind](architecture, edit)


def possible_edits(architecture: Architecture, *, parallelism: int) -> tuple[Edit, ...]:
    """The edits that change an architecture, each once, in a fixed order.

    parallelism: the factor that numbers of channels are aligned with; 1 where a device has none, then channels are reduced by
    a quarter at a time.
    """
    found = [*_of_blocks(architecture), *_of_channels(architecture, parallelism), *_of_sizes(architecture)]
    return tuple(edit for edit in dict.fromkeys(found) if edited(architecture, edit) != architecture)


def edit_text(edit: Edit, architecture: Architecture) -> str:
    """What an edit does to an architecture, for people."""
    before, place = _before(edit, architecture), _place_text(edit, architecture)
    if edit.kind in ("fuse", "replace_depthwise", "replace_fused"):
        new = "fused inverted bottleneck" if edit.kind == "fuse" else "standard convolution"
        return f"{place}: {before} to {new}{'' if edit.block >= 0 else 's'}"
    names = {
        "round": "channels",
        "narrow": "channels",
        "even": "channels of all stages",
        "shrink_expansion": "expansion",
        "shrink_kernel": "kernel",
        "shrink_depth": "blocks",
        "shrink_input": "input pixels on a side",
        "shrink_output": "output pixels on a side",
    }
    return f"{place}: {names[edit.kind]} {before} to {edit.value}"


def _of_blocks(architecture: Architecture) -> Iterator[Edit]:
    for kind in ("fuse", "replace_depthwise"):
        bottlenecks = [
            number
            for number, stage in enumerate(architecture.stages, start=1)
            for block in stage.blocks
            if block.kind == "ibn"
        ]
        if len(set(bottlenecks)) > 1:
            yield Edit(kind)
        yield from (Edit(kind, number) for number in dict.fromkeys(bottlenecks) if bottlenecks.count(number) > 1)
    for number, stage in enumerate(architecture.stages, start=1):
        for place, block in enumerate(stage.blocks):
            if block.kind == "ibn":
                yield Edit("fuse", number, place)
                yield Edit("replace_depthwise", number, place)
            if block.kind == "fused":
                yield Edit("replace_fused", number, place)
            # With an expansion of 1 it would be another kind of block, of which other things are known.
            if block.kind != "conv" and block.expansion > 2:
                yield Edit("shrink_expansion", number, place, max(2, block.expansion - 2))
            if block.kernel > 3:
                yield Edit("shrink_kernel", number, place, block.kernel - 2)
        if len(stage.blocks) > 1:
            yield Edit("shrink_depth", number, value=len(stage.blocks) - 1)


def _of_channels(architecture: Architecture, parallelism: int) -> Iterator[Edit]:
    for number, channels in enumerate(channels_of(architecture)):
        if not channels:
            continue
        below = channels // parallelism * parallelism
        if channels % parallelism:
            yield from (Edit("round", number, value=value) for value in (below, below + parallelism) if value)
        elif parallelism > 1 and channels > parallelism:
            yield Edit("narrow", number, value=channels - parallelism)
        elif parallelism == 1 and channels > 1:
            yield Edit("narrow", number, value=channels - max(1, round(channels / 4)))
    step = parallelism if parallelism > 1 else 8
    stages = [stage.channels for stage in architecture.stages]
    if len(set(stages)) > 1:
        yield from (Edit("even", value=value) for value in range(step, max(stages) + step, step))


def _of_sizes(architecture: Architecture) -> Iterator[Edit]:
    for kind, size in (("shrink_input", architecture.resolution), ("shrink_output", architecture.output)):
        factors = _SMALLER if kind == "shrink_input" else (1 / 2,)
        for value in (2 * round(size * factor / 2) for factor in factors):
            if _FEWEST <= value < size:
                yield Edit(kind, value=value)  # type: ignore[arg-type]


def channels_of(architecture: Architecture) -> tuple[int, ...]:
    """The channels of the stem, of each stage and of the head (0 for none)."""
    return (architecture.stem, *(stage.channels for stage in architecture.stages), architecture.head)


def _with_block(change: Callable[[Block, Edit], Block]) -> Callable[[Architecture, Edit], Architecture]:
    def apply(architecture: Architecture, edit: Edit) -> Architecture:
        if edit.stage == 0:
            for number in range(1, len(architecture.stages) + 1):
                architecture = apply(architecture, replace(edit, stage=number))
            return architecture
        stage = _stage(architecture, edit)
        if edit.block < 0:
            wide = tuple(change(block, edit) if block.kind == "ibn" else block for block in stage.blocks)
            return _with_stage(architecture, edit.stage, replace(stage, blocks=wide))
        if edit.block >= len(stage.blocks):
            raise ValueError(
                f"edit: expected one of {len(stage.blocks)} blocks in stage {edit.stage}, got {edit}; correct it"
            )
        blocks = list(stage.blocks)
        blocks[edit.block] = change(blocks[edit.block], edit)
        return _with_stage(architecture, edit.stage, replace(stage, blocks=tuple(blocks)))

    return apply


def _with_channels(architecture: Architecture, edit: Edit) -> Architecture:
    if edit.stage == 0:
        return replace(architecture, stem=edit.value)
    if edit.stage == len(architecture.stages) + 1:
        return replace(architecture, head=edit.value)
    return _with_stage(architecture, edit.stage, replace(_stage(architecture, edit), channels=edit.value))


def _even(architecture: Architecture, edit: Edit) -> Architecture:
    stages = tuple(replace(stage, channels=edit.value) for stage in architecture.stages)
    return replace(architecture, stages=stages, stem=min(architecture.stem, edit.value))


def _with_depth(architecture: Architecture, edit: Edit) -> Architecture:
    stage = _stage(architecture, edit)
    if not 1 <= edit.value < len(stage.blocks):
        raise ValueError(f"edit: expected fewer than {len(stage.blocks)} blocks for stage {edit.stage}, got {edit}")
    return _with_stage(architecture, edit.stage, replace(stage, blocks=stage.blocks[: edit.value]))


def _stage(architecture: Architecture, edit: Edit) -> NetworkStage:
    if not 1 <= edit.stage <= len(architecture.stages):
        raise ValueError(f"edit: expected a stage from 1 to {len(architecture.stages)}, got {edit}; correct it")
    return architecture.stages[edit.stage - 1]


def _with_stage(architecture: Architecture, number: int, stage: NetworkStage) -> Architecture:
    stages = list(architecture.stages)
    stages[number - 1] = stage
    return replace(architecture, stages=tuple(stages))


_EDITS: dict[EditKind, Callable[[Architecture, Edit], Architecture]] = {
    "fuse": _with_block(lambda block, _: replace(block, kind="fused")),
    "replace_depthwise": _with_block(lambda block, _: Block("conv", block.kernel, 1)),
    "replace_fused": _with_block(lambda block, _: Block("conv", block.kernel, 1)),
    "round": _with_channels,
    "narrow": _with_channels,
    "even": _even,
    "shrink_expansion": _with_block(lambda block, edit: replace(block, expansion=edit.value)),
    "shrink_kernel": _with_block(lambda block, edit: replace(block, kernel=edit.value)),
    "shrink_depth": _with_depth,
    "shrink_input": lambda architecture, edit: replace(architecture, resolution=edit.value),
    "shrink_output": lambda architecture, edit: replace(architecture, output=edit.value),
}


def _place_text(edit: Edit, architecture: Architecture) -> str:
    if edit.kind in ("even", "shrink_input", "shrink_output"):
        return "network"
    if edit.kind in ("fuse", "replace_depthwise") and edit.block < 0:
        return f"stage {edit.stage}, all blocks" if edit.stage else "all stages"
    if edit.stage == 0:
        return "stem"
    if edit.stage == len(architecture.stages) + 1:
        return "head"
    return f"stage {edit.stage}" if edit.block < 0 else f"stage {edit.stage}, block {edit.block + 1}"


def _before(edit: Edit, architecture: Architecture) -> str:
    """What is there before an edit."""
    if edit.kind in ("shrink_input", "shrink_output"):
        return str(architecture.resolution if edit.kind == "shrink_input" else architecture.output)
    if edit.kind == "even":
        return ", ".join(str(stage.channels) for stage in architecture.stages)
    if edit.kind in ("round", "narrow"):
        return str(channels_of(architecture)[edit.stage])
    if edit.kind in ("fuse", "replace_depthwise") and edit.block < 0:
        return "inverted bottlenecks"
    stage = _stage(architecture, edit)
    if edit.kind == "shrink_depth":
        return str(len(stage.blocks))
    block = stage.blocks[edit.block]
    if edit.kind in ("shrink_expansion", "shrink_kernel"):
        return str(block.expansion if edit.kind == "shrink_expansion" else block.kernel)
    return "fused inverted bottleneck" if block.kind == "fused" else "inverted bottleneck"
