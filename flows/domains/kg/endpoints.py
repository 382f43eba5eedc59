"""Questions to a served alignment over HTTP, and what they are answered with."""

from typing import Literal

from pydantic import BaseModel, Field

from fingerpost.flows.run.questions import Question


class Entity(Question):
    """An entity of a graph."""

    id: str = Field(description="its id")
    side: Literal["left", "right"] | None = Field(
        default=None, description="its graph; by default the left one, where both have the id"
    )


class Match(BaseModel):
    """An accepted pair of entities."""

    left: str
    right: str
    left_name: str
    right_name: str
    probability: float
    joined: str = Field(description="the id of the joined entity that they belong to")


class Matches(BaseModel):
    """Matches, the most probable first; none for an entity without one."""

    matches: list[Match]
