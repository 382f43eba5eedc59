"""A ranker as arrays that are used where they lie: the vocabulary of queries, trees, and blocks of weights."""

from collections.abc import Mapping
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.corpus.vocabulary import Vocabulary
from fingerpost.tasks.xmr.label_blocks import block_of, by_level, tree_of
from fingerpost.tasks.xmr.model import ChunkBlock, ModelError, RankerModel

#: Named arrays, such as those of a tree or of a block of weights.
Arrays = Mapping[str, NDArray]
#: The place of such arrays: the member of an ensemble, and of weights the number of their block.
Place = tuple[int, ...]


def vocabulary_arrays(vocabulary: Vocabulary) -> tuple[dict[str, NDArray], NDArray[np.int64], NDArray[np.uint8]]:
    """The arrays of a vocabulary, and the terms of its families one after the other: offsets int64, UTF-8 letters."""
    terms = [family.terms or [] for family in vocabulary.families]
    encoded = [term.encode() for some in terms for term in some]
    offsets = np.fromiter(accumulate(map(len, encoded), initial=0), np.int64, len(encoded) + 1)
    arrays: dict[str, NDArray] = {
        "documents": np.array(vocabulary.documents, np.int64),
        "sizes": np.array([len(some) for some in terms], np.int64),
    }
    arrays |= {f"frequencies_{number:02d}": family.frequencies for number, family in enumerate(vocabulary.families)}
    return arrays, offsets, np.frombuffer(b"".join(encoded), np.uint8)


def named_arrays(places: Mapping[Place, Arrays]) -> dict[str, NDArray]:
    """Arrays of several places by names that `placed_arrays` takes apart again."""
    return {
        "/".join([*(f"{number:05d}" for number in place), name]): array
        for place, arrays in places.items()
        for name, array in arrays.items()
    }


def placed_arrays(arrays: Arrays) -> dict[Place, dict[str, NDArray]]:
    """Arrays by place, in the order of the places. ValueError for names that have none."""
    found: dict[Place, dict[str, NDArray]] = {}
    for key, array in sorted(arrays.items()):
        *place, name = key.split("/")
        found.setdefault(tuple(map(int, place)), {})[name] = array
    return found


def packed_model(trees: Arrays, weights: Mapping[Place, Arrays], *, features: int, normalised: bool) -> RankerModel:
    """The model over the arrays of a tree and of its blocks of weights, which are not copied.

    Bytes of files whose checksums are not verified may be others: what the kernel follows is checked, for which all but the
    weights themselves is read once. KeyError for an array that is missing, ModelError (a ValueError) for one that does not
    fit, TreeError (a ValueError) for no tree.
    """
    tree = tree_of(dict(trees))
    blocks = [block_of(dict(arrays)) for arrays in weights.values()]
    for level, block in blocks:
        if not 0 <= level < tree.depth:
            raise ModelError(f"chunks: expected a level below {tree.depth}, got {level}; rebuild the model")
        check_chunks(block, features=features, nodes=tree.width(level), parents=tree.width(level - 1) if level else 1)
    return RankerModel(features, tree, by_level(blocks, tree.depth), normalised)


def check_chunks(block: ChunkBlock, *, features: int, nodes: int, parents: int) -> None:
    """ModelError unless a block's pointers, features, columns and children are inside of what they refer to."""
    chunks = np.arange(len(block.parents))
    begins = (block.feature_start, block.entry_start, block.child_start)
    if any(begin[0] != 0 or (np.diff(begin) < 0).any() for begin in begins):
        raise ModelError("chunks: expected ascending ranges from 0, got others; rebuild the model")
    first, last = block.feature_start[:-1] + chunks, block.feature_start[1:] + chunks
    sizes, widths = np.diff(block.entry_start), np.diff(block.child_start)
    falls = np.flatnonzero(block.start[1:] < block.start[:-1])
    pointers = not block.start[first].any() and (block.start[last] == sizes).all() and np.isin(falls, last).all()
    unsorted = np.flatnonzero(block.features[1:] <= block.features[:-1]) + 1
    sorted_features = np.isin(unsorted, block.feature_start).all() and block.features.max(initial=0) < max(features, 1)
    filled = np.flatnonzero(sizes)
    widest = np.maximum.reduceat(block.columns, block.entry_start[filled]) if len(filled) else np.empty(0, np.uint8)
    inside = (
        (widest < widths[filled]).all() and block.ids.max(initial=0) < nodes and block.parents.max(initial=0) < parents
    )
    if not (pointers and sorted_features and inside):
        raise ModelError("chunks: expected entries inside the features and nodes of the model, got others; rebuild it")
