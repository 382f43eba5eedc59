"""Questions to a served threshold over HTTP, and what they are answered with."""

from pydantic import BaseModel, Field

from fingerpost.flows.run.questions import Question


class Group(Question):
    """A group of classes, or all of them."""

    group: str = Field(default="", description="a group of classes; by default all")


class Threshold(BaseModel):
    """A threshold, its interval and its model."""

    threshold: float = Field(description="a minimum similarity, or a maximum distance")
    interval: tuple[float, float]
    measure: str
    rate: str = Field(description="the error rate that it was chosen for")
    share: float = Field(description="the value of that rate")
    model: str = Field(description="the model whose vectors it holds for")


class Pair(Question):
    """Two vectors of the threshold's model."""

    left: list[float] = Field(min_length=1, description="a vector of the model")
    right: list[float] = Field(min_length=1, description="another")
    group: str = Field(default="", description="the group of classes that one of them is in, if any")


class Compared(BaseModel):
    """The comparison of two vectors."""

    same: bool = Field(description="whether they are of one class")
    score: float = Field(description="their similarity, or their distance")
    threshold: float
    measure: str
