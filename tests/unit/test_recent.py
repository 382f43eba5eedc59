"""Values that are kept until others are asked for."""

from collections.abc import Callable

from fingerpost.tasks.recent import Recent


def counted(calls: list[str], value: str) -> Callable[[], str]:
    """Makes a value and notes that it did."""

    def make() -> str:
        calls.append(value)
        return value

    return make


def test_one_value_is_kept_and_dropped_before_another_is_made() -> None:
    recent: Recent[str, str] = Recent()
    calls: list[str] = []
    assert [recent.get("a", counted(calls, "a")) for _ in range(2)] == ["a", "a"]
    assert calls == ["a"]
    held: list[int] = []

    def make() -> str:
        held.append(len(recent))
        return "b"

    assert recent.get("b", make) == "b"
    assert held == [0]
    recent.get("a", counted(calls, "a"))
    assert calls == ["a", "a"]


def test_values_within_a_limit_are_kept_and_the_least_recently_used_go_first() -> None:
    recent: Recent[str, str] = Recent(10, len)
    calls: list[str] = []
    for value in ("aaaa", "bbbb", "aaaa", "cccc", "aaaa"):
        assert recent.get(value, counted(calls, value)) == value
    assert calls == ["aaaa", "bbbb", "cccc"]
    recent.get("bbbb", counted(calls, "bbbb"))
    assert calls[-1] == "bbbb"
    assert len(recent) == 2


def test_a_value_over_the_limit_is_given_and_not_kept() -> None:
    recent: Recent[str, str] = Recent(3, len)
    calls: list[str] = []
    assert recent.get("aaaa", counted(calls, "aaaa")) == "aaaa"
    assert len(recent) == 0
    recent.get("aa", counted(calls, "aa"))
    recent.clear()
    assert len(recent) == 0
