"""Names, first paragraphs and bodies."""

import pytest

from fingerpost.tasks.corpus.fields import first_paragraph, name_parts, name_words, split_fields


@pytest.mark.parametrize(
    ("title", "parts"),
    [
        ("numpy.linalg.inv", []),
        ("read_csv", ["read", "csv"]),
        ("pandas.DataFrame.groupby", ["Data", "Frame"]),
        ("HTTPServer.getURL", ["HTTP", "Server", "get", "URL"]),
        ("__init__", ["init"]),
        ("utf8", []),
        ("", []),
    ],
)
def test_name_parts(title, parts):
    assert name_parts(title) == parts


def test_name_words_are_lower_case_and_whole_as_well_as_parts():
    assert name_words("pandas.DataFrame.to_csv") == {"pandas", "dataframe", "data", "frame", "to_csv", "to", "csv"}
    assert name_words("हिन्दी दिन") == {"हिन्दी", "दिन"}


@pytest.mark.parametrize(
    ("text", "first", "rest"),
    [
        ("", "", ""),
        ("one line", "one line", ""),
        ("a\nb\n\nc\n\nd", "a\nb", "c\n\nd"),
        ("\n\n  a\n \t \n\n c ", "a", "c"),
        ("a\r\n\r\nb", "a", "b"),
    ],
)
def test_first_paragraph(text, first, rest):
    assert first_paragraph(text) == (first, rest)


def test_split_fields():
    names, firsts, bodies = split_fields(["pandas.read_csv", "x"], ["Read.\n\nMore.", "Only."])
    assert names == ["pandas.read_csv read csv", "x"]
    assert firsts == ["Read.", "Only."]
    assert bodies == ["More.", ""]


def test_split_fields_needs_both_columns():
    with pytest.raises(ValueError, match="expected one for each of 1 texts, got 2"):
        split_fields(["a", "b"], ["c"])
