"""Query logs: rows with hashed users, times in every form, bad rows by position and reason alone, nothing of a row quoted."""

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fingerpost.schemas.errors import FingerpostError, InputError
from fingerpost.schemas.inputs.blocked_queries import BlockedQueries
from fingerpost.schemas.inputs.days import unchanging_files
from fingerpost.schemas.inputs.event_times import time_cells
from fingerpost.schemas.inputs.events import EVENT_SCHEMA, EVENTS, DailyEvents, EventFile
from fingerpost.schemas.inputs.rewriting import count_rows, remove_rows
from fingerpost.schemas.inputs.suppression import Suppressed, hashed_key

SALT = b"salt"
START = dt.datetime(2006, 3, 1, 7, 17, 12, tzinfo=dt.UTC)
MOMENT = int(START.timestamp()) * 10**6
#: What no message, record or detail may say.
SECRETS = ("anna-k", "secret wish", "anna", "secret", "wish")


def lines(path: Path, rows: Sequence[dict[str, Any] | str]) -> str:
    texts = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    return str(path)


def read(folder: Path, rows: Sequence[dict[str, Any] | str], **options: Any) -> Any:
    batch = EventFile(lines(folder / "log.jsonl", rows), salt=SALT, **options).read()
    assert batch.accepted.schema == EVENT_SCHEMA
    return batch


