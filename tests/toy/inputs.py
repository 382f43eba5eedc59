"""What the toy domain reads."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from fingerpost.flows.domains.domain import FileUse
from fingerpost.schemas.corpus import QUARANTINE
from fingerpost.schemas.inputs.sources import FileSource
from fingerpost.schemas.inputs.stored import StoredSource, rows_without, suppressing
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import Ref
from tests.toy.contracts import WORDS


@dataclass(frozen=True)
class Batch:
    """Accepted words, quarantined rows, and how often each reason occurs."""

    words: pa.Table
    quarantined: pa.Table
    reasons: dict[str, int]


@dataclass(frozen=True)
class WordFile:
    """A file of words, read as documents are."""

    source: Any

    def __str__(self) -> str:
        return str(self.source)

    def identity(self) -> str:
        """The file's."""
        return str(self.source.identity())

    def read(self) -> Batch:
        """Its words."""
        batch = self.source.read()
        return Batch(batch.accepted.select(["id", "text"]), batch.quarantined, dict(batch.reasons))


@dataclass(frozen=True)
class StoredWords(StoredSource):
    """The words of an input that is gone, as the store holds them."""

    def read(self) -> Batch:
        """The words that are left."""
        companion = Ref.parse(self.store.manifest(self.imported).run["companions"][QUARANTINE.name])
        bad = rows_without(self.store.open(companion, QUARANTINE).read("rows"), self.suppressed)
        return Batch(rows_without(self.store.open(self.imported, WORDS).read("words"), self.suppressed), bad, {})


def skipped(settings: Any) -> str:
    """Why a nightly builds no glossary."""
    return "" if settings.toy.input else "No glossary is built: toy.input names no words"


def files_of(settings: Any, flow: str) -> list[FileUse]:
    """The file of words."""
    return [FileUse("documents", settings.toy.input, {}, "toy.input")] if settings.toy.input else []


def suppressed_source(settings: Any, flow: str, suppressed: Suppressed | None) -> WordFile:
    """The file of words without what is to be forgotten."""
    return WordFile(suppressing(FileSource(settings.toy.input, ()), suppressed))
