"""Text that others wrote, as parts of Markdown: shown as it stands, with no link, picture or HTML of its own.

Backslash escapes of CommonMark; bare addresses, which renderers may turn into links to themselves, stay as they are.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from fingerpost.flows.run.plain_text import visible

_ACTIVE = re.compile(r"[\\`*\[\]{}!|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
#: What makes a heading, a quotation, a list or a rule at the beginning of a line.
_OPENING = re.compile(r"^(?:(\d{1,9})(?=[.)](?:\s|$))|(?=[#=>]|-[-\s]|[-+](?:\s|$)))(.)")


def escaped(text: str) -> str:
    """A text for a line or a cell of Markdown: on one line, without markup, control characters as escapes."""
    plain = visible(re.sub(r"\s+", " ", text).strip())
    plain = _ACTIVE.sub(lambda found: "\\" + found[0], plain)
    return _OPENING.sub(r"\1\\\2", plain).replace("&", "&amp;").replace("<", "&lt;")


def code(text: str) -> str:
    """A text as a code span outside tables."""
    plain = visible(re.sub(r"\s+", " ", text).strip()) or " "
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", plain)), default=0))
    space = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{space}{plain}{space}{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], *, bold: str = "") -> str:
    """A table of values, each escaped; cells that equal ``bold`` are set in bold."""
    lines = [[escaped(str(cell)) for cell in line] for line in (head, *rows)]
    lines[1:] = [[f"**{cell}**" if bold and cell == bold else cell for cell in line] for line in lines[1:]]
    lines.insert(1, ["---"] * len(head))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def table_of_rows(rows: Sequence[dict[str, Any]]) -> str:
    """A table of rows that all have the same keys, with these as its head."""
    return table(list(rows[0]), [list(row.values()) for row in rows]) if rows else "Nothing."
