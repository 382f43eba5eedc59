"""The errors that a caller may want to tell apart; each message names the thing, what was expected, what was found, what to do."""


class FingerpostError(Exception):
    """Something the user or operator can mend; commands print it as one line."""


class ContractError(FingerpostError):
    """A table breaks its contract."""


class CorruptArtifactError(FingerpostError):
    """A stored file is missing, cut short or altered."""


class ForeignArtifactError(FingerpostError):
    """A store, manifest or contract was written by a version that this one cannot read."""


class MissingArtifactError(FingerpostError):
    """A reference names an artifact that was never committed."""


class UnsafeNameError(FingerpostError):
    """A name, day or fingerprint that could escape the store's root."""


class StoreUnreachableError(FingerpostError):
    """The store cannot be listed, read or written."""


class StoreBusyError(FingerpostError):
    """Another process holds what is needed, and did not let go in time."""


class PublicationConflictError(FingerpostError):
    """Another promotion moved the pointer first."""


class GateError(FingerpostError):
    """A candidate misses a gate, so the live version stays."""


class InputError(FingerpostError):
    """A user's file as a whole cannot be used."""


class QuarantineLimitError(InputError):
    """More rows of the input are bad than the profile allows."""
