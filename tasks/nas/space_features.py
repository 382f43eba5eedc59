"""Features of architectures for surrogates of their accuracy: what is chosen, on scales where differences matter."""

import math

from fingerpost.tasks.nas.architecture import BLOCK_KINDS, Architecture, Block

#: Features of a block: one for each kind, its kernel and its expansion.
BLOCK_FEATURES = len(BLOCK_KINDS) + 2


def features_of(architecture: Architecture, depths: tuple[int, ...]) -> list[float]:
    """Resolution, output, stem, stem stride and head; for each stage channels, stride, number of blocks, and for each of
    its ``depths`` possible blocks the kind as 0 and 1, kernel and expansion (all 0 for an absent block). Channels are
    logarithms to base 2 of one more."""
    found = [float(architecture.resolution), float(architecture.output), math.log2(1 + architecture.stem)]
    found += [float(architecture.stem_stride), math.log2(1 + architecture.head)]
    for stage, depth in zip(architecture.stages, depths, strict=True):
        found += [math.log2(1 + stage.channels), float(stage.stride), float(len(stage.blocks))]
        for block in stage.blocks:
            found += _block_features(block)
        found += [0.0] * (BLOCK_FEATURES * (depth - len(stage.blocks)))
    return found


def _block_features(block: Block) -> list[float]:
    kinds = [float(block.kind == kind) for kind in BLOCK_KINDS]
    # Kernels are 1 to 7, expansions 1 to 8: about 0 to 1.
    return [*kinds, block.kernel / 7, block.expansion / 8]
