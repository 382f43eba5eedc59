"""The search space: genomes and architectures stand for each other, and evolution stays inside."""

import itertools
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.nas.architecture import Architecture, Block
from fingerpost.tasks.nas.nearest import nearest
from fingerpost.tasks.nas.space import SearchSpace
from fingerpost.tasks.nas.space_choices import BlockChoices, StageChoices, rounded_channels
from fingerpost.tasks.nas.space_params import SpaceParams
from fingerpost.tasks.nas.spaces import (
    curated,
    reference_for_images,
    reference_of,
    space_around,
    space_for_images,
    uncurated,
)
from tests.unit.nas.small_spaces import SMALL, spaces

_SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=30, deadline=None)
@given(spaces(), _SEEDS)
def test_equal_architectures_have_equal_genomes(space: SearchSpace, seed: int) -> None:
    random = np.random.default_rng(seed)
    # Any genes within their counts, those without an effect among them.
    raw = random.integers(0, space.genes)
    architecture = space.candidate(raw)
    genome = space.genome_of(architecture)
    assert genome.dtype == np.int64
    assert space.candidate(genome) == architecture
    assert np.array_equal(space.canonical(raw), genome)
    assert space.candidate(genome).id == architecture.id
    assert space.parse(architecture.text) == architecture


@settings(max_examples=30, deadline=None)
@given(spaces(), _SEEDS, st.floats(0, 1))
def test_mutants_and_children_are_other_networks_of_the_space(space: SearchSpace, seed: int, rate: float) -> None:
    random = np.random.default_rng(seed)
    parent, other = space.sample(random), space.sample(random)
    mutant = space.mutate(parent, random, rate)
    child = space.crossover(parent, other, random)
    for genome in (parent, mutant, child):
        assert np.array_equal(space.canonical(genome), genome)
        assert (genome >= 0).all()
        assert (genome < space.genes).all()
    assert (space.size == 1) == (space.candidate(mutant) == space.candidate(parent))
    # The same seed gives the same genomes.
    again = np.random.default_rng(seed)
    assert np.array_equal(space.sample(again), parent)
    assert np.array_equal(space.sample(again), other)
    assert np.array_equal(space.mutate(parent, again, rate), mutant)
    assert np.array_equal(space.crossover(parent, other, again), child)


@settings(max_examples=10, deadline=None)
@given(spaces().filter(lambda space: np.prod(space.genes) < 3000))
def test_enumeration_finds_each_network_once(space: SearchSpace) -> None:
    every = itertools.product(*(range(count) for count in space.genes))
    expected = {space.candidate(np.array(genome)).id for genome in every}
    found = [space.candidate(genome).id for genome in space.enumerate()]
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert space.size == len(expected)


@settings(max_examples=20, deadline=None)
@given(spaces(), _SEEDS)
def test_features_tell_networks_apart(space: SearchSpace, seed: int) -> None:
    random = np.random.default_rng(seed)
    genomes = np.array([space.sample(random) for _ in range(4)])
    features = space.encode(genomes)
    assert features.dtype == np.float64
    assert np.isfinite(features).all()
    for (one, row), (other, second) in itertools.combinations(zip(genomes, features, strict=True), 2):
        assert np.array_equal(one, other) == np.array_equal(row, second)


def test_mutation_changes_one_gene_in_ten() -> None:
    space = space_for_images(28, 1, 10)
    random = np.random.default_rng(0)
    parent = space.sample(random)
    free = sum(count > 1 for count in space.genes)
    mutants = [space.mutate(parent, random, 0.1) for _ in range(400)]
    changed = np.mean([np.count_nonzero(mutant != parent) for mutant in mutants])
    # Genes of blocks that are absent, and other genes for the same channels, leave the network as it is.
    assert 0.05 * free < changed < 0.15 * free
    assert len({mutant.tobytes() for mutant in mutants}) > 300


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 300), st.sampled_from((0.25, 0.5, 0.75, 1.0, 1.25)), st.sampled_from((1, 4, 16, 32)))
def test_channels_are_rounded_as_mobilenet_does(channels: int, width: float, multiple: int) -> None:
    found = rounded_channels(channels, width, multiple)
    assert found >= multiple
    assert found % multiple == 0
    assert found >= 0.9 * width * channels
    # The next multiple below is too small, or farther away.
    below = found - multiple
    assert below < multiple or below < 0.9 * width * channels or abs(below - width * channels) >= multiple / 2
    assert found - width * channels <= max(multiple, multiple - width * channels)


