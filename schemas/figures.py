"""Numbers as people read them, in every report, page, table and message: with separators, and without exponents."""

import math

#: Below it a number that is not 0 is written with an exponent: its zeros would say less.
_LEAST = 1e-5
#: Significant digits at which a rate that is nearly 0 or 1 stops getting more of them.
_MOST_DIGITS = 9


def significant(value: float | None, digits: int = 4, *, signed: bool = False) -> str:
    """A number with some significant digits; all digits before the point are kept: 1,234,567 and not 1.23e+06.

    A dash for None.
    """
    if value is None:
        return "–"
    sign = "+" if signed else ""
    if not math.isfinite(value):
        return f"{value:{sign}g}"
    if value == 0 or abs(value) < _LEAST:
        return f"{value + 0.0:{sign}.{digits}g}"
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])
    text = f"{value:{sign},.{max(0, digits - 1 - exponent)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percentage(value: float | None, digits: int = 3, *, signed: bool = False) -> str:
    """A fraction in per cent with some significant digits; a dash for None.

    What is less than all, or than the whole by a little, does not become 100 %.
    """
    if value is None:
        return "–"
    text = significant(100 * value, digits, signed=signed)
    while text.lstrip("+-") == "100" and abs(value) != 1 and digits < _MOST_DIGITS:
        digits += 1
        text = significant(100 * value, digits, signed=signed)
    return f"{text} %"


def percent(value: float, *, signed: bool = False) -> str:
    """A fraction in per cent with one digit after the point, for columns; with more where that would be 0.0 or 100.0."""
    text = f"{100 * value:{'+' if signed else ''}.1f}"
    hidden = text.lstrip("+-") in {"0.0", "100.0"} and abs(value) not in {0, 1}
    return percentage(value, 2, signed=signed) if hidden else f"{text} %"
