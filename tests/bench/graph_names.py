"""Two graphs of packages and people at any size, composed of real names; one side misspells, leaves out and swaps.

Names are drawn from how often words occur in the 63,436 packages of debian12: parts of package names, words of summaries, and
the first and last names of maintainers. A package is maintained by a person and depends on two packages. Of the right side's
entities, nine of ten are in the left one. Ids say nothing.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fingerpost.schemas import kg
from tests.data import data_file

#: Shares: of people among entities, of right entities that the left side has, of relations that the right side keeps.
PEOPLE, SHARED, KEPT = 0.2, 0.9, 0.8
#: Shares of right entities with a letter wrong, with two fields swapped; of words left out.
TYPOS, SWAPPED, DROPPED = 0.4, 0.1, 0.2
#: Words of a summary at most.
_WORDS = 6
#: Maintainers that are no persons.
_GROUP = re.compile("debian|team|group|maint|packag|devel|project|task|force|upload|port|[^\\w .-]", re.IGNORECASE)
_RELATIONS = ("depends on", "maintained by")


@dataclass(frozen=True)
class _Words:
    """Words and how often each occurs; most: of the words, those that occur most."""

    words: NDArray[np.object_]
    shares: NDArray[np.float64]

    @staticmethod
    def of(texts: Iterable[str]) -> "_Words":
        counts = sorted(Counter(texts).items())
        sizes = np.array([size for _, size in counts], dtype=np.float64)
        return _Words(np.array([word for word, _ in counts], dtype=object), np.cumsum(sizes) / sizes.sum())

    def drawn(self, random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.object_]:
        return self.words[np.minimum(np.searchsorted(self.shares, random.random(shape)), len(self.words) - 1)]


@cache
def _statistics() -> dict[str, _Words]:
    rows = pq.read_table(data_file("debian12", "packages.parquet"), columns=["package", "summary", "maintainer"])
    people = [name.split() for name in rows["maintainer"].to_pylist() if name and not _GROUP.search(name)]
    people = [parts for parts in people if len(parts) in (2, 3)]
    return {
        "part": _Words.of(part for name in rows["package"].to_pylist() for part in name.split("-") if part),
        "word": _Words.of(word for text in rows["summary"].to_pylist() for word in (text or "").split()),
        "first": _Words.of(parts[0] for parts in people),
        "last": _Words.of(parts[-1] for parts in people),
    }


@dataclass(frozen=True)
class NamedGraphs:
    """The tables of both graphs by name, and the pairs that are one, int64 (m, 2): rows of left and right entities."""

    left: dict[str, pa.Table]
    right: dict[str, pa.Table]
    pairs: NDArray[np.int64]


def named_graphs(count: int, seed: int = 0) -> NamedGraphs:
    """Two graphs of so many entities each."""
    random = np.random.default_rng(seed)
    packages = count - round(PEOPLE * count)
    # More than one side has, since each side has some of its own.
    whole = _texts(
        random, packages + round((1 - SHARED) * packages) + 1, count - packages + round((1 - SHARED) * count)
    )
    relations = _related(random, len(whole[0]), len(whole[1]))
    left_rows = (np.arange(packages), np.arange(count - packages))
    right_rows = tuple(
        np.sort(
            np.concatenate(
                [
                    random.permutation(size)[: round(SHARED * size)],
                    size + np.arange(size - round(SHARED * size)),
                ]
            )
        )
        for size in (packages, count - packages)
    )
    left = _side(random, whole, left_rows, relations, wrong=False)
    right = _side(random, whole, right_rows, relations, wrong=True)
    return NamedGraphs(left[0], right[0], _pairs(left[1], right[1]))


_Entities = tuple[list[tuple[str, str]], list[tuple[str, str]]]


def _texts(random: np.random.Generator, packages: int, people: int) -> _Entities:
    """(name, summary) of packages, and (first, last) of people."""
    words = _statistics()
    parts, sizes = words["part"].drawn(random, (packages, 3)), random.integers(2, 4, packages)
    summaries, lengths = words["word"].drawn(random, (packages, _WORDS)), random.integers(3, _WORDS + 1, packages)
    named = [
        ("-".join(part[:size]), " ".join(summary[:length]))
        for part, size, summary, length in zip(parts, sizes.tolist(), summaries, lengths.tolist(), strict=True)
    ]
    first, middle, last = (words[name].drawn(random, (people,)) for name in ("first", "first", "last"))
    return named, [(f"{one} {two}", three) for one, two, three in zip(first, middle, last, strict=True)]


def _related(random: np.random.Generator, packages: int, people: int) -> NDArray[np.int64]:
    """(m, 3): packages depend on two others, mostly near ones, and are maintained by a person, after Zipf's law."""
    rows = np.arange(packages)
    near = np.clip(rows[:, None] + random.integers(-30, 31, (packages, 2)), 0, packages - 1)
    maintained = np.minimum((people + 1) ** random.random(packages) - 1, people - 1).astype(np.int64)
    # By Zipf's law alone the first would have a tenth of all: half are by anyone.
    maintained = np.where(random.random(packages) < 0.5, maintained, random.integers(0, people, packages))
    depends = [np.stack([rows, np.zeros_like(rows), near[:, place]], axis=1) for place in range(2)]
    return np.concatenate([*depends, np.stack([rows, np.ones_like(rows), packages + maintained], axis=1)])


