"""The built-in sample: the documentation of Python packages, read from their sources; nothing is imported."""

from fingerpost.schemas.inputs.python_docs.distributions import DISTRIBUTIONS, python_docs_fingerprint
from fingerpost.schemas.inputs.python_docs.documents import Extraction, extract_distribution
from fingerpost.schemas.inputs.python_docs.snapshots import SNAPSHOT_DAYS, snapshot, write_snapshots

__all__ = [
    "DISTRIBUTIONS",
    "SNAPSHOT_DAYS",
    "Extraction",
    "extract_distribution",
    "python_docs_fingerprint",
    "snapshot",
    "write_snapshots",
]
