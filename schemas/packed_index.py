"""The contracts of an index in the form that is searched: files that are mapped. Imports no more than a light reader has."""

import pyarrow as pa

from fingerpost.schemas import fields as f
from fingerpost.schemas.contract import Contract, Table, ascending
from fingerpost.schemas.mapped_arrays import arrays_table

#: What is shown of a document, and filtered by: all of its columns but the vector, which the arrays have.
SHOWN = (f.ID, f.TITLE, f.TEXT, f.KIND, f.PACKAGE, f.SIGNATURE, f.DOCUMENT_DAY)

#: With offsets of 64 bits, as terms are looked up.
_TERM = f.Field("term", pa.large_string(), "the term", nonempty=True)

PACKED = Contract(
    "ann.packed",
    1,
    (arrays_table("packed"), Table("documents", SHOWN, key=("id",), compression="none", form="arrow")),
    "the index in the form that is searched: vectors, codes, graph and tables side by side, and its documents",
)


#: The terms of a collection as texts, and what else answers texts as arrays.
PACKED_TEXTS = Contract(
    "ann.packed_texts",
    1,
    (
        Table(
            "terms", (_TERM,), key=("term",), rule=ascending("term"), terms=("term",), compression="none", form="arrow"
        ),
        arrays_table("texts"),
    ),
    "what answers texts in the form that is searched: the terms, the inverted index, the projection and the neighbours",
)


def shown(documents: pa.Table) -> pa.Table:
    """The rows of documents as they lie beside the arrays of an index."""
    return documents.select([column.name for column in SHOWN])