def _side(
    random: np.random.Generator,
    whole: _Entities,
    rows: Sequence[NDArray[np.int64]],
    relations: NDArray[np.int64],
    *,
    wrong: bool,
) -> tuple[dict[str, pa.Table], NDArray[np.int64]]:
    """The tables of a side, and the row of each entity of the whole in it, -1 for none."""
    chosen = np.concatenate([rows[0], rows[1] + len(whole[0])])
    texts = [whole[0][row] for row in rows[0].tolist()] + [whole[1][row] for row in rows[1].tolist()]
    kinds = ["package"] * len(rows[0]) + ["person"] * len(rows[1])
    if wrong:
        texts = _misspelt(random, texts, kinds)
    order = random.permutation(len(chosen))
    place = np.full(len(whole[0]) + len(whole[1]), -1, dtype=np.int64)
    place[chosen[order]] = np.arange(len(chosen))
    names, values = [], []
    for row, source in enumerate(order.tolist()):
        one, other = texts[source]
        is_package = kinds[source] == "package"
        names.append(one if is_package else f"{one} {other}".strip())
        if is_package and other:
            values.append((row, other))
    entities = pa.table(
        {
            "id": pa.array([f"{'r' if wrong else 'l'}{row:08d}" for row in range(len(order))], pa.string()),
            "type": pa.array([kinds[source] for source in order.tolist()], pa.string()),
            "name": pa.array(names, pa.string()),
        }
    )
    kept = relations[random.random(len(relations)) < KEPT] if wrong else relations
    heads, tails = place[kept[:, 0]], place[kept[:, 2]]
    inside = (heads >= 0) & (tails >= 0)
    triples = np.unique(np.stack([heads, kept[:, 1], tails], axis=1)[inside], axis=0)
    return {
        "entities": entities,
        "relation_names": pa.table({"name": list(_RELATIONS)}),
        "relations": _columns(kg.RELATIONS, [pa.array(triples[:, column].astype(np.uint32)) for column in range(3)]),
        "attributes": _attributes(values),
    }, place


def _attributes(values: list[tuple[int, str]]) -> pa.Table:
    owners, texts = zip(*values, strict=True)
    constant = [pa.array([text] * len(values), pa.string()) for text in ("summary", "", "")]
    columns = [pa.array(owners, pa.uint32()), constant[0], pa.array(texts, pa.string()), *constant[1:]]
    return _columns(kg.ATTRIBUTES, columns)


def _columns(table: Any, columns: list[pa.Array]) -> pa.Table:
    return pa.Table.from_arrays(columns, names=[one.name for one in table.fields])


def _misspelt(random: np.random.Generator, texts: list[tuple[str, str]], kinds: list[str]) -> list[tuple[str, str]]:
    """Texts with words left out, fields swapped and letters wrong."""
    draws, found = random.random((len(texts), 4)), []
    dropped = random.random((len(texts), _WORDS)) < DROPPED
    for (one, other), kind, (swap, typo, at, how), lost in zip(texts, kinds, draws.tolist(), dropped, strict=True):
        if kind == "package":
            other = " ".join(word for word, gone in zip(other.split(), lost.tolist(), strict=False) if not gone)
        elif lost[0]:
            one = f"{one[0]}. {' '.join(one.split()[1:])}"
        if swap < SWAPPED:
            one, other = (other or one, one if other else "") if kind == "package" else (f"{other},", one)
        if typo < TYPOS and len(one) > 3:
            place = 1 + int(at * (len(one) - 2))
            letter = "" if how < 1 / 3 else one[place] * 2 if how < 2 / 3 else one[place - 1]
            one = one[:place] + letter + one[place + 1 :]
        found.append((one, other))
    return found


def _pairs(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    both = (left >= 0) & (right >= 0)
    pairs = np.stack([left[both], right[both]], axis=1)
    return pairs[np.argsort(pairs[:, 0])]
