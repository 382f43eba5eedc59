"""Questions to a served ranker over HTTP, and what they are answered with."""

from pydantic import BaseModel, Field

from fingerpost.flows.run.questions import Question


class Ranked(Question):
    """A text to rank labels for."""

    text: str = Field(max_length=20_000, description="the text")
    k: int = Field(default=10, ge=0, description="maximum number of labels")


class Label(BaseModel):
    """A label."""

    id: str
    name: str
    score: float
    probability: float | None = Field(description="that the label is right; null where the ranker is not calibrated")


class Labels(BaseModel):
    """Labels, best first; none for a text without a known word."""

    labels: list[Label]
