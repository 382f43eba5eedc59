"""Parts of a docstring: its first sentence, and the names that its "See Also" sections list."""

import re
from collections.abc import Sequence

_TITLE = re.compile(r"[ \t]*see also[ \t]*:?[ \t]*", re.IGNORECASE)
_RULE = re.compile(r"[ \t]*(-{3,}|={3,}|~{3,})[ \t]*")
_DIRECTIVE = re.compile(r"([ \t]*)\.\. seealso::(.*)", re.IGNORECASE)

_ROLES = "func|meth|class|attr|obj|mod|exc|data|const|type|function|method|property|any"
_ROLE = re.compile(rf":(?:py:)?(?:{_ROLES}):`([^`]+)`")
_OTHER_ROLE = re.compile(r":[\w:+-]+:`[^`]*`")
_NAME = r"(?::[\w:+-]+:`[^`]+`|`[^`]+`|~?\.?[A-Za-z_][\w.]*(?:\(\))?)"
_ITEM = re.compile(rf"({_NAME}(?:\s*,\s*{_NAME})*)\s*,?\s*(?::(?:\s.*)?)?")
_DOTTED = re.compile(r"\.?[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_SENTENCE = re.compile(r"(.+?[.!?])(?=\s+[^a-z\s]|\s*$)", re.DOTALL)


def split_see_also(text: str) -> tuple[str, tuple[str, ...]]:
    """A cleaned docstring without its "See Also" sections, and the names they list, as written, each once.

    Sections are those of numpydoc (underlined), of Google's style (a colon, then an indented block) and Sphinx's ``..
    seealso::``. Names of pages and labels are left out; a leading dot stays, for it says that a name is only an end.
    """
    lines = text.split("\n")
    kept: list[str] = []
    names: dict[str, None] = {}
    place = 0
    while place < len(lines):
        stop = place
        if found := _DIRECTIVE.fullmatch(lines[place]):
            stop = _block_end(lines, place + 1, len(found[1]))
            names.update(dict.fromkeys(_referred("\n".join([found[2], *lines[place + 1 : stop]]))))
        elif _TITLE.fullmatch(lines[place]) and place + 1 < len(lines) and _RULE.fullmatch(lines[place + 1]):
            stop = _section_end(lines, place + 2)
            names.update(dict.fromkeys(_listed(lines[place + 2 : stop])))
        elif _TITLE.fullmatch(lines[place]) and lines[place].rstrip().endswith(":"):
            stop = _block_end(lines, place + 1, _indentation(lines[place]))
            names.update(dict.fromkeys(_listed(lines[place + 1 : stop])))
        if stop == place:
            kept.append(lines[place])
        place = max(stop, place + 1)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip(), tuple(names)


def split_sentence(text: str) -> tuple[str, str]:
    """The first sentence of a cleaned docstring in one line, and the rest of it."""
    paragraph, _, rest = text.partition("\n\n")
    found = _SENTENCE.match(paragraph)
    end = found.end(1) if found else len(paragraph)
    others = "\n\n".join(part for part in (paragraph[end:].strip(), rest.strip()) if part)
    return " ".join(paragraph[:end].split()), others


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _block_end(lines: Sequence[str], start: int, indentation: int) -> int:
    """The line behind the last of a block that is indented more."""
    stop = start
    for place in range(start, len(lines)):
        if lines[place].strip():
            if _indentation(lines[place]) <= indentation:
                break
            stop = place + 1
    return stop


def _section_end(lines: Sequence[str], start: int) -> int:
    """The line of the next heading, or behind the last line."""
    for place in range(start, len(lines) - 1):
        if lines[place].strip() and _RULE.fullmatch(lines[place + 1]):
            return place
    return len(lines)


def _listed(lines: Sequence[str]) -> list[str]:
    """The names at the start of the outermost lines; what stands behind a colon or deeper describes them."""
    written = [line for line in lines if line.strip()]
    outer = min(map(_indentation, written), default=0)
    names: list[str] = []
    for line in written:
        found = _ITEM.fullmatch(line.strip()) if _indentation(line) == outer else None
        for part in re.findall(_NAME, found[1]) if found else ():
            if (role := _ROLE.fullmatch(part)) or not _OTHER_ROLE.fullmatch(part):
                names.extend(_plain(role[1] if role else part.strip("`")))
    return names


def _referred(text: str) -> list[str]:
    return [name for inner in _ROLE.findall(text) for name in _plain(inner)]


def _plain(inner: str) -> list[str]:
    """``a.b`` of ``~a.b()`` or ``text <a.b>``; nothing of what is no name."""
    shown = re.fullmatch(r".*<([^<>]+)>\s*", inner, re.DOTALL)
    name = (shown[1] if shown else inner).strip().lstrip("~!").removesuffix("()")
    return [name] if _DOTTED.fullmatch(name) else []
