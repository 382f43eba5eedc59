"""Questions to a served index over HTTP, and what they are answered with."""

from typing import Literal

from pydantic import BaseModel, Field

from fingerpost.flows.run.questions import Question


class _Asked(Question):
    """What every question to an index may say."""

    k: int = Field(default=10, ge=0, description="maximum number of answers")
    kind: str | None = Field(default=None, description="only documents of this kind")
    package: str | None = Field(default=None, description="only documents of this package")
    filters: list[str] | str = Field(
        default=[], description='conditions that documents have to pass, such as kind == "function"'
    )
    within: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="only documents of at least this similarity (l2: at most this distance), nearest first",
    )
    distinct: bool = Field(default=False, description="of near-duplicates only the best")


class Query(_Asked):
    """A text."""

    text: str = Field(max_length=20_000, description="the text to answer")
    explain: bool = Field(default=False, description="with matched terms, snippets and near spellings")


class Like(_Asked):
    """A document of the index."""

    id: str = Field(description="the id of a document, which is none of the answers")
    ef: int | None = Field(default=None, ge=1, le=100_000, description="width of the search; by default as certified")
    explain: bool = Field(default=False, description="with matched terms and snippets")


class Near(_Asked):
    """A vector of the documents' own space."""

    vector: list[float] = Field(min_length=1, description="as many finite numbers as the documents' vectors have")
    ef: int | None = Field(default=None, ge=1, le=100_000, description="width of the search; by default as certified")


class Term(BaseModel):
    """A term that an answer shares with the query."""

    term: str
    weight: float = Field(description="its part of the lexical score")
    added: bool = Field(description="whether it came from the best answers of a first search, not from the query")


class Excerpt(BaseModel):
    """The part of a text that matches best."""

    text: str
    marks: list[tuple[int, int]] = Field(description="where the matched words begin and end")


class Document(BaseModel):
    """An answer."""

    id: str
    title: str
    kind: str
    package: str
    score: float = Field(description="what answers are ordered by, of the measure that the reply names")
    first_sentence: str
    lexical: float | None = Field(description="the sum of what the query's terms weigh in it")
    dense: float | None = Field(description="the similarity of the vectors (l2: their distance)")
    lexical_rank: int | None
    dense_rank: int | None
    terms: list[Term] = []
    snippet: Excerpt | None = None


class Documents(BaseModel):
    """Answers, best first."""

    answers: list[Document]
    measure: str = Field(description="what the scores are")
    method: Literal["fused", "lexical", "dense"]
    missing: list[str] = Field(default=[], description="words of the text that no document has")
    spellings: dict[str, list[str]] = Field(default={}, description="near words that documents have, on demand")
    within: float | None = Field(default=None, description="the similarity or distance that was asked for")
    more: bool = Field(default=False, description="whether further documents are within it")
    collapsed: int = Field(default=0, description="near-duplicates that were left out")
