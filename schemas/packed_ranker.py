"""The contract of a ranker in the form that answers: files that are mapped."""

import pyarrow as pa

from fingerpost.schemas import fields as f
from fingerpost.schemas.contract import Contract, Table
from fingerpost.schemas.mapped_arrays import arrays_table

#: With offsets of 64 bits, as terms are looked up.
_TERM = f.Field(
    "term", pa.large_string(), "an n-gram of the vocabulary; those of each family are sorted", nonempty=True
)

PACKED = Contract(
    "xmr.packed",
    1,
    (
        Table("labels", (f.ID, f.LABEL_NAME), key=("id",), compression="none", form="arrow"),
        Table("terms", (_TERM,), compression="none", form="arrow"),
        arrays_table("vocabulary"),
        arrays_table("trees"),
        arrays_table("weights"),
    ),
    "the ranker in the form that answers: labels, the vocabulary of queries, trees and weights, a file for each block",
)
