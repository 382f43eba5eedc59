"""The score at which a decreasing curve of accepted pairs crosses a fraction of its first value."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def crossings(
    edges: NDArray[np.float64], accepted: NDArray[np.generic], share: ArrayLike, *, highest: bool = False
) -> NDArray[np.float64]:
    """Scores float64 (c,) at which curves (c, g) of pairs accepted at ascending ``edges`` (g,) fall to a share.

    share: fraction of each curve's first value, scalar or (c,). Curves are interpolated linearly between edges. Where a
    curve is flat at the share, the lowest such score, or with ``highest`` the highest. NaN for a curve without pairs.
    """
    counts = np.atleast_2d(np.asarray(accepted)).astype(np.float64)
    total = counts[:, :1]
    goal = np.broadcast_to(np.asarray(share, dtype=np.float64).reshape(-1, 1), total.shape) * total
    # share * total is exact up to rounding only: a count within the slack of the goal has reached it.
    slack = 1e-12 * total
    above = counts >= goal - slack if highest else counts > goal + slack
    after = np.clip(np.where(above.all(axis=1), counts.shape[1] - 1, np.argmin(above, axis=1)), 1, None)
    rows = np.arange(len(counts))
    high, low = counts[rows, after - 1], counts[rows, after]
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(high > low, (high - goal[:, 0]) / (high - low), 0.0)
    scores = edges[after - 1] + np.clip(part, 0, 1) * (edges[after] - edges[after - 1])
    return np.where(total[:, 0] > 0, scores, np.nan)


def share_crossing(
    edges: NDArray[np.float64], accepted: NDArray[np.generic], share: float, *, highest: bool = False
) -> float:
    """:func:`crossings` of one curve (g,); ValueError for a share outside 0 to 1 and for a curve without pairs."""
    if not 0 <= share <= 1:
        raise ValueError(f"rate: expected a share of 0 to 1, got {share if not highest else 1 - share}; correct it")
    score = float(crossings(edges, accepted, share, highest=highest)[0])
    if np.isnan(score):
        raise ValueError(
            "pairs: expected positive and negative pairs, got none; provide two classes with two rows each"
        )
    return score


def safe_edges(
    accepted: NDArray[np.generic], share: float, *, highest: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Indices (c,) of the ends of bins at which curves (c, g) keep a share, and whether they do, bool (c,).

    The lowest end at which at most this share of the curve's first value is accepted, or with ``highest`` the highest
    at which at least it is: counts at ends of bins are exact, so no estimate is involved. The last end is no
    threshold, since scores above the range lie in the last bin: where only that end keeps the share, the index is that
    of the strictest threshold, which does not.
    """
    counts = np.atleast_2d(np.asarray(accepted)).astype(np.float64)
    total, last = counts[:, :1], counts.shape[1] - 2
    # share * total is exact up to rounding only, as in crossings.
    goal, slack = share * total, 1e-12 * total
    if highest:
        found = (counts[:, : last + 1] >= goal - slack).sum(axis=1) - 1
        return np.maximum(found, 0), np.ones(len(counts), dtype=np.bool_)
    found = counts.shape[1] - (counts <= goal + slack).sum(axis=1)
    return np.minimum(found, last), found <= last
