"""Architectures as TOML: what is written comes back, and what is wrong is named by its key."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.nas.architecture import Block
from fingerpost.tasks.nas.architecture_toml import architecture_toml, parse_architecture
from fingerpost.tasks.nas.space import SearchSpace
from tests.unit.nas.small_spaces import SMALL, spaces

TEXT = architecture_toml(SMALL.smallest())


@settings(max_examples=30, deadline=None)
@given(spaces(), st.integers(0, 2**32 - 1))
def test_what_is_written_comes_back(space: SearchSpace, seed: int) -> None:
    architecture = space.candidate(space.sample(np.random.default_rng(seed)))
    assert parse_architecture(architecture_toml(architecture)) == architecture


def test_what_may_be_left_out() -> None:
    text = "resolution = 8\ninputs = 1\nclasses = 2\nstem = 4\nstem_stride = 1\n[[stages]]\nchannels = 4\nstride = 1\n"
    blocks = parse_architecture(text + 'blocks = [{}, {kind = "conv"}, {kernel = 5}]').stages[0].blocks
    assert blocks == (Block("ibn", 3, 4), Block("conv", 3, 1), Block("ibn", 5, 4))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("classes = 10", "classes = ", "expected TOML"),
        ("classes = 10", "", "expected a whole number for classes, got nothing; add it"),
        ("classes = 10", "classes = true", "expected a whole number for classes, got True"),
        ("classes = 10", "classes = 0", "expected classes of at least 1, got 0"),
        ("classes = 10", "classes = 10\ncolour = 1", "expected .* in the file, got colour"),
        ("[[stages]]", "[[stage]]", "expected a list for stages, got nothing"),
        ("[[stages]]", "[stages]", "expected a list for stages"),
        ("channels = 4", 'channels = "4"', r"expected a whole number for stages\[1\].channels, got '4'"),
        ("channels = 4", "", r"expected a whole number for stages\[1\].channels, got nothing"),
        ("stride = 1\nblocks", "stride = 3\nblocks", "a stride of 1 or 2"),
        ("kernel = 3", "kernal = 3", r"in stages\[1\].blocks\[1\], got stages\[1\].blocks\[1\].kernal"),
        ("kernel = 3", "kernel = 3.5", r"expected a whole number for stages\[1\].blocks\[1\].kernel, got 3.5"),
        ("kernel = 3", "kernel = 4", "an odd kernel"),
        ('"ibn"', '"dense"', "expected a kind of ibn, fused, conv"),
        ('{ kind = "ibn"', '3, { kind = "ibn"', r"expected a table for stages\[1\].blocks\[1\], got 3"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(ValueError, match=message):
        parse_architecture(TEXT.replace(old, new, 1))
