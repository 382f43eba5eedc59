"""The routes of a service: every endpoint of every product, for one question and for many."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel, Field, create_model

from fingerpost.flows import domains
from fingerpost.flows.domains.domain import Endpoint, Product, named
from fingerpost.flows.run.questions import Question

#: What a path has after it where many questions are asked at once.
BATCH = "/batch"


@dataclass(frozen=True)
class Route:
    """A path, the product that answers, and whether many questions are asked at once."""

    path: str
    product: Product
    endpoint: Endpoint
    many: bool

    @cached_property
    def question(self) -> type[BaseModel]:
        """The model of what is asked."""
        asked: type[BaseModel] = named(self.endpoint.question)
        if not self.many:
            return asked
        questions = (list[asked], Field(min_length=1, description="the questions"))  # type: ignore[valid-type]
        return create_model(f"{asked.__name__}Batch", __base__=Question, __doc__="Questions.", questions=questions)

    @cached_property
    def reply(self) -> type[BaseModel]:
        """The model of what is answered, with the version that answered."""
        reply: type[BaseModel] = named(self.endpoint.reply)
        version: Any = (str, Field(description="the reference of the version that answered"))
        if not self.many:
            return create_model(f"{reply.__name__}Answered", __base__=reply, __doc__=reply.__doc__, version=version)
        replies: Any = (list[reply], Field(description="the reply to each question, in their order"))  # type: ignore[valid-type]
        return create_model(f"{reply.__name__}Batch", __doc__="Replies.", version=version, replies=replies)


def routes() -> tuple[Route, ...]:
    """All routes; a route's number in frames is its position."""
    found = [
        (product, endpoint)
        for product in domains.products().values()
        if product.served
        for endpoint in product.served.endpoints
    ]
    return tuple(
        Route(endpoint.path + (BATCH if many else ""), product, endpoint, many)
        for product, endpoint in found
        for many in (False, True)
    )


def served_products() -> tuple[str, ...]:
    """The names of the products that can be served."""
    return tuple(name for name, product in domains.products().items() if product.served)
