"""Sessions: the queries of one user in order, cut where the user paused, each session in one split.

As in the published code of session-aware completion (Yadav et al., KDD 2021, section 4.1 and ``examples/qp2q``): a pause
of more than 30 minutes begins another session, a query equal to the one before it is left out, sessions of one query are
left out, and the latest sessions are held out.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

#: The splits of sessions, by their number.
TRAINING, VALIDATION, TEST = SPLITS = ("training", "validation", "test")

#: The time of an event without one.
NO_TIME = -1

_MINUTE = 60_000_000
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class SessionParams:
    """Parameters of sessions.

    gap_minutes: the longest pause within a session; sessions that the input names are not cut.
    minimum_length: shortest session that is kept, in queries, without consecutive duplicates; 1 also counts queries
        that no other follows or precedes.
    validation_share: fraction of the sessions that are held out for validation: the latest ones, or, in a log without
        times, those chosen by a hash of their queries and ``seed``.
    test_share: fraction of the sessions that are held out for the test, chosen in the same way.
    seed: seed of the choice of held-out sessions in a log without times.
    """

    gap_minutes: float = 30.0
    minimum_length: int = 2
    validation_share: float = 0.05
    test_share: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.gap_minutes <= 1e9:
            raise ValueError(f"gap_minutes: expected more than 0, got {self.gap_minutes}; 30 is usual")
        if self.minimum_length < 1:
            raise ValueError(f"minimum_length: expected at least 1, got {self.minimum_length}; 2 is usual")
        for name in ("validation_share", "test_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected 0 to 1, got {getattr(self, name)}; correct it")
        if self.validation_share + self.test_share >= 1:
            raise ValueError(
                f"validation_share and test_share: expected less than 1 together, got {self.validation_share} and"
                f" {self.test_share}; leave sessions to train on"
            )


@dataclass(frozen=True)
class Events:
    """Events of a query log in the order of the input, n of them.

    users: int64 (n,), the number of each user. sessions: int64 (n,), the number of the session that the input names; -1
    for none. times: int64 (n,), microseconds since 1970; -1 for none. spellings: int64 (n,), the row of the query's text.
    keys: int64 (texts,), the number of each text's matching key; -1 for a text without one, whose events are left out.
    """

    users: NDArray[np.int64]
    sessions: NDArray[np.int64]
    times: NDArray[np.int64]
    spellings: NDArray[np.int64]
    keys: NDArray[np.int64]

    def where(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> "Events":
        """The events at these positions, or selected by a mask."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        return Events(**{name: array if name == "keys" else array[chosen] for name, array in arrays.items()})


@dataclass(frozen=True)
class Sessions:
    """s sessions in order of their beginning, with t steps in order, of q distinct queries.

    users: uint32 (s,). starts: int64 (s,), the time of the first event, -1 for none. splits: int8 (s,), a position in
    ``SPLITS``. step_sessions, step_queries: uint32 (t,), rows of sessions and queries. step_times: int64 (t,).
    texts: int64 (q,), of each query the row of the spelling that most users typed. counts, query_users: int64 (q,), number
    of its steps and of their distinct users. figures: number of events left out, by reason.
    """

    users: NDArray[np.uint32]
    starts: NDArray[np.int64]
    splits: NDArray[np.int8]
    step_sessions: NDArray[np.uint32]
    step_queries: NDArray[np.uint32]
    step_times: NDArray[np.int64]
    texts: NDArray[np.int64]
    counts: NDArray[np.int64]
    query_users: NDArray[np.int64]
    figures: dict[str, int]


def cut(events: Events, params: SessionParams, *, hashes: NDArray[np.uint64]) -> Sessions:
    """The sessions of a log.

    Events of equal time stay in the order of the input. A user's events, or those of a session that the input names, count
    as without times if one of them has none, and stay in that order too. hashes: uint64 (keys,), of each matching key; looked at only where no session has a time, and may be empty
    where any event has one.
    """
    with_key = events.keys[events.spellings] >= 0
    kept = events if with_key.all() else events.where(with_key)
    figures = {"without_key": int(len(with_key) - len(kept.users))}
    groups = _groups(kept)
    kept = replace(kept, times=_whole_times(groups, kept.times))
    order, first = _sequence(kept, groups, int(params.gap_minutes * _MINUTE))
    kept = kept.where(order)
    session = np.cumsum(first) - 1
    repeated = _repeated(kept, first)
    lengths = np.bincount(session[~repeated], minlength=int(first.sum()))
    long_enough = lengths >= params.minimum_length
    steps = ~repeated & long_enough[session]
    figures |= {
        "repeated": int((repeated & long_enough[session]).sum()),
        "in_short_sessions": int((~long_enough[session]).sum()),
    }
    beginnings = np.flatnonzero(first)[long_enough]
    starts = kept.times[beginnings]
    # In order of time; without times, and among equal ones, in that of the input.
    by_start = np.lexsort((order[beginnings], np.where(starts < 0, np.iinfo(np.int64).max, starts)))
    chosen = kept.where(_regrouped(np.flatnonzero(steps), lengths[long_enough], by_start))
    starts, users = starts[by_start], kept.users[beginnings][by_start]
    step_sessions = np.repeat(np.arange(len(starts)), lengths[long_enough][by_start])
    keys, queries = _by_appearance(chosen.keys[chosen.spellings])
    texts = _usual_spellings(queries, chosen.spellings, chosen.users, len(keys))
    if len(starts) and starts[0] < 0:
        splits = _hashed_splits(_fractions(step_sessions, hashes[keys][queries], len(starts), params.seed), params)
    else:
        splits = _timed_splits(starts, params)
    return Sessions(
        users.astype(np.uint32),
        starts,
        splits,
        step_sessions.astype(np.uint32),
        queries.astype(np.uint32),
        chosen.times,
        texts,
        np.bincount(queries, minlength=len(keys)),
        distinct_users(queries, chosen.users, len(keys)),
        figures,
    )


