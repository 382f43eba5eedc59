"""Questions to a served completer over HTTP, and what they are answered with."""

from typing import Literal

from pydantic import BaseModel, Field

from fingerpost.flows.run.questions import Question


class Typed(Question):
    """What was typed so far, after some queries."""

    prefix: str = Field(default="", max_length=2_000, description="the beginning of a query")
    previous: list[str] | str = Field(default=[], description="the queries before it, in the order they were asked")
    k: int = Field(default=10, ge=0, description="maximum number of suggestions")
    typos: bool | None = Field(
        default=None, description="whether suggestions with one typing error fill up; by default as published"
    )


class Suggestion(BaseModel):
    """A completion."""

    query: str
    score: float
    source: Literal["ranker", "follower", "popular", "typo"] = Field(description="what listed it")


class Suggestions(BaseModel):
    """Completions, best first."""

    suggestions: list[Suggestion]
