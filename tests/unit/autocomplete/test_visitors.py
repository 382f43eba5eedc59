"""Rows with a session alone belong to the session's one known user."""

from collections import defaultdict

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.autocomplete.visitors import known_users

ROWS = st.lists(st.tuples(st.sampled_from(["", "a", "b", "s0", "s1"]), st.sampled_from(["", "s0", "s1", "s2"])))


@settings(max_examples=300, deadline=None)
@given(rows=ROWS)
def test_a_session_with_one_known_user_is_all_of_that_user(rows: list[tuple[str, str]]) -> None:
    filled = [(user or session, session) for user, session in rows if user or session]
    of_user, of_session = defaultdict(set), defaultdict(set)
    for user, session in filled:
        of_user[user].add(session)
    known = {user for user, named in of_user.items() if named != {user}}
    for user, session in filled:
        if session and user in known:
            of_session[session].add(user)
    expected = [
        min(of_session[session]) if user not in known and len(of_session[session]) == 1 else user
        for user, session in filled
    ]
    users, sessions = sorted({user for user, _ in filled}), sorted({session for _, session in filled if session})
    found = known_users(
        np.array([users.index(user) for user, _ in filled], dtype=np.int64),
        np.array([sessions.index(session) if session else -1 for _, session in filled], dtype=np.int64),
        np.array([sessions.index(user) if user in sessions else -1 for user in users], dtype=np.int64),
    )
    assert [users[user] for user in found.tolist()] == expected