def distinct_users(queries: NDArray[np.int64], users: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The number of distinct users of each of ``count`` queries, int64; the arrays (steps,) name both of each step."""
    width = int(users.max(initial=0)) + 1
    pairs = np.unique(queries.astype(np.int64) * width + users.astype(np.int64))
    return np.bincount(pairs // width, minlength=count)


def text_hashes(texts: Sequence[str]) -> NDArray[np.uint64]:
    """A hash of each text, uint64, the same on every machine."""
    digests = (hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def _sequence(events: Events, groups: NDArray[np.int64], gap: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The order of the events by session, and whether each of them, in that order, begins one."""
    order = np.lexsort((events.times, groups))
    groups, times, named = groups[order], events.times[order], events.sessions[order] >= 0
    first = np.ones(len(order), dtype=bool)
    first[1:] = (groups[1:] != groups[:-1]) | (~named[1:] & (times[1:] - times[:-1] > gap))
    return order, first


def _whole_times(groups: NDArray[np.int64], times: NDArray[np.int64]) -> NDArray[np.int64]:
    """The times, but none for the groups in which one is missing."""
    if not (times < 0).any():
        return times
    without = np.bincount(groups[times < 0], minlength=int(groups.max()) + 1).astype(bool)
    return np.where(without[groups], NO_TIME, times)


def _groups(events: Events) -> NDArray[np.int64]:
    """For each event the number of its user and its named session, if it has one."""
    width = int(events.sessions.max(initial=-1)) + 2
    if width == 1:
        return events.users
    _, groups = np.unique(events.users * width + events.sessions + 1, return_inverse=True)
    return groups


def _repeated(events: Events, first: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each event has the query of the one before it in its session."""
    keys = events.keys[events.spellings]
    repeated = np.zeros(len(keys), dtype=bool)
    repeated[1:] = (keys[1:] == keys[:-1]) & ~first[1:]
    return repeated


def _regrouped(places: NDArray[np.int64], lengths: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """``places``, which are in runs of these lengths, with the runs in another order."""
    starts = np.cumsum(lengths) - lengths
    moved = lengths[order]
    within = np.arange(len(places)) - np.repeat(np.cumsum(moved) - moved, moved)
    return places[np.repeat(starts[order], moved) + within]


def _by_appearance(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct values, from 0, in order of appearance, and the position of each value among these."""
    distinct, first = _first_places(values)
    distinct = distinct[np.argsort(first)]
    rank = np.zeros(int(values.max(initial=-1)) + 1, dtype=np.int64)
    rank[distinct] = np.arange(len(distinct))
    return distinct, rank[values]


def _first_places(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct values, from 0, ascending, and the first position of each."""
    first = np.full(int(values.max(initial=-1)) + 1, -1, dtype=np.int64)
    first[values[::-1]] = np.arange(len(values) - 1, -1, -1)  # the last assignment wins
    distinct = np.flatnonzero(first >= 0)
    return distinct, first[distinct]


def _usual_spellings(
    queries: NDArray[np.int64], spellings: NDArray[np.int64], users: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Of each query the spelling of most users, then of most steps, then the one that appears first."""
    distinct, first = _first_places(spellings)
    size = int(spellings.max(initial=-1)) + 1
    asked_by = distinct_users(spellings, users, size)[distinct]
    steps = np.bincount(spellings, minlength=size)[distinct]
    best_last = np.lexsort((-first, steps, asked_by))
    chosen = np.zeros(count, dtype=np.int64)
    chosen[queries[first[best_last]]] = distinct[best_last]  # the last assignment wins
    return chosen


def _timed_splits(starts: NDArray[np.int64], params: SessionParams) -> NDArray[np.int8]:
    """The split of each session: the latest are held out; those without a time, which come last, are for training."""
    timed = int((starts >= 0).sum())
    rank = np.zeros(len(starts))
    rank[:timed] = np.arange(timed) / max(timed, 1)
    return _of_rank(rank, params)


def _hashed_splits(fractions: NDArray[np.float64], params: SessionParams) -> NDArray[np.int8]:
    """The split of each session by its fraction in (0, 1]."""
    return _of_rank(1.0 - fractions, params)


def _of_rank(rank: NDArray[np.float64], params: SessionParams) -> NDArray[np.int8]:
    """The split of each session by its rank in [0, 1): the highest are for test."""
    held = params.validation_share + params.test_share
    # Rounded, since 1 - 0.1 - 0.05 is not 0.85.
    bounds = np.round([1 - held, 1 - params.test_share], 12)
    splits: NDArray[np.int8] = np.searchsorted(bounds, np.round(rank, 12), side="right").astype(np.int8)
    return splits


def _fractions(
    step_sessions: NDArray[np.int64], hashes: NDArray[np.uint64], count: int, seed: int
) -> NDArray[np.float64]:
    """A number in (0, 1] of each session, which depends on its queries, their order and the seed alone."""
    starts = np.searchsorted(step_sessions, np.arange(count))
    position = (np.arange(len(step_sessions)) - starts[step_sessions] + 1).astype(np.uint64)
    mixed = _mixed(hashes ^ _mixed(position * _GOLDEN))
    sums = np.add.reduceat(mixed, starts) if count else np.zeros(0, np.uint64)
    with np.errstate(over="ignore"):
        scattered = _mixed(sums + np.uint64(seed % 2**64) * _GOLDEN)
    return ((scattered >> np.uint64(11)).astype(np.float64) + 1) / 2.0**53


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014, figure 16): every bit depends on all bits."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
