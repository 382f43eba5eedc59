"""Names for completions at any size: real ones, and where these end, real ones combined.

Real: the 63,436 packages of debian12 and 6,265 queries of January 2020 (Bing, by state and by country), 69,638 distinct keys.
Beyond: two of them, of which the second adds a word or two to the first, chosen by the seed.
"""

import csv
from collections.abc import Sequence
from functools import cache

import numpy as np
import pyarrow.parquet as pq

from fingerpost.tasks.autocomplete.matching import matching_key
from tests.data import data_file

_LOGS = ("QueriesByCountry_2020-01-01_2020-01-31.tsv", "QueriesByState_2020-01-01_2020-01-31.tsv")


@cache
def real_names() -> dict[str, str]:
    """Real names by matching key."""
    names = pq.read_table(data_file("debian12", "packages.parquet"), columns=["package"])["package"].to_pylist()
    for log in _LOGS:
        with data_file("queries", log).open(encoding="utf-8", newline="") as lines:
            names += [row["Query"] for row in csv.DictReader(lines, delimiter="\t")]
    return {key: name for name in names if (key := matching_key(name))}


def label_names(count: int, seed: int = 0) -> dict[str, str]:
    """That many names by key, in the order of the keys' bytes: a sample of the real ones, or all and more."""
    random = np.random.default_rng(seed)
    names = dict(real_names())
    real = list(names.values())
    while len(names) < count:
        for first, second in random.integers(0, len(real), (count, 2)).tolist():
            longer = f"{real[first]} {' '.join(real[second].replace('-', ' ').split()[:2])}"
            names[matching_key(longer)] = longer
    kept = sorted(random.permutation(list(names))[:count].tolist()) if len(names) > count else sorted(names)
    return {key: names[key] for key in kept}


def popularity(count: int, seed: int = 0) -> np.ndarray:
    """Weights float32 (count,) after Zipf's law, in an order of the seed."""
    return (1e6 / np.random.default_rng(seed).permutation(np.arange(1, count + 1))).astype(np.float32)


def mixed_prefixes(keys: Sequence[str], count: int, *, lengths: tuple[int, int], seed: int = 0) -> list[str]:
    """Beginnings of sampled keys, with lengths in characters between two bounds, equally often where keys are long enough."""
    random = np.random.default_rng(seed)
    least, most = lengths
    chosen = random.integers(0, len(keys), count).tolist()
    return [keys[row][: int(random.integers(least, max(least, min(most, len(keys[row]))) + 1))] for row in chosen]
