"""Documents of the sample: one row for every public object of a distribution that has a docstring."""

from dataclasses import dataclass

import pyarrow as pa

from fingerpost.schemas.inputs.python_docs.distributions import source_files
from fingerpost.schemas.inputs.python_docs.modules import Module, parsed_module
from fingerpost.schemas.inputs.python_docs.names import PublicObject, public_objects
from fingerpost.schemas.inputs.python_docs.namespaces import Namespaces
from fingerpost.schemas.inputs.python_docs.signatures import signature, split_docstring

DOCUMENT_SCHEMA = pa.schema(
    [pa.field(name, pa.string()) for name in ("id", "title", "text", "kind", "package", "signature", "day")]
    + [pa.field("vector", pa.list_(pa.float32()))]
)


@dataclass(frozen=True)
class Extraction:
    """The documents of a distribution, sorted by title, and its number of unparsed sources."""

    rows: pa.Table
    unparsed: int


@dataclass(frozen=True)
class ParsedDistribution:
    """The public objects of a distribution, with and without docstring, and their namespaces."""

    distribution: str
    spaces: Namespaces
    objects: tuple[PublicObject, ...]
    unparsed: int


def parse_distribution(distribution: str) -> ParsedDistribution:
    """Parses every source of an installed distribution; imports none of them. Raises InputError if it is missing."""
    modules: dict[str, Module] = {}
    unparsed = 0
    for file in source_files(distribution):
        try:
            modules[file.module] = parsed_module(file)
        except (OSError, SyntaxError, ValueError, RecursionError):
            unparsed += 1
    spaces = Namespaces(modules)
    return ParsedDistribution(distribution, spaces, tuple(public_objects(spaces)), unparsed)


def extract_distribution(name: str) -> Extraction:
    """The documents of an installed distribution: columns of ``DOCUMENT_SCHEMA``, ``day`` empty, ``vector`` null.

    Raises InputError if it is not installed.
    """
    return documents_of(parse_distribution(name))


def documents_of(parsed: ParsedDistribution) -> Extraction:
    """The documents of a distribution that was parsed."""
    rows: dict[str, dict[str, str]] = {}
    for found in parsed.objects:
        row = document(found, package=parsed.distribution)
        if row is not None:
            key = found.name if found.name not in rows else f"{found.name}:{found.kind}"
            rows.setdefault(key, {"id": key, **row})
    columns = {field: [row[field] for row in rows.values()] for field in DOCUMENT_SCHEMA.names[:-1]}
    return Extraction(pa.table({**columns, "vector": [None] * len(rows)}, schema=DOCUMENT_SCHEMA), parsed.unparsed)


def document(found: PublicObject, *, package: str) -> dict[str, str] | None:
    """The fields of an object's document except its id; None if it has no docstring."""
    written, text = split_docstring(found.docstring or "", found.name.rpartition(".")[2])
    if not text:
        return None
    known = found.definition and signature(found.definition.arguments, bound=found.definition.bound)
    return {
        "title": found.name,
        "text": text,
        "kind": found.kind,
        "package": package,
        "signature": written if not known or known == "(*args, **kwargs)" else known,
        "day": "",
    }
