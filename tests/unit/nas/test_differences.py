"""What differs between two architectures, as lines for people."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fingerpost.tasks.nas.architecture import Architecture, Block, NetworkStage
from fingerpost.tasks.nas.differences import block_text, differences, stage_text

SMALL = Architecture(
    8, 1, 10, 12, 1, (NetworkStage(12, 1, (Block(), Block())), NetworkStage(20, 2, (Block("fused", 3, 2),)))
)
blocks = st.builds(
    lambda kernel, expansion: Block("ibn", kernel, expansion), st.sampled_from((3, 5)), st.integers(1, 6)
)
stages = st.builds(
    NetworkStage, st.integers(1, 64), st.sampled_from((1, 2)), st.lists(blocks, min_size=1, max_size=3).map(tuple)
)
architectures = st.builds(
    Architecture,
    st.integers(8, 32),
    st.sampled_from((1, 3)),
    st.integers(2, 20),
    st.integers(1, 32),
    st.sampled_from((1, 2)),
    st.lists(stages, min_size=1, max_size=3).map(tuple),
)


def test_channels_blocks_and_counts_are_named_by_their_place() -> None:
    first, second = SMALL.stages
    other = replace(
        SMALL,
        resolution=12,
        stages=(replace(first, channels=16, blocks=(Block("fused", 5, 4),)), second, NetworkStage(32, 2, (Block(),))),
    )
    assert differences(SMALL, other) == [
        "resolution: 8 → 12",
        "stage 1 channels: 12 → 16",
        "stage 1 block 1: ibn 3×3 e4 → fused 5×5 e4",
        "stage 1 blocks: 2 → 1",
        "stages: 2 → 3",
    ]


def test_stages_are_told_in_short() -> None:
    assert stage_text(SMALL.stages[0]) == "12: 2 × ibn 3×3 e4"
    mixed = NetworkStage(32, 2, (Block(), Block("fused", 3, 2), Block("fused", 3, 2), Block("conv", 5, 1)))
    assert stage_text(mixed) == "32/2: ibn 3×3 e4, 2 × fused 3×3 e2, conv 5×5"
    assert block_text(Block("conv", 3, 1)) == "conv 3×3"


@given(architectures, architectures)
def test_architectures_differ_in_words_exactly_where_they_differ(one: Architecture, other: Architecture) -> None:
    assert differences(one, one) == []
    assert bool(differences(one, other)) == (one != other)
    assert len(differences(one, other)) == len(differences(other, one))
