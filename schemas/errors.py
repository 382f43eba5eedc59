"""Errors that callers may need to distinguish.

Each message has four parts: the object, what was expected, what was found, and what to do.
"""

from fingerpost.schemas.urls import without_credentials
from fingerpost.schemas.wording import bounded


class FingerpostError(Exception):
    """An error that the user or operator can fix; commands print it as one line.

    Its message is bounded and holds no credentials of URLs: it gets into records, alerts and logs.
    """

    def __init__(self, *words: object) -> None:
        super().__init__(*(bounded(without_credentials(word)) if isinstance(word, str) else word for word in words))


class UsageError(FingerpostError):
    """A wrong command line, setting or argument; nothing was begun. Commands end with exit code 2, not 1."""


class ContractError(FingerpostError):
    """A table violates its contract."""


class CorruptArtifactError(FingerpostError):
    """A stored file is missing, truncated or altered."""


class ForeignArtifactError(FingerpostError):
    """A store, manifest or contract was written by a version that this one cannot read."""


class MissingArtifactError(FingerpostError):
    """A reference names an artifact that was never committed."""


class RemovedArtifactError(MissingArtifactError):
    """An open version was removed, for example by garbage collection; open the live one again."""


class FormerVersionError(FingerpostError):
    """A version was made by earlier code, and what is asked of it needs one that is rebuilt."""


class UnsafeNameError(UsageError):
    """A name, day or fingerprint that could escape the store's root."""


class InsufficientMemoryError(FingerpostError):
    """There is less memory than something needs."""


class StoreUnreachableError(FingerpostError):
    """The store cannot be listed, read or written."""


class StoreBusyError(FingerpostError):
    """Another process holds a needed lock and did not release it in time."""


class PublicationConflictError(FingerpostError):
    """Another promotion moved the pointer first."""


class GateError(FingerpostError):
    """A candidate misses a gate, so the live version stays."""


class InputError(FingerpostError):
    """A user's file cannot be used at all."""


class ColumnMappingError(InputError, UsageError):
    """A mapping names a column that no input of its kind has."""


class QuarantineLimitError(InputError):
    """The fraction of bad rows of an input exceeds the profile's limit."""
