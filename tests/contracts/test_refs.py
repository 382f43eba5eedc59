"""References: what they accept, and that nothing taken from input can leave the store's root."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.schemas import corpus, metric, xmr
from fingerpost.schemas.errors import FingerpostError, UnsafeNameError
from fingerpost.schemas.files import Files
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import (
    FORMER_NAMES,
    Ref,
    canonical_json,
    changed_keys,
    checked_day,
    checked_fingerprint,
    checked_name,
    digest_of,
    same_kind,
)
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import Ledger
from tests.strategies import ESCAPES, unsafe_names

DAY, FINGERPRINT = "2026-01-02", "0123456789abcdef"


def _accepted(check: Callable[[str], str], text: str) -> bool:
    try:
        return check(text) == text
    except UnsafeNameError:
        return False


@pytest.mark.parametrize("name", ["a", "corpus.documents", "python-docs", "x_1", "0", "a" * 100])
def test_good_names_are_taken_as_they_are(name: str) -> None:
    assert checked_name(name) == name
    assert str(Ref(name, DAY, FINGERPRINT)) == f"{name}/day={DAY}/{FINGERPRINT}"


@pytest.mark.parametrize("name", ESCAPES)
def test_an_escaping_name_is_refused_in_every_place(name: str, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    for attempt in (
        lambda: Ref(name, DAY, FINGERPRINT),
        lambda: Ref("a", name, FINGERPRINT),
        lambda: Ref("a", DAY, name),
        lambda: Pointer(store, name, "ann.index"),
        lambda: Pointer(store, "a", name),
        lambda: Ledger(store, name),
        lambda: list(store.refs(name)) if name else checked_name(name),
    ):
        with pytest.raises(UnsafeNameError) as caught:
            attempt()
        assert repr(name) in str(caught.value)


@given(unsafe_names())
def test_names_that_could_escape_are_refused(name: str) -> None:
    with pytest.raises(UnsafeNameError, match="name: expected lower-case letters"):
        checked_name(name)


@given(st.text(max_size=40) | unsafe_names())
def test_days_and_fingerprints_are_only_what_they_look_like(text: str) -> None:
    for check in (checked_day, checked_fingerprint):
        if _accepted(check, text):
            assert text
            assert not set(text) - set("0123456789abcdef-")


@given(st.text(max_size=30) | unsafe_names())
def test_any_text_parses_to_a_safe_reference_or_is_refused(text: str) -> None:
    for form in (text, f"{text}/day={DAY}/{FINGERPRINT}", f"a/day={text}/{FINGERPRINT}", f"a/day={DAY}/{text}"):
        try:
            ref = Ref.parse(form)
        except UnsafeNameError:
            continue
        assert Ref.parse(str(ref)) == ref
        assert len(Path(str(ref)).parts) == 3
        assert ".." not in str(ref)


@given(st.text(max_size=20) | unsafe_names())
def test_a_path_stays_below_the_root_or_is_refused(text: str) -> None:
    files = Files("/srv/store")
    for relative in (text, f"a/{text}", f"{text}/a"):
        try:
            full = files.path(relative)
        except UnsafeNameError:
            continue
        assert Path(full).resolve().is_relative_to("/srv/store")
        assert full != "/srv/store"


@pytest.mark.parametrize("day", ["2026-02-30", "2026-1-2", "20260102", "2026-W01-1", "day=2026-01-02", None, 20260102])
def test_a_day_is_a_calendar_day(day: object) -> None:
    with pytest.raises(UnsafeNameError, match=r"day: expected a calendar day YYYY-MM-DD, got .*; correct it"):
        checked_day(day)  # type: ignore[arg-type]


@pytest.mark.parametrize("fingerprint", ["0" * 15, "0" * 65, "G" * 16, "ABCDEF0123456789", None])
def test_a_fingerprint_is_hexadecimal(fingerprint: object) -> None:
    with pytest.raises(UnsafeNameError, match=r"fingerprint: expected 16 to 64 hexadecimal digits, got .*; copy it"):
        checked_fingerprint(fingerprint)  # type: ignore[arg-type]


def test_a_references_form_is_named() -> None:
    with pytest.raises(
        UnsafeNameError, match=r"reference: expected name/day=YYYY-MM-DD/fingerprint, got 'a/b/c'; copy it"
    ):
        Ref.parse("a/b/c")
    assert issubclass(UnsafeNameError, FingerpostError)


def test_identity_leaves_the_day_out() -> None:
    assert Ref("a", DAY, FINGERPRINT).identity == Ref("a", "2026-01-03", FINGERPRINT).identity
    assert Ref("a", DAY, FINGERPRINT).identity != Ref("b", DAY, FINGERPRINT).identity


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), _JSON, max_size=4))
def test_digests_do_not_depend_on_order_and_survive_a_round_trip(value: dict[str, object]) -> None:
    reversed_value = dict(reversed(value.items()))
    assert digest_of(value) == digest_of(reversed_value)
    if "\\ud" not in json.dumps(value):
        assert digest_of(json.loads(canonical_json(value))) == digest_of(value)


def test_digests_differ_where_values_do() -> None:
    values = [{"a": 1}, {"a": 2}, {"a": "1"}, {"a": [1]}, {"a": {}}, {"b": 1}, {}, [], None, 1.5, True]
    assert len({digest_of(value) for value in values}) == len(values)
    with pytest.raises(ValueError, match="Out of range float"):
        digest_of(float("nan"))


def test_changed_keys_are_dotted_and_sorted() -> None:
    before = {"params": {"rank": 2, "seed": 0}, "gone": 1, "same": [1]}
    after = {"params": {"rank": 3, "seed": 0}, "new": {"x": 1}, "same": [1]}
    assert changed_keys(before, after) == ["gone", "new", "params.rank"]
    assert changed_keys(after, after) == []


def test_what_got_a_contract_of_its_own_keeps_its_name_in_fingerprints() -> None:
    assert Ref("xmr.queries", "2026-01-05", "0" * 32).identity == f"corpus.documents:{'0' * 32}"
    assert Ref("xmr.model", "2026-01-05", "0" * 32).identity == f"xmr.model:{'0' * 32}"
    contracts = {contract.name: contract for module in (corpus, metric, xmr) for contract in module.CONTRACTS}
    for name, former in FORMER_NAMES.items():
        # A version that holds other data needs another fingerprint, and no former name.
        assert (contracts[name].version, contracts[former].version) == (1, 1)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("xmr.queries", "xmr.queries", True),
        ("xmr.queries", "corpus.documents", True),
        ("corpus.documents", "xmr.queries", True),
        ("xmr.queries", "metric.embeddings", False),
        ("corpus.vectors", "corpus.documents", False),
    ],
)
def test_artifacts_are_compared_under_their_former_name_too(first: str, second: str, same: bool) -> None:
    assert same_kind(first, second) is same