@pytest.mark.parametrize("size", [8, 28, 105])
@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_the_default_space_is_curated(size: int, task: str) -> None:
    space = space_for_images(size, 1, 10, 16, task=task)  # type: ignore[arg-type]
    free = uncurated(space)
    random = np.random.default_rng(1)
    for _ in range(20):
        architecture = space.candidate(space.sample(random))
        assert all(stage.channels % 16 == 0 for stage in architecture.stages)
        assert architecture.stem % 16 == 0
        # The uncurated space has the same range.
        assert free.candidate(free.genome_of(architecture)) == architecture
    assert free.size > space.size
    assert all(2 <= len(stage.channels) <= 5 for stage in space.stages)
    odd = {free.candidate(free.sample(random)).stages[0].channels % 16 for _ in range(50)}
    assert len(odd) > 5
    for stage, other in zip(space.stages, free.stages, strict=True):
        assert other.channels == tuple(range(other.channels[0], other.channels[-1] + 1))
        assert other.channels[0] == min(rounded_channels(stage.channels[0], width, 16) for width in space.widths)


@pytest.mark.parametrize("size", [8, 28, 105])
def test_the_reference_is_made_without_a_thought_for_the_device(size: int) -> None:
    space = space_for_images(size, 1, 10)
    reference = reference_for_images(size, 1, 10)
    assert reference_of(space) == reference
    assert {block.kind for stage in reference.stages for block in stage.blocks} == {"ibn"}
    assert all(stage.channels % 16 for stage in reference.stages)
    with pytest.raises(ValueError, match="no width gives the channels"):
        space.genome_of(reference)
    near = space.candidate(nearest(space, reference))
    assert near.stages[0].channels == 16
    assert [stage.blocks for stage in near.stages] == [stage.blocks for stage in reference.stages]
    assert nearest(space, near).tolist() == space.genome_of(near).tolist()


def test_the_space_around_a_network_varies_what_is_named() -> None:
    reference = reference_for_images(28, 1, 10)
    fusion = space_around(reference, vary=("fusion",))
    # Each block as it is with its expansion of 4, or fused with 3 or 4.
    assert fusion.size == 3 ** sum(len(stage.blocks) for stage in reference.stages)
    assert {block for genome in fusion.enumerate() for block in fusion.candidate(genome).stages[0].blocks} == {
        Block("ibn", 3, 4),
        Block("fused", 3, 3),
        Block("fused", 3, 4),
    }
    assert all(
        [stage.channels for stage in fusion.candidate(genome).stages] == [stage.channels for stage in reference.stages]
        for genome in fusion.enumerate()
    )
    assert fusion.candidate(fusion.genome_of(reference)) == reference
    width = space_around(reference, vary=("width",))
    assert width.size > 3
    for genome in width.enumerate():
        found = width.candidate(genome)
        assert [stage.blocks for stage in found.stages] == [stage.blocks for stage in reference.stages]
        assert all(stage.channels % 16 == 0 for stage in found.stages)
    both = space_around(reference)
    assert both.size == fusion.size * width.size
    steps = space_around(reference, vary=("width",), aligned=False)
    assert steps.genome_of(width.candidate(width.sample(np.random.default_rng(0)))) is not None
    assert steps.multiple == 1
    assert space_around(reference, vary=()).size == 1
    everything = space_around(
        reference, vary=("width", "fusion", "plain", "kernel", "expansion", "depth", "resolution")
    )
    assert everything.resolutions == (18, 24, 28)
    assert everything.stages[0].depths == (1, 2, 3)
    assert everything.stages[0].blocks[0] == BlockChoices(("ibn", "fused", "conv"), (3, 5), (2, 4, 6), (2, 4, 6))


