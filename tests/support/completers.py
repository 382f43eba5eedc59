"""Completers made of a few queries, without a pipeline."""

from collections.abc import Mapping, Sequence

import numpy as np

from fingerpost.ext.trie import Texts
from fingerpost.tasks.autocomplete.blend import Blend
from fingerpost.tasks.autocomplete.completer import Completer, ServingParams
from fingerpost.tasks.autocomplete.followers import Followers, count_followers, follower_arrays
from fingerpost.tasks.autocomplete.matching import matching_key
from fingerpost.tasks.autocomplete.trie import build_trie, flat_texts

#: How often some queries followed others.
Counts = Mapping[str, Mapping[str, float]]


def completer_of(
    weights: Mapping[str, float],
    followers: Counts | None = None,
    serving: ServingParams = ServingParams(),
) -> Completer:
    """A completer of queries with their popularity, and of how often some followed others, without a ranker."""
    names: dict[str, str] = {}
    for query in weights:
        names.setdefault(matching_key(query), query)
    keys = sorted(names, key=str.encode)
    trie = build_trie(keys, [weights[names[key]] for key in keys])
    none = np.empty(0, np.int32)
    nothing = count_followers(none, none, none.astype(np.float32), len(keys))
    arrays = follower_arrays(keys, trie.weights, [_followers(keys, followers or {}), nothing])
    texts = Texts(*flat_texts([names[key] for key in keys]))
    return Completer(texts, trie, Blend(arrays, serving.blend), serving=serving)


def _followers(keys: Sequence[str], counts: Counts) -> Followers:
    rows = {key: row for row, key in enumerate(keys)}
    pairs = [
        (rows.get(matching_key(query), -1), rows.get(matching_key(next_), -1), count)
        for query, following in counts.items()
        for next_, count in following.items()
    ]
    before, following, found = (np.array([pair[i] for pair in pairs]) for i in range(3))
    return count_followers(before.astype(np.int32), following.astype(np.int32), found.astype(np.float32), len(keys))
