"""Small search spaces, and random ones of any form."""

from hypothesis import strategies as st

from fingerpost.tasks.nas.architecture import BLOCK_KINDS
from fingerpost.tasks.nas.space import SearchSpace
from fingerpost.tasks.nas.space_choices import BlockChoices, StageChoices

#: 2 resolutions, 2 widths, one stage of one or two blocks.
SMALL = SearchSpace(
    1,
    10,
    (6, 8),
    (4,),
    (1,),
    (StageChoices((4, 8, 12), (1,), (1, 2), (BlockChoices(("ibn", "conv"), (3,), (2, 4)),) * 2),),
    widths=(0.5, 1.0),
    multiple=4,
    parallelism=4,
)


def _some(values: tuple[int, ...]) -> st.SearchStrategy[tuple[int, ...]]:
    return st.sets(st.sampled_from(values), min_size=1, max_size=2).map(lambda chosen: tuple(sorted(chosen)))


_BLOCKS = st.builds(
    BlockChoices,
    st.lists(st.sampled_from(BLOCK_KINDS), min_size=1, max_size=3, unique=True).map(tuple),
    _some((3, 5)),
    _some((1, 2, 4)),
    st.sampled_from(((), (2,), (1, 3, 4))),
)


@st.composite
def _stages(draw: st.DrawFn) -> StageChoices:
    depths = draw(_some((1, 2)))
    blocks = tuple(draw(_BLOCKS) for _ in range(depths[-1]))
    return StageChoices(draw(_some((3, 8, 9, 16))), draw(_some((1, 2))), depths, blocks)


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    """Search spaces with one or two stages, for both tasks."""
    masks = draw(st.booleans())
    return SearchSpace(
        draw(st.sampled_from((1, 3))),
        2,
        draw(_some((5, 8))),
        draw(_some((4, 7))),
        draw(_some((1, 2))),
        tuple(draw(st.lists(_stages(), min_size=1, max_size=2))),
        draw(_some((0, 6, 12))),
        draw(st.sampled_from(((1.0,), (0.5, 1.0), (0.25, 0.75, 1.5)))),
        multiple=draw(st.sampled_from((1, 4))),
        parallelism=4,
        task="segmentation" if masks else "classification",
        outputs=draw(_some((4, 8))) if masks else (0,),
    )
