"""The analyzer of a collection: its language, and what of its letters becomes no term."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fingerpost.tasks.corpus.analyzer import Analyzer, AnalyzerParams
from fingerpost.tasks.corpus.languages import SAMPLE_DOCUMENTS, choose_language
from fingerpost.tasks.corpus.runs import RUN
from fingerpost.tasks.corpus.scripts import MARKS

_SAMPLE_DOCUMENTS = 300
_SAMPLE_CHARACTERS = 2_000
_LETTER = re.compile(rf"[^\W_]|[{MARKS}]")
#: A collection of which a larger fraction of letters becomes no term gets a warning.
MAX_LOST_LETTERS = 0.1


@dataclass(frozen=True)
class AnalyzerQuality:
    """How the analyzer of a collection was chosen and what it loses.

    language, reason: as in `LanguageChoice`; "as set" where the parameters name the language. shares: of the languages
    of sampled documents, empty where it was not measured. lost_letters: fraction. warning: a sentence, "" without one.
    """

    language: str
    reason: str
    shares: dict[str, float]
    lost_letters: float
    warning: str


def choose_analyzer(
    titles: Sequence[str], texts: Sequence[str], params: AnalyzerParams
) -> tuple[Analyzer, AnalyzerQuality]:
    """The analyzer of a collection: "auto" becomes the language of its texts, or of its titles where it has no texts."""
    language, reason, shares = params.language, "as set", dict[str, float]()
    step = max(1, -(-len(texts) // SAMPLE_DOCUMENTS))
    samples = list(zip(titles[::step], texts[::step], strict=True))
    if language == "auto":
        choice = choose_language([text if text.strip() else title for title, text in samples])
        language, reason, shares = choice.language, choice.reason, choice.shares
    analyzer = Analyzer(replace(params, language=language))
    lost = lost_letters([f"{title}\n{text}" for title, text in samples], analyzer)
    warning = ""
    if lost > MAX_LOST_LETTERS:
        warning = (
            f"{lost:.0%} of the letters of the documents become no term, so that search cannot find them by these; "
            f"pattern is {params.pattern!r} and bigrams {'on' if params.bigrams else 'off'}: try 'words' with bigrams"
        )
    return analyzer, AnalyzerQuality(language, reason, shares, lost, warning)


def lost_letters(texts: Sequence[str], analyzer: Analyzer) -> float:
    """The fraction of letters, marks and digits that are in no term, over evenly spread documents.

    Where an analyzer makes no bigrams, scripts that set no spaces are lost: whole lines become one term, which no query
    names.
    """
    step = max(1, -(-len(texts) // _SAMPLE_DOCUMENTS))
    letters = lost = 0
    for whole in texts[::step]:
        text = whole[:_SAMPLE_CHARACTERS]
        if not analyzer.params.bigrams or analyzer.params.pattern == "sklearn":
            text_lost = sum(len(_LETTER.findall(run[0])) for run in RUN.finditer(text))
            rest = RUN.sub(" ", text)
        else:
            text_lost, rest = 0, text
        letters += len(_LETTER.findall(text))
        covered = bytearray(len(rest))
        for _, begin, end in analyzer.spans(rest):
            covered[begin:end] = b"\1" * (end - begin)
        lost += text_lost + sum(not covered[letter.start()] for letter in _LETTER.finditer(rest))
    return lost / letters if letters else 0.0
