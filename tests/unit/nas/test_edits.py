"""Edits of architectures: each changes what it says and nothing else, and gives an architecture that can be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.nas.architecture import Architecture, Block, NetworkStage
from fingerpost.tasks.nas.edits import EDIT_KINDS, Edit, channels_of, edit_text, edited, possible_edits
from fingerpost.tasks.nas.operators import operators_of
from fingerpost.tasks.nas.space import SearchSpace
from fingerpost.tasks.nas.spaces import reference_for_images
from tests.unit.nas.small_spaces import spaces

MASKS = reference_for_images(56, 1, 2, task="segmentation")
NETWORK = Architecture(
    28,
    1,
    10,
    12,
    2,
    (
        NetworkStage(12, 1, (Block("ibn", 5, 4), Block("fused", 3, 2))),
        NetworkStage(32, 2, (Block("ibn", 3, 1), Block("conv", 3, 1), Block("ibn", 3, 6))),
    ),
    head=48,
)


@settings(max_examples=20)
@given(spaces(), st.integers(0, 2**31), st.sampled_from((1, 4, 16)))
def test_every_possible_edit_gives_another_architecture(space: SearchSpace, seed: int, parallelism: int) -> None:
    architecture = space.candidate(space.sample(np.random.default_rng(seed)))
    edits = possible_edits(architecture, parallelism=parallelism)
    assert len(set(edits)) == len(edits)
    for edit in edits:
        changed = edited(architecture, edit)
        assert changed.id != architecture.id
        assert (changed.inputs, changed.classes, changed.task) == (
            architecture.inputs,
            architecture.classes,
            architecture.task,
        )
        assert operators_of(changed)
        if edit.kind in ("round", "even"):
            assert edit.value % parallelism == 0
        assert str(edit.value or "") in edit_text(edit, architecture)


def test_edits_change_what_they_say() -> None:
    fused = edited(NETWORK, Edit("fuse", 1, 0))
    assert fused.stages[0].blocks == (Block("fused", 5, 4), Block("fused", 3, 2))
    assert fused.stages[1] == NETWORK.stages[1]
    plain = edited(NETWORK, Edit("replace_depthwise", 2, 2))
    assert plain.stages[1].blocks == (Block("ibn", 3, 1), Block("conv", 3, 1), Block("conv", 3, 1))
    assert edited(NETWORK, Edit("replace_fused", 1, 1)).stages[0].blocks[1] == Block("conv", 3, 1)
    every = edited(NETWORK, Edit("replace_depthwise"))
    assert [block.kind for stage in every.stages for block in stage.blocks] == ["conv", "fused", "conv", "conv", "conv"]
    assert [b.kind for b in edited(NETWORK, Edit("fuse", 2)).stages[1].blocks] == ["fused", "conv", "fused"]
    assert channels_of(edited(NETWORK, Edit("even", value=16))) == (12, 16, 16, 48)
    assert channels_of(edited(NETWORK, Edit("narrow", 3, value=32))) == (12, 12, 32, 32)
    assert channels_of(edited(NETWORK, Edit("round", 0, value=16))) == (16, 12, 32, 48)
    assert edited(NETWORK, Edit("shrink_depth", 2, value=1)).stages[1].blocks == (Block("ibn", 3, 1),)
    assert edited(NETWORK, Edit("shrink_input", value=18)).resolution == 18
    assert edited(MASKS, Edit("shrink_output", value=28)).output == 28


def test_possible_edits_are_those_that_an_expert_may_make() -> None:
    found = possible_edits(NETWORK, parallelism=16)
    assert {edit.kind for edit in found} == {*EDIT_KINDS} - {"shrink_output"}
    assert [(edit.stage, edit.value) for edit in found if edit.kind == "round"] == [(0, 16), (1, 16)]
    assert [(edit.stage, edit.value) for edit in found if edit.kind == "narrow"] == [(2, 16), (3, 32)]
    assert [edit.value for edit in found if edit.kind == "even"] == [16, 32]
    assert [(edit.stage, edit.block) for edit in found if edit.kind == "fuse"] == [
        (0, -1),
        (2, -1),
        (1, 0),
        (2, 0),
        (2, 2),
    ]
    assert [edit for edit in found if edit.kind == "shrink_expansion" and edit.value < 2] == []
    assert Edit("shrink_expansion", 2, 2, 4) in found
    assert [edit.value for edit in possible_edits(MASKS, parallelism=1) if edit.kind == "shrink_output"] == [28]
    assert [edit.value for edit in possible_edits(NETWORK, parallelism=1) if edit.kind == "narrow"] == [9, 9, 24, 36]


def test_texts_name_the_place() -> None:
    texts = {edit_text(edit, NETWORK) for edit in possible_edits(NETWORK, parallelism=16)}
    assert "stage 1, block 1: inverted bottleneck to fused inverted bottleneck" in texts
    assert "all stages: inverted bottlenecks to standard convolutions" in texts
    assert "stem: channels 12 to 16" in texts
    assert "head: channels 48 to 32" in texts
    assert "network: channels of all stages 12, 32 to 16" in texts
    assert "stage 2: blocks 3 to 2" in texts


@pytest.mark.parametrize(
    "edit", [Edit("fuse", 3, 0), Edit("fuse", 1, 2), Edit("narrow", 9, value=8), Edit("shrink_depth", 1, value=2)]
)
def test_places_that_are_not_there_are_refused(edit: Edit) -> None:
    with pytest.raises(ValueError, match="edit: expected"):
        edited(NETWORK, edit)