def test_settings_narrow_the_space() -> None:
    params = SpaceParams(("conv",), (5,), (4,), (2,), (1.0,), (20,), values=2)
    space = space_for_images(28, 1, 10, params=params)
    found = space.candidate(space.sample(np.random.default_rng(0)))
    assert {block for stage in found.stages for block in stage.blocks} == {Block("conv", 5, 1)}
    assert found.resolution == 20
    assert all(len(stage.channels) <= 2 for stage in space.stages)
    assert space_for_images(28, 1, 10, params=replace(params, curated=False)).multiple == 1
    around = space_for_images(28, 1, 10, params=SpaceParams(vary=("fusion",)))
    assert around == space_around(reference_for_images(28, 1, 10), vary=("fusion",))


def test_spaces_are_plain_values() -> None:
    space = space_for_images(28, 1, 10)
    assert hash(space) == hash(space_for_images(28, 1, 10))
    space.sample(np.random.default_rng(0))
    assert space == space_for_images(28, 1, 10)
    assert json.loads(json.dumps(asdict(space)))["resolutions"] == [18, 24, 28]


def test_a_head_may_be_absent_in_a_curated_space() -> None:
    space = curated(replace(SMALL, head=(0, 5, 30), parallelism=8))
    assert space.head == (0, 8, 16, 24)
    assert uncurated(space).head == (0, *range(8, 25))


def test_largest_and_smallest() -> None:
    space = space_for_images(28, 1, 10)
    small, large = space.smallest(), space.largest()
    assert [stage.channels for stage in small.stages] == [16, 16, 16]
    assert [stage.channels for stage in large.stages] == [48, 48, 80]
    assert {block for stage in large.stages for block in stage.blocks} == {Block("ibn", 5, 6)}


def _outside(**changes: object) -> Architecture:
    return replace(SMALL.smallest(), **changes)  # type: ignore[arg-type]


def test_networks_of_no_space_are_refused() -> None:
    stage = SMALL.smallest().stages[0]
    for architecture, message in (
        (_outside(classes=9), "inputs, classes, task and number of stages"),
        (_outside(resolution=7), "its resolution 7 is none of"),
        (_outside(stem=5), "no width gives the channels"),
        (_outside(stages=(replace(stage, stride=2),)), "its stride 2 is none of"),
        (_outside(stages=(replace(stage, blocks=(Block("fused", 3, 3),)),)), "its kind 'fused' is none of"),
        (_outside(stages=(replace(stage, blocks=(Block("ibn", 3, 3),)),)), "its expansion 3 is none of"),
        (_outside(stages=(replace(stage, blocks=(Block("conv", 3, 1),) * 3),)), "its depth 3 is none of"),
    ):
        with pytest.raises(ValueError, match=message):
            SMALL.genome_of(architecture)
    with pytest.raises(ValueError, match="expected 1 stages as the search space has, got 2"):
        nearest(SMALL, _outside(stages=(stage, stage)))


def test_choices_that_cannot_be_are_refused() -> None:
    blocks = (BlockChoices(),)
    for make, message in (
        (lambda: replace(SMALL, widths=(1.0, 0.5)), "ascending choices for widths"),
        (lambda: replace(SMALL, resolutions=()), "ascending choices for resolutions"),
        (lambda: replace(SMALL, multiple=0), "a multiple and a parallelism"),
        (lambda: replace(SMALL, stages=()), "at least one stage"),
        (lambda: replace(SMALL, outputs=(4,)), "an output"),
        (lambda: BlockChoices(()), "distinct kinds"),
        (lambda: BlockChoices(kernels=(5, 3)), "ascending choices for kernels"),
        (lambda: BlockChoices(fused=(4, 2)), "ascending choices for fused"),
        (lambda: StageChoices((4,), (1,), (1, 2), blocks), "each of the 2 blocks of a stage, got 1"),
        (lambda: SpaceParams(kinds=("dense",)), "kinds: expected some of ibn, fused, conv, got dense"),
        (lambda: SpaceParams(kernels=(3, 3)), "kernels: expected distinct"),
        (lambda: SpaceParams(kernels=(4,)), "kernels: expected odd"),
        (lambda: SpaceParams(values=0), "values: expected 1 or more"),
        (lambda: space_around(SMALL.smallest(), vary=("colour",)), "vary: expected some of"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
