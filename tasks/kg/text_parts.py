"""Parts of a text that are compared: its words, codes and numbers."""

import re
from collections.abc import Iterable

import numpy as np

from fingerpost.tasks.corpus.scripts import WORD

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def plain(text: str) -> str:
    """The words of a text in lower case, one blank between."""
    return " ".join(WORD.findall(text.lower()))


def codes(text: str) -> str:
    """Its distinct words with a digit (years, sizes, model numbers), each marked so that single characters count."""
    words = (word for word in WORD.findall(text.lower()) if any(map(str.isdigit, word)))
    return " ".join(f"_{word}" for word in dict.fromkeys(words))


def as_terms(names: Iterable[str]) -> str:
    """Names as one word each."""
    return " ".join("_" + plain(name).replace(" ", "_") for name in dict.fromkeys(names))


def number(text: str) -> float:
    """The first number of a text, commas before three digits being no decimal points; NaN for none."""
    found = _NUMBER.search(text)
    if found is None:
        return np.nan
    digits = re.sub(r",(?=\d{3}(?:\D|$))", "", found.group()).replace(",", ".")
    whole, _, rest = digits.partition(".")
    return float(f"{whole}.{rest.replace('.', '') or 0}")


def day(text: str) -> float:
    """The number of the day of a date that begins a text; NaN for none and for no day of the calendar."""
    found = _DAY.match(text)
    try:
        return np.nan if found is None else float(np.datetime64(found.group(), "D").astype(np.int64))
    except ValueError:
        return np.nan
