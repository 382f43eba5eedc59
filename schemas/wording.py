"""Bounds of what messages quote: a message is read by people, and kept in records, alerts and logs."""

from collections.abc import Sequence

#: The longest message of an error, in characters.
LONGEST = 2000


def cut(text: str, most: int = 200) -> str:
    """A text of at most ``most`` characters, the rest replaced by "…"."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def shown(value: object, most: int = 100) -> str:
    """The ``repr`` of a value, cut; of a long text without making the whole of it."""
    return cut(repr(value[: 2 * most] if isinstance(value, str | bytes) else value), most)


def listed(names: Sequence[str], most: int = 20) -> str:
    """The first names, each cut, with the number of others; "none" without any."""
    first = ", ".join(cut(name, 40) for name in names[:most])
    return f"{first}, … ({len(names) - most:,} more)" if len(names) > most else first or "none"


def some(names: Sequence[str], most: int = 4) -> str:
    """The first names in full, and the number of the others."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def counted(count: int, table: str) -> str:
    """A number of rows of a table, by its name where that is a plural: ``8,000 documents``, but ``12 rows of graph``."""
    if table.endswith("s") and count != 1:
        return f"{count:,} {table}"
    return f"{count:,} row{'' if count == 1 else 's'}{'' if table == 'rows' else f' of {table}'}"


def bounded(message: str) -> str:
    """A message of at most `LONGEST` characters: its beginning names the object, its end what to do."""
    if len(message) <= LONGEST:
        return message
    head, tail = message[: LONGEST - 600], message[-500:]
    return f"{head} … ({len(message) - len(head) - len(tail):,} more characters) … {tail}"