def test_users_and_sessions_are_hashed_and_queries_cleaned(tmp_path: Path) -> None:
    rows = [
        {"user": "anna-k", "session": 7, "time": "2006-03-01 07:17:12", "query": "  red\u3000\tshoes\x1b\n"},
        {"user": 5, "time": MOMENT // 10**6, "query": 2020},
        {"session": "s", "query": "日本語"},
    ]
    found = read(tmp_path, rows).accepted.to_pylist()
    assert found == [
        {"user": hashed_key(SALT, "anna-k"), "session": hashed_key(SALT, "7"), "time": MOMENT, "query": "red shoes"},
        {"user": hashed_key(SALT, "5"), "session": "", "time": MOMENT, "query": "2020"},
        {"user": hashed_key(SALT, "s"), "session": hashed_key(SALT, "s"), "time": -1, "query": "日本語"},
    ]


BAD = [
    ({"time": "2006-03-01", "query": "secret wish"}, "no user"),
    ({"user": " ", "time": "2006-03-01", "query": "secret wish"}, "no user"),
    ({"user": "anna-k", "query": "secret wish"}, "no time"),
    ({"user": "anna-k", "time": "anna-k", "query": "secret wish"}, "time not understood"),
    ({"user": "anna-k", "session": "s", "time": "secret wish", "query": "secret wish"}, "time not understood"),
    ({"user": "anna-k", "time": -5, "query": "secret wish"}, "time not understood"),
    ({"user": "anna-k", "time": ["2006"], "query": "secret wish"}, "time not understood"),
    ({"user": "anna-k", "time": "2006-03-01", "query": "secret wish" * 100}, "query too long"),
    ({"user": ["anna-k"], "time": "2006-03-01", "query": "secret wish"}, "wrong type"),
    ({"user": 1.5, "time": "2006-03-01", "query": "secret wish"}, "wrong type"),
    ({"user": "anna-k", "time": "2006-03-01", "query": {"secret": "wish"}}, "wrong type"),
    ({"user": "anna-k", "time": "2006-03-01", "query": "\ud800secret wish"}, "wrong type"),
    ('{"user": "anna-k", "query": "secret wish', "invalid line"),
    ('["anna-k", "secret wish"]', "invalid line"),
    ('"anna-k secret wish"', "invalid line"),
]


@pytest.mark.parametrize(("row", "reason"), BAD)
def test_bad_row_has_a_position_and_a_reason_and_no_more(
    tmp_path: Path, row: dict[str, Any] | str, reason: str
) -> None:
    good = {"user": "otto", "time": "2006-03-01", "query": "hammer"}
    batch = read(tmp_path, [good, row, good])
    (bad,) = batch.quarantined.to_pylist()
    assert (bad["row"], bad["id"], bad["reason"]) == (1, "", reason)
    assert batch.reasons == {reason: 1}
    assert batch.accepted.num_rows == 2
    assert not any(secret in str(bad) for secret in SECRETS)
    assert bad["detail"]


def test_rows_without_a_query_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [{"user": "a", "time": "2006-03-01", "query": query} for query in ("x", "", " \u00a0 ", None, ["x"], "y")]
    batch = read(tmp_path, [*rows, {"user": "", "time": "never"}, {"user": "a", "time": "never", "query": "x"}])
    assert batch.accepted["query"].to_pylist() == ["x", "y"]
    assert batch.empty == 4
    assert [(row["row"], row["reason"]) for row in batch.quarantined.to_pylist()] == [
        (4, "wrong type"),
        (7, "time not understood"),
    ]


def test_bad_records_of_a_csv_are_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text('user,time,query\nanna-k,2006-03-01,secret,wish\nanna-k,"secret"x,wish\notto,2006-03-01,hammer\n')
    batch = EventFile(str(path), salt=SALT).read()
    assert [(row["row"], row["detail"]) for row in batch.quarantined.to_pylist()] == [(0, "line 2"), (1, "line 3")]
    assert batch.accepted.num_rows == 1


WHOLE = [
    ("log.csv", "anna-k,2006-03-01,secret wish\nanna-k,2006-03-01,secret wish\n"),
    ("log.csv", "anna-k;2006-03-01;secret wish\n"),
    ("log.csv", "query,anna-k\nsecret wish,x\n"),
    ("log.csv", "user,query,query\nanna-k,secret wish,b\n"),
    ("log.csv", 'user,query\nanna-k,"secret wish\n'),
    ("log.jsonl", "anna-k secret wish\n"),
    ("log.jsonl", '["anna-k", "secret wish"]\n'),
    ("log.jsonl", '{"who": "anna-k", "said": "secret wish"}\n'),
    ("log.parquet", "anna-k secret wish"),
]


@pytest.mark.parametrize(
    ("header", "mapping", "said"),
    [
        ("who,when,q", {}, "query, user or session among them, found 3 others; .*columns.query=<column>"),
        ("who,when,q", {"query": "q"}, "q, user or session among them, found q and 2 others; .*columns.user=<column>"),
        (
            "user,q",
            {"query": "q", "time": "t"},
            "q, user, session or t among them, found q and user; .*time=",
        ),
        ("user,query,query", {}, "expected one column 'query', found 2 of that name; rename all but one"),
    ],
)
def test_the_advice_is_of_a_column_that_is_missing(
    tmp_path: Path, header: str, mapping: dict[str, str], said: str
) -> None:
    (tmp_path / "log.csv").write_text(f"{header}\n1,2,3\n")
    with pytest.raises(InputError, match=said):
        EventFile(str(tmp_path / "log.csv"), mapping, salt=SALT).read()


@pytest.mark.parametrize(("name", "text"), WHOLE)
def test_a_file_that_cannot_be_used_is_refused_without_a_word_of_its_rows(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    file = EventFile(str(tmp_path / name), salt=SALT)
    with pytest.raises(InputError) as refused:
        file.read()
    blocked = BlockedQueries(str(tmp_path / name))
    messages = [str(refused.value)]
    try:
        blocked.read()
    except InputError as problem:
        messages.append(str(problem))
    wanted = Suppressed.of(["anna-k"], b"x")
    try:
        count_rows(tmp_path / name, {}, wanted, EVENTS)
    except InputError as problem:
        messages.append(str(problem))
    assert not any(secret in message for secret in SECRETS for message in messages)
    assert "expected" in messages[0]


def test_without_a_salt_nothing_is_read(tmp_path: Path) -> None:
    path = lines(tmp_path / "log.jsonl", [{"user": "anna-k", "session": 1, "query": "x"}])
    for source in (EventFile(path), DailyEvents(path)):
        assert "hidden" not in repr(type(source)(path, salt=b"hidden", suppressed=Suppressed.of(["a"], b"hidden")))
        assert source.identity() == type(source)(path, salt=SALT).identity()
        with pytest.raises(FingerpostError, match="salt"):
            source.read()


FORMS: list[tuple[Any, str]] = [
    (["2006-03-01 07:17:12"], ""),
    (["2006-03-01T07:17:12Z"], ""),
    (["2006-03-01T08:17:12+01:00"], ""),
    (["2006-03-01T02:17:12-05:00", None, ""], ""),
    (["2006-03-01T07:17:12.000000"], ""),
    ([" 2006-03-01 07:17:12\n"], ""),
    (["20060301T071712"], ""),
    ([str(MOMENT // 10**6)], ""),
    ([f"{MOMENT // 10**6}.0"], ""),
    ([str(MOMENT // 10**3)], ""),
    ([str(MOMENT)], ""),
    ([str(MOMENT * 1000)], ""),
    ([MOMENT // 10**6], ""),
    ([MOMENT // 10**3], ""),
    ([MOMENT / 10**6, None], ""),
    ([float(MOMENT // 10**3)], ""),
    (pa.array([MOMENT * 1000]), ""),
    (pa.array([MOMENT / 10**6, float("nan")]), ""),
    (pa.array([START.replace(tzinfo=None)], pa.timestamp("ns")), ""),
    (pa.array([START, None], pa.timestamp("ms", "Asia/Tokyo")), ""),
    (pa.array(["2006-03-01 07:17:12"]).dictionary_encode(), ""),
    (pa.array(["2006-03-01 07:17:12"], pa.large_string()), ""),
    (["060301071712"], "%y%m%d%H%M%S"),
    ([60301071712, "060301071712"], "%y%m%d%H%M%S"),
    (["01/03/2006 07h17:12"], "%d/%m/%Y %Hh%M:%S"),
    (["01 Mar 2006 07:17:12 +0000"], "%d %b %Y %H:%M:%S %z"),
]


@pytest.mark.parametrize(("cells", "time_format"), FORMS)
def test_times_in_many_forms(cells: Any, time_format: str) -> None:
    bad: list[int] = []
    found = time_cells(cells, bad.append, time_format=time_format)
    if cells == [60301071712, "060301071712"]:  # a number has lost its zero
        assert (found.tolist(), bad) == ([-1, MOMENT], [0])
    else:
        assert found[0] == MOMENT
        assert (found[1:] == -1).all()
        assert not bad


@pytest.mark.parametrize(
    "value",
    [
        "yesterday",
        "2006-02-30 00:00:00",
        "20060301",
        20060301,
        "970916105432",
        "20060301071712",
        5,
        "-1",
        -1,
        0,
        "1969-12-31 23:59:59.999999",
        "2100-01-01",
        4_102_444_800,
        True,
        [1],
        {"a": 1},
        float("inf"),
        "1e400",
        "9" * 30,
    ],
)
def test_other_times_are_not_understood(value: Any) -> None:
    bad: list[int] = []
    assert time_cells([value], bad.append).tolist() == [-1]
    assert bad == [0]


@settings(max_examples=150, deadline=None)
@given(
    texts=st.lists(
        st.one_of(
            st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2099, 1, 1)).map(str),
            st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2099, 1, 1), timezones=st.timezones()).map(
                lambda moment: moment.isoformat()
            ),
            st.integers(10**8, 4 * 10**9).map(str),
            st.sampled_from(["", "x", "2006-03-01", "2006-13-01 00:00:00", "2006-03-01 24:61:00", "1e9"]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_a_time_does_not_depend_on_its_neighbours(texts: list[str]) -> None:
    alone_bad: list[int] = []
    alone = [int(time_cells([text], lambda _, i=i: alone_bad.append(i))[0]) for i, text in enumerate(texts)]
    bad: list[int] = []
    assert time_cells(texts, bad.append).tolist() == alone
    assert bad == alone_bad
    assert time_cells(pa.array(texts), lambda i: None).tolist() == alone
    formatted = time_cells(texts, lambda i: None, time_format="%Y-%m-%d %H:%M:%S")
    for text, found in zip(texts, formatted, strict=True):
        try:
            moment = dt.datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=dt.UTC)
            assert found == (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
        except ValueError:
            assert found == -1


def test_the_identity_is_of_contents_columns_format_and_what_is_left_out(tmp_path: Path) -> None:
    path = lines(tmp_path / "log.jsonl", [{"user": "anna-k", "session": 1, "query": "Red  Shoes"}])
    plain = EventFile(path)
    others = [EventFile(path, time_format="%y"), EventFile(path, (("query", "q"),))]
    for key in ("anna-k", "1", "red shoes"):
        others.append(
            EventFile(path, suppressed=Suppressed.of([key], b"x", spelled=lambda text: text.lower().replace("  ", " ")))
        )
    with unchanging_files():
        found = [source.identity() for source in (plain, *others)]
    assert len(set(found)) == len(found)
    assert EventFile(path, suppressed=Suppressed.of(["otto"], b"x")).identity() == plain.identity()
    assert [
        EventFile(path, suppressed=other.suppressed, salt=SALT).read().accepted.num_rows for other in others[2:]
    ] == [0, 0, 0]


def test_rows_of_a_forgotten_key_are_removed_from_the_file(tmp_path: Path) -> None:
    rows = [("anna-k", "a"), ("otto", "Red Shoes"), ("otto", "red shoes!"), ("otto", "RED shoes")]
    csv = tmp_path / "log.csv"
    csv.write_text("user,query\n" + "".join(f"{user},{query}\n" for user, query in rows))
    parquet = tmp_path / "log.parquet"
    pq.write_table(pa.table({"user": [row[0] for row in rows], "query": [row[1] for row in rows]}), parquet)
    jsonl = Path(lines(tmp_path / "log.jsonl", [{"user": user, "query": query} for user, query in rows]))
    for file in (csv, parquet, jsonl):
        assert remove_rows(file, {}, Suppressed.of(["anna-k"], b"x"), EVENTS) == 1
        assert remove_rows(file, {}, Suppressed.of(["red shoes"], b"x", spelled=str.lower), EVENTS) == 2
        batch = EventFile(str(file), (("time", "user"),), salt=SALT)
        assert count_rows(file, {}, Suppressed.of(["otto"], b"x"), EVENTS) == 1
        assert batch.identity()


def test_a_day_withdraws_what_a_user_asked(tmp_path: Path) -> None:
    rows = [
        {"user": "anna-k", "time": "2006-03-01", "query": "secret wish"},
        {"user": "otto", "time": "2006-03-01", "query": "secret wish"},
        {"user": "anna-k", "query": " secret  wish ", "deleted": True},
        {"user": "anna-k", "time": "2006-03-01", "query": "secret wish", "deleted": "no"},
        {"user": "anna-k", "time": "2006-03-01", "query": "secret wish", "deleted": "anna"},
        {"user": "anna-k", "deleted": "yes"},
    ]
    day = DailyEvents(lines(tmp_path / "day.jsonl", rows), salt=SALT)
    batch = day.read()
    assert batch.accepted["user"].to_pylist() == [hashed_key(SALT, "otto"), hashed_key(SALT, "anna-k")]
    assert batch.deleted.to_pylist() == [{"user": hashed_key(SALT, "anna-k"), "query": "secret wish"}]
    assert [(row["row"], row["reason"]) for row in batch.quarantined.to_pylist()] == [(4, "wrong type"), (5, "no id")]
    assert not any(secret in str(batch.quarantined.to_pylist()) for secret in SECRETS)
    assert DailyEvents(day.path).marks_deletions()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["u", "v", ""]), st.sampled_from(["q", "Q r", ""]), st.sampled_from(["2006-03-01", "x"])
        ),
        min_size=1,
        max_size=30,
    )
)
def test_every_format_reads_the_same(tmp_path: Path, rows: list[tuple[str, str, str]]) -> None:
    names = ("user", "query", "time")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    (tmp_path / "log.csv").write_text("\n".join([",".join(names), *(",".join(row) for row in rows)]) + "\n")
    lines(tmp_path / "log.jsonl", [dict(zip(names, row, strict=True)) for row in rows])
    found = [EventFile(str(tmp_path / f"log.{kind}"), salt=SALT).read() for kind in ("parquet", "csv", "jsonl")]
    assert found[0].accepted.equals(found[1].accepted)
    assert found[0].accepted.equals(found[2].accepted)
    assert found[0].quarantined.equals(found[1].quarantined)
    assert found[0].quarantined.equals(found[2].quarantined)
    good = sum(1 for user, query, time in rows if user and query and time != "x")
    assert found[0].accepted.num_rows == good
    assert np.array_equal(found[0].accepted["time"].to_numpy(), np.full(good, 1141171200 * 10**6))
