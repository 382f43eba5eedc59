"""The first sentence of a text."""

import re

from fingerpost.tasks.corpus.fields import first_paragraph

#: Full stops with what closes after them. Those of Chinese, Japanese, Indic scripts, Khmer, Myanmar, Ethiopic and
#: Armenian are no other sign, and need no space behind.
_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)|[؟۔](?=\s|$)|[。！？｡।॥។៕။።՝։]+[」』”’）]*")
_WESTERN = frozenset(".!?…")
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
_NUMBERED = frozenset({"no", "nos", "nr", "art", "ch", "p"})


def first_sentence(text: str) -> str:
    """The first sentence of a text's first paragraph, with white space collapsed.

    A stop after an abbreviation or an initial, or before a word in lower case, ends no sentence: in doubt the result is
    longer than the sentence, never shorter.
    """
    paragraph = " ".join(first_paragraph(text)[0].split())
    for end in _END.finditer(paragraph):
        if not _goes_on(paragraph[: end.start()], end[0], paragraph[end.end() :].lstrip()):
            return paragraph[: end.end()]
    return paragraph


def remove_first_sentence(text: str) -> str:
    """The text without the first sentence of its first paragraph."""
    paragraph, rest = first_paragraph(text)
    remaining = " ".join(paragraph.split())[len(first_sentence(text)) :].lstrip()
    return "\n\n".join(part for part in (remaining, rest) if part)


def _goes_on(before: str, end: str, after: str) -> bool:
    """Whether a sentence goes on after a stop."""
    if end[0] not in _WESTERN:
        return False
    if after[:1].islower():
        return True
    word = before.rsplit(" ", 1)[-1].lstrip("\"'“‘«([")
    if not word or (word.isdigit() and word == before.strip()):
        return True
    if word.lower() in _NUMBERED:
        return after[:1].isdigit()
    return end.startswith(".") and bool(_DOTTED.fullmatch(word) or word.lower() in _SHORT)
