"""Sources of interactions (labels chosen for queries): users' files, or the built-in sample."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from fingerpost.schemas.inputs import NAMES_SAMPLE, SEE_ALSO_SAMPLE
from fingerpost.schemas.inputs.files import input_fingerprint
from fingerpost.schemas.inputs.forms import Quarantine
from fingerpost.schemas.inputs.interaction_rows import UnknownLabels, read_interactions, split_mapping, suppressed_in
from fingerpost.schemas.inputs.merging import (
    INTERACTION_SCHEMA,
    LABEL_SCHEMA,
    PAIR_SCHEMA,
    QUERY_SCHEMA,
    InteractionBatch,
    Interactions,
    merged,
)
from fingerpost.schemas.inputs.negatives import suppressed_negatives, with_negatives
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import digest_of

if TYPE_CHECKING:
    from fingerpost.schemas.inputs.python_docs.links import DistributionPages, Page

__all__ = [
    "LABEL_SCHEMA",
    "PAIR_SCHEMA",
    "QUERY_SCHEMA",
    "FirstSentenceSource",
    "InteractionBatch",
    "InteractionFile",
    "InteractionSource",
    "SeeAlsoSource",
    "UnknownLabels",
    "read_interactions",
]

_TWO_WORDS = re.compile(r"\w\W+\w")


class InteractionSource(Protocol):
    """Interactions from outside the store; ``str`` is their name for users."""

    def __str__(self) -> str:
        """The path or name."""
        ...

    def identity(self) -> str:
        """A digest of its content."""
        ...

    def read(self) -> InteractionBatch:
        """The queries, labels and pairs, bad rows quarantined."""
        ...


@dataclass(frozen=True)
class InteractionFile:
    """A file of interactions (or a folder of Parquet files), and optionally one of labels and one of negatives.

    mapping: pairs (our column, the file's) where they differ; the columns of both files have different names.
    negatives_path: a file of rejected labels (query or query_id, label), with our column names.
    suppressed: queries (by ``query_id``), labels (by ``label``) or either (by ``id``, which may also be the complete
        text of a query) whose rows are left out.
    """

    path: str
    labels_path: str = ""
    mapping: tuple[tuple[str, str], ...] = ()
    unknown_labels: UnknownLabels = "keep"
    suppressed: Suppressed | None = None
    negatives_path: str = ""

    def __str__(self) -> str:
        return self.path

    def identity(self) -> str:
        """A digest of contents, mapping, the treatment of unknown labels, and the suppressed keys in the files.

        InputError if it cannot be read.
        """
        of_rows, of_labels = split_mapping(dict(self.mapping), labelled=bool(self.labels_path))
        parts = [input_fingerprint(self.path, of_rows)]
        if self.labels_path:
            parts += [input_fingerprint(self.labels_path, of_labels), self.unknown_labels]
        digests = suppressed_in(self.path, self.labels_path, of_rows, of_labels, self.suppressed)
        if self.negatives_path:
            parts.append(input_fingerprint(self.negatives_path, {}))
            digests = sorted({*digests, *suppressed_negatives(self.negatives_path, self.suppressed)})
        return digest_of([*parts, digests] if digests else parts)

    def read(self) -> InteractionBatch:
        """The queries, labels and pairs, bad rows quarantined; InputError if it cannot be read."""
        batch = read_interactions(
            self.path,
            self.labels_path,
            mapping=dict(self.mapping),
            unknown_labels=self.unknown_labels,
            suppressed=self.suppressed,
        )
        return with_negatives(batch, self.negatives_path, self.suppressed) if self.negatives_path else batch


class _PagesSource:
    """Base class of the sources that read the pages of installed distributions."""

    distributions: tuple[str, ...]
    suppressed: Suppressed | None
    name: str

    def __str__(self) -> str:
        return self.name

    def identity(self) -> str:
        """A digest of names, versions and recorded hashes, and of all suppressed keys; reads no source."""
        from fingerpost.schemas.inputs.python_docs import python_docs_fingerprint

        digests = sorted(digest for digest, _ in self.suppressed.entries) if self.suppressed else []
        return digest_of([self.name, python_docs_fingerprint(self.distributions), digests])

    def pages(self, distribution: str) -> "DistributionPages":
        """The pages of one distribution; the unit of parallel work."""
        from fingerpost.schemas.inputs.python_docs.links import pages_of

        return pages_of(distribution)

    def read(self) -> InteractionBatch:
        """The queries, labels and pairs of all distributions."""
        return self.batch([self.pages(name) for name in self.distributions])

    def batch(self, found: "Sequence[DistributionPages]") -> InteractionBatch:
        """The queries, labels and pairs of the pages of all distributions, given in their order."""
        raise NotImplementedError

    def distinct(self, found: "Sequence[DistributionPages]") -> "dict[str, Page]":
        """The pages by id, without suppressed ones; of equal ids the first."""
        pages: dict[str, Page] = {}
        for page in (page for part in found for page in part.pages):
            if self.suppressed is None or not self.suppressed.match(page.id):
                pages.setdefault(page.id, page)
        return pages


@dataclass(frozen=True)
class SeeAlsoSource(_PagesSource):
    """Pages (name and text, without the "See Also" section) with the objects that their "See Also" names.

    Queries and labels have the ids of the sample's documents. The batch's ``figures`` count the names listed and
    resolved.
    """

    distributions: tuple[str, ...]
    suppressed: Suppressed | None = None
    name = SEE_ALSO_SAMPLE

    def batch(self, found: "Sequence[DistributionPages]") -> InteractionBatch:
        """The queries, labels and pairs of the pages of all distributions, given in their order."""
        from fingerpost.schemas.inputs.python_docs.links import links_of

        pages, links = self.distinct(found), links_of(found)
        pairs = [
            (f"{pages[key].names[0]}\n\n{pages[key].text}".strip(), target, key)
            for key, targets in links.targets.items()
            for target in targets
            if key in pages and target in pages
        ]
        wanted = dict.fromkeys(target for _, target, _ in pairs)
        labels = [(key, pages[key].names[0], pages[key].text) for key in wanted]
        figures = {
            "names listed": links.listed,
            "names resolved": links.resolved,
            "names of the page itself": links.own,
        }
        return _batch(pairs, labels, figures | {"sources not parsed": sum(part.unparsed for part in found)})


@dataclass(frozen=True)
class FirstSentenceSource(_PagesSource):
    """First sentences of pages with their objects; a label's name is the object's preferred name, its text the rest.

    Sentences are unchanged, including an object's own name. A sentence of several objects is one query with several
    labels; sentences of fewer than two words, and directives, are left out with their objects.
    """

    distributions: tuple[str, ...]
    suppressed: Suppressed | None = None
    name = NAMES_SAMPLE

    def batch(self, found: "Sequence[DistributionPages]") -> InteractionBatch:
        """The queries, labels and pairs of the pages of all distributions, given in their order."""
        from fingerpost.schemas.inputs.python_docs.links import sentence_of

        pairs, labels = [], []
        for key, page in self.distinct(found).items():
            sentence, rest = sentence_of(page)
            if _TWO_WORDS.search(sentence) and not sentence.startswith(".."):
                pairs.append((sentence, key, sentence))
                labels.append((key, page.names[0], rest))
        return _batch(pairs, labels, {"sources not parsed": sum(part.unparsed for part in found)})


def _batch(
    pairs: Iterable[tuple[str, str, str]], labels: Iterable[tuple[str, str, str]], figures: dict[str, int]
) -> InteractionBatch:
    """The batch of triples (query, label, id of the query) and labels (id, name, text)."""
    texts, targets, keys = zip(*pairs, strict=True) if (pairs := list(pairs)) else ((), (), ())
    count = len(texts)
    columns = [pa.array(texts, pa.string()), pa.array(targets, pa.string()), pa.array(np.ones(count))]
    columns += [pa.array([""] * count, pa.string()), pa.array(keys, pa.string())]
    rows = Interactions(pa.Table.from_arrays(columns, schema=INTERACTION_SCHEMA), np.arange(count))
    records = [dict(zip(LABEL_SCHEMA.names, label, strict=True)) for label in labels]
    queries, known, numbers = merged(rows, pa.Table.from_pylist(records, schema=LABEL_SCHEMA), quarantine=Quarantine())
    return InteractionBatch(queries, known, numbers, figures=figures)
