"""The users of sessions that a log names in part only: before somebody logs in, a row has a session alone."""

import numpy as np
from numpy.typing import NDArray


def known_users(
    users: NDArray[np.int64], sessions: NDArray[np.int64], session_of: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The users of events, int64 (n,): rows with a session alone are of the session's known user, if it has exactly one.

    So nobody counts as two, which would break k-anonymity, and no session is cut where its user logs in. users, sessions:
    int64 (n,), -1 for no session. session_of: int64 (users,), the session that stands for each user, where rows without a
    user have their session in its place; -1 for none. A user with another session too is known, whatever its key.
    """
    stands = session_of >= 0
    stands[users[sessions != session_of[users]]] = False
    standing = stands[users]
    if not standing.any() or standing.all():
        return users
    known, named = users[~standing], sessions[~standing]
    count = int(sessions.max()) + 1
    lowest, highest = np.full(count, len(session_of)), np.full(count, -1)
    np.minimum.at(lowest, named[named >= 0], known[named >= 0])
    np.maximum.at(highest, named[named >= 0], known[named >= 0])
    found = np.where(standing, np.where(lowest == highest, highest, -1)[sessions], -1)
    return np.where(found >= 0, found, users)
