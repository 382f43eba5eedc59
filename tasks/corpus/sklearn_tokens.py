"""The tokens of scikit-learn's ``CountVectorizer``."""

import re

_TOKEN = re.compile(r"(?u)\b\w\w+\b")


def sklearn_tokens(text: str) -> list[str]:
    """The tokens of a text at scikit-learn's defaults."""
    return _TOKEN.findall(text.lower())


def sklearn_spans(text: str) -> list[tuple[str, int, int]]:
    """The tokens with their places: (token, begin, end), ``text[begin:end]`` as written."""
    lower = text.lower()
    if len(lower) == len(text):
        return [(token[0], *token.span()) for token in _TOKEN.finditer(lower)]
    # A few capitals are longer in lower case.
    source = [place for place, letter in enumerate(text) for _ in letter.lower()]
    return [(token[0], source[token.start()], source[token.end() - 1] + 1) for token in _TOKEN.finditer(lower)]
