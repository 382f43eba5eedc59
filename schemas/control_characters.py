"""Characters of a text that would control a terminal, or reorder what stands beside them."""

import re

#: Control characters (C0, DEL, C1), line and paragraph separators, bidirectional embeddings, overrides and isolates,
#: which would also reorder what stands beside them, and unpaired surrogates, which no encoding has.
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: str, *, keep: str = "") -> str:
    r"""A text with control characters as escapes such as ``\x1b``, but for those in ``keep``; all else unchanged."""
    return CONTROLS.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def _escape(character: str) -> str:
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
