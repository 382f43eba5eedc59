"""What differs between two architectures, as lines for people."""

from collections.abc import Iterator

from fingerpost.tasks.nas.architecture import Architecture, Block, NetworkStage

_PROPERTIES = ("task", "resolution", "inputs", "stem", "stem_stride", "head", "classes", "output")


def differences(before: Architecture, after: Architecture) -> list[str]:
    """The differences from the first architecture to the second; stages and blocks are counted from 1.

    Stages are compared by their position, and so are the blocks of a stage.
    """
    found = list(_changed("", before, after, _PROPERTIES))
    for number, (old, new) in enumerate(zip(before.stages, after.stages, strict=False), start=1):
        found += _of_stage(f"stage {number}", old, new)
    return found + _count("stages", len(before.stages), len(after.stages))


def _of_stage(name: str, before: NetworkStage, after: NetworkStage) -> list[str]:
    found = list(_changed(f"{name} ", before, after, ("channels", "stride")))
    for number, (old, new) in enumerate(zip(before.blocks, after.blocks, strict=False), start=1):
        if old != new:
            found.append(f"{name} block {number}: {block_text(old)} → {block_text(new)}")
    return found + _count(f"{name} blocks", len(before.blocks), len(after.blocks))


def block_text(block: Block) -> str:
    """A block in short: ``fused 3×3 e4`` expands its input four times."""
    expanded = f" e{block.expansion}" if block.kind != "conv" else ""
    return f"{block.kind} {block.kernel}×{block.kernel}{expanded}"


def stage_text(stage: NetworkStage) -> str:
    """A stage in short: ``32/2: ibn 3×3 e4, 2 × fused 3×3 e2`` has 32 channels and a stride of 2."""
    runs: list[tuple[str, int]] = []
    for text in map(block_text, stage.blocks):
        same = bool(runs) and runs[-1][0] == text
        runs = [*runs[:-1], (text, runs[-1][1] + 1)] if same else [*runs, (text, 1)]
    stride = f"/{stage.stride}" if stage.stride > 1 else ""
    return f"{stage.channels}{stride}: {', '.join(f'{count} × {text}' if count > 1 else text for text, count in runs)}"


def _changed(prefix: str, before: object, after: object, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield f"{prefix}{name}: {old} → {new}"


def _count(name: str, before: int, after: int) -> list[str]:
    return [] if before == after else [f"{name}: {before} → {after}"]
