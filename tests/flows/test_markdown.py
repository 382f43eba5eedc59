"""What others wrote, within Markdown: shown as it stands, with no link, picture, HTML or layout of its own."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

import fingerpost.flows.run.page
from fingerpost.flows.report.tables import PageTable
from fingerpost.flows.run.markdown import code, escaped, table
from fingerpost.flows.run.partition_calendar import calendar_markdown
from fingerpost.flows.run.partitions import Partition
from fingerpost.flows.run.plain_text import visible

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
LINK = "[the sale](https://a.example) ![](https://b.example/x.png)"
PIECES = (
    LINK,
    "<img src=x>",
    "&copy;",
    "**b**",
    "__b__",
    "~~s~~",
    "`c`",
    "\\",
    "|",
    "\n\n# h",
    "- i",
    "1. n",
    "===",
    "> q",
)
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), min_size=1, max_size=4).map("".join)


def plain(text: str) -> str:
    """A text as it is to be read: on one line, control characters visible."""
    return visible(re.sub(r"\s+", " ", text).strip())


def leaves(markdown: str) -> list[Token]:
    """The inline tokens of a Markdown text."""
    return [leaf for token in PARSER.parse(markdown) for leaf in token.children or []]


@given(TEXTS.filter(plain))
@example(LINK)
@example("_a_ a_b __init__.py list[int] 3) x")
@settings(max_examples=60)
def test_a_text_is_what_is_read(text: str) -> None:
    """In a paragraph, a quotation, a list, a heading and a cell."""
    for around in ("{}", "> {}", "- {}", "# {} of b"):
        found = leaves(around.format(escaped(text)))
        assert {token.type for token in found} == {"text"}
        assert "".join(token.content for token in found) == plain(text) + (" of b" if "#" in around else "")
    cells = leaves(table(("head", "b"), [(text, 1)]))
    assert {token.type for token in cells} == {"text"}
    assert "".join(token.content for token in cells) == f"headb{plain(text)}1"


@given(TEXTS.filter(plain))
@settings(max_examples=40)
def test_a_code_span_holds_its_text(text: str) -> None:
    (found,) = leaves(f"x{code(text)}")[1:]
    assert (found.type, found.content) == ("code_inline", plain(text))


def test_the_pages_in_prefect_hold_no_link_of_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of stages, quality and days, the calendar, the descriptions beside them, and the run's own page."""
    shown: list[str] = []
    monkeypatch.setattr(
        fingerpost.flows.run.page,
        "create_markdown_artifact",
        lambda *, markdown, key, description: shown.extend((markdown, description)),
    )
    fingerpost.flows.run.page.show_table([{"why": LINK, "n": 1}], key="stages", description=f"a of {LINK}")
    shown.append(calendar_markdown([Partition("2026-01-02", "failed", LINK)]))
    record = {
        "flow": "nightly",
        "collection": "toys",
        "day": "2026-01-02",
        "state": "failed",
        "seconds": 1.0,
        "id": "1",
    }
    record |= {"profile": LINK, "error": LINK, "notes": [LINK], "gates": [{"gate": LINK, "holds": False}]}
    record |= {"publication": None}
    section = type("Section", (), {"tables": [PageTable(LINK, (LINK, "value"), [(LINK, "1")])]})()
    contents = type("Contents", (), {"quarantines": [], "problems": [LINK], "below": [LINK], "sections": [section]})()
    shown.append(fingerpost.flows.run.page.summary(record, contents, []))
    for markdown in shown:
        assert {token.type for token in leaves(markdown)} <= {"text", "code_inline", "strong_open", "strong_close"}
        assert LINK in "".join(token.content for token in leaves(markdown))
