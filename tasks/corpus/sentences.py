"""The first sentence of a text."""

import re

from fingerpost.tasks.corpus.fields import first_paragraph

#: Full stops with what closes after them. The stops of Chinese and Japanese, of Indic scripts, Khmer, Myanmar, Ethiopic
#: and Armenian need no space behind.
_END = re.compile(
    r"[.!?…]+[\"'”’»)\]]*(?=\s)|[\u061f\u06d4]+(?=\s)"
    r"|[\u3002\uff01\uff1f\uff61\u0964\u0965\u17d4\u17d5\u104b\u1362\u0589]+[」』”’）]*"
)
#: Initials and abbreviations with inner stops: J, U.S, e.g, Ph.D.
_DOTTED = re.compile(r"(?:[^\W\d_]{1,2}\.)*[^\W\d_]")
_SHORT = frozenset(
    re.findall(
        r"\w+",
        "adm al approx apr aug ave bros bzw ca capt cf cm cmdr co col comp corp dec def dept dr ed eds eq eqn eqs esp est "
        "etc exp feb fig figs ft gen gov hon inc incl jan jr jul jun lt ltd maj mar max messrs min mr mrs ms mt nov oct op "
        "pp pres prof ref refs rep resp rev sec sen sep sept sgt sr st tab usw vgl viz vol vols vs",
    )
)
#: Words that are short for others only before a number.
_NUMBERED = frozenset({"no", "nos", "nr"})
# Longer words are no abbreviations.
_ABBREVIATION = 24


def first_sentence(text: str) -> str:
    """The first sentence of a text's first paragraph, with white space collapsed.

    A stop after an abbreviation, an initial or the number of an item ends no sentence, nor does one before a word in lower
    case if the paragraph has capitals: in doubt the result is longer than the sentence, never shorter.
    """
    paragraph = " ".join(first_paragraph(text)[0].split())
    capitals = not paragraph.islower()
    for end in _END.finditer(paragraph):
        if not _goes_on(paragraph, end, capitals=capitals):
            return paragraph[: end.end()]
    return paragraph


def remove_first_sentence(text: str) -> str:
    """The text without the first sentence of its first paragraph."""
    paragraph, rest = first_paragraph(text)
    remaining = " ".join(paragraph.split())[len(first_sentence(text)) :].lstrip()
    return "\n\n".join(part for part in (remaining, rest) if part)


def _goes_on(paragraph: str, end: re.Match[str], *, capitals: bool) -> bool:
    """Whether a sentence goes on after a stop."""
    if end[0][0] not in ".!?…":
        return False
    after = paragraph[end.end() : end.end() + 2].lstrip()[:1]
    if capitals and after.islower():
        return True
    before = paragraph[max(0, end.start() - _ABBREVIATION) : end.start()]
    word = before[before.rfind(" ") + 1 :].lstrip("\"'“‘«([")
    if not word:
        return not before.strip() or end[0].startswith("..")
    if word.isdigit() and len(word) == end.start():
        return True
    if word.lower() in _NUMBERED:
        return after.isdigit()
    return end[0].startswith(".") and bool(_DOTTED.fullmatch(word) or word.lower() in _SHORT)
