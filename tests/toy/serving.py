"""A glossary that is served: the length of the meaning of a word."""

import os
import signal
import time
from typing import Any

from pydantic import BaseModel

from fingerpost.flows.run.questions import Question
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from tests.toy.answers import GlossaryAnswers


class Word(Question):
    """A word; seconds: of thinking before it is answered, without end for a negative number."""

    word: str
    k: int = 1
    seconds: float = 0.0


class Length(BaseModel):
    """The length of its meaning."""

    length: int


def opened(store: Store, ref: Ref) -> GlossaryAnswers:
    """The glossary of a release."""
    return GlossaryAnswers(store, ref)


def define(glossary: GlossaryAnswers, question: Word) -> dict[str, Any]:
    """The length of the meaning of a word; `crash` and `cut` end the process that is asked, `trip`, `slip` and `blur` are mistakes."""
    if question.word in ("crash", "cut"):
        os.kill(os.getpid(), signal.SIGKILL if question.word == "crash" else signal.SIGBUS)
    if question.word in ("trip", "slip"):
        raise KeyError("a mistake") if question.word == "trip" else ValueError("a mistake")
    if question.word == "blur":
        return {"length": object()}
    while question.seconds < 0:
        time.sleep(1)
    time.sleep(question.seconds)
    if question.word not in glossary.lengths:
        raise InputError(f"word: expected one of the glossary, got {question.word!r}; look it up elsewhere")
    return {"length": glossary.lengths[question.word]}
