"""Questions that people ask a published product over HTTP."""

from pydantic import BaseModel, ConfigDict


class Question(BaseModel):
    """A question: immutable, without unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)
