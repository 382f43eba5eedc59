"""Where a falling curve of accepted pairs crosses a share."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def crossings(
    edges: NDArray[np.float64], accepted: NDArray[np.generic], share: ArrayLike, *, highest: bool = False
) -> NDArray[np.float64]:
    """Scores float64 (c,) at which curves (c, g), of pairs accepted at ascending ``edges`` (g,), come down to a share.

    The share is of a curve's first value; between edges curves are straight. Where a curve is level at the share the
    lowest such score, or with ``highest`` the highest. A curve without pairs gives NaN.
    """
    counts = np.atleast_2d(np.asarray(accepted)).astype(np.float64)
    total = counts[:, :1]
    goal = np.broadcast_to(np.asarray(share, dtype=np.float64).reshape(-1, 1), total.shape) * total
    # A share of counts is a fraction of them up to rounding: what is a hair below or above the goal has reached it.
    slack = 1e-12 * total
    above = counts >= goal - slack if highest else counts > goal + slack
    after = np.clip(np.where(above.all(axis=1), counts.shape[1] - 1, np.argmin(above, axis=1)), 1, None)
    rows = np.arange(len(counts))
    high, low = counts[rows, after - 1], counts[rows, after]
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(high > low, (high - goal[:, 0]) / (high - low), 0.0)
    found = edges[after - 1] + np.clip(part, 0, 1) * (edges[after] - edges[after - 1])
    return np.where(total[:, 0] > 0, found, np.nan)


def share_crossing(
    edges: NDArray[np.float64], accepted: NDArray[np.generic], share: float, *, highest: bool = False
) -> float:
    """:func:`crossings` of one curve (g,); ValueError for a share outside 0 to 1 and for a curve without pairs."""
    if not 0 <= share <= 1:
        raise ValueError(f"rate: expected a share of 0 to 1, got {share if not highest else 1 - share}; correct it")
    found = float(crossings(edges, accepted, share, highest=highest)[0])
    if np.isnan(found):
        raise ValueError("pairs: expected some of either kind, got none; give classes of two rows and two classes")
    return found
