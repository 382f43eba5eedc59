"""Numbers as people read them."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fingerpost.flows
from fingerpost.schemas.figures import percent, percentage, significant
from fingerpost.schemas.wording import counted

#: Formats of numbers that write exponents, or percentages in another way: in f-strings, and with the operator %.
_OTHERS = re.compile(r'\{[^{}]*:[+,]*\.\d+[ge]\}|\{[^{}]*:[+,]*g\} ?%|\{[^{}]*:[+,]*\.\d%\}|"%[+.\d]*[ge]( %%)?"')


@given(st.floats(1e-5, 1e15) | st.floats(-1e15, -1e-5), st.integers(1, 8))
def test_a_number_has_its_significant_digits_and_no_exponent(value: float, digits: int) -> None:
    text = significant(value, digits)
    assert re.fullmatch(r"-?\d{1,3}(,\d{3})*(\.\d*[1-9])?", text), text
    read = float(text.replace(",", ""))
    assert abs(read - value) <= max(abs(value) * 0.5 * 10.0 ** (1 - digits), 0 if "." in text else 0.5) * (1 + 1e-9)
    assert significant(abs(value), digits, signed=True)[0] == "+"


@given(st.floats(0, 1))
def test_a_rate_is_only_all_or_nothing_where_it_is(value: float) -> None:
    for text in (percentage(value), percent(value)):
        assert text.endswith(" %")
        if 1e-6 < value < 1 - 1e-6:
            assert float(text.removesuffix(" %").replace(",", "")) not in {0.0, 100.0}


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (1.0, ("1", "100 %", "100.0 %")),
        (0.0, ("0", "0 %", "0.0 %")),
        (12.0, ("12", "1,200 %", "1200.0 %")),
        (0.1234567, ("0.1235", "12.3 %", "12.3 %")),
        (0.99999, ("1", "99.999 %", "99.999 %")),
        (0.0001234, ("0.0001234", "0.0123 %", "0.012 %")),
        (1e-9, ("1e-09", "1e-07 %", "1e-07 %")),
        (906484.4, ("906,484", "90,648,440 %", "90648440.0 %")),
    ],
)
def test_examples(value: float, texts: tuple[str, str, str]) -> None:
    assert (significant(value), percentage(value), percent(value)) == texts


def test_unknown_and_endless_numbers_are_named() -> None:
    assert [percentage(None), significant(float("inf")), significant(float("nan")), significant(-0.0)] == [
        "–",
        "inf",
        "nan",
        "0",
    ]


def test_no_command_or_page_writes_a_number_in_another_way() -> None:
    root = Path(fingerpost.flows.__path__[0])
    found = [
        f"{path.relative_to(root)}: {line.strip()}"
        for path in sorted(root.rglob("*"))
        if path.suffix in {".py", ".html"}
        for line in path.read_text().splitlines()
        if _OTHERS.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("count", "table", "text"),
    [
        (8000, "documents", "8,000 documents"),
        (0, "documents", "0 documents"),
        (1, "blocks", "1 row of blocks"),
        (12, "graph", "12 rows of graph"),
        (1, "rows", "1 row"),
        (5, "rows", "5 rows"),
    ],
)
def test_rows_are_counted_by_the_name_of_their_table(count: int, table: str, text: str) -> None:
    assert counted(count, table) == text
