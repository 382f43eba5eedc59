"""Requests in one line: read as they are meant, and written so that they are read as the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.tasks.autocomplete.request import Request, RequestError, previous_of, request_of


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("", Request()),
        ("num", Request(prefix="num")),
        ("num ", Request(prefix="num ")),
        ("numpy.zeros > num", Request(("numpy.zeros",), "num")),
        ("numpy.zeros > numpy.ones > num", Request(("numpy.zeros", "numpy.ones"), "num")),
        ("numpy.zeros >", Request(("numpy.zeros",))),
        ("numpy.zeros > ", Request(("numpy.zeros",))),
        (" > > num", Request(prefix="num")),
        ("a>b", Request(prefix="a>b")),
        ("weather >> map", Request(prefix="weather >> map")),
        ('["a > b", "c"]', Request(("a > b",), "c")),
        ('["c"]', Request(prefix="c")),
        ("[sic] > a", Request(("[sic]",), "a")),
        ("天气 > 天", Request(("天气",), "天")),
    ],
)
def test_lines_are_read_as_they_are_meant(line: str, request_: Request) -> None:
    assert request_of(line) == request_


@pytest.mark.parametrize("line", ['["a", "b"', '["a", 1]', '["a"] b'])
def test_a_list_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(RequestError, match=r"^request: expected a JSON list of strings"):
        request_of(line)


def test_queries_before_have_a_line_of_their_own() -> None:
    assert previous_of("") == ()
    assert previous_of("a > b") == ("a", "b")
    assert previous_of('["a > b"]') == ("a > b",)


#: As they stand in a session: with something in them, and without blanks around them.
QUERIES = st.text(alphabet=st.characters(codec="utf-8") | st.sampled_from('> ["]'), max_size=12).map(str.strip)


@given(st.lists(QUERIES.filter(bool), max_size=4), st.text(max_size=8).map(str.lstrip))
def test_a_request_is_read_from_the_line_that_it_writes(previous: list[str], prefix: str) -> None:
    asked = Request(tuple(previous), prefix)
    assert request_of(str(asked)) == asked
