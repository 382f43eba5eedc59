"""Forms of files in which no key of a row can occur: tables of a device's latencies, and descriptions of architectures."""

from pathlib import Path

from fingerpost.schemas.inputs.forms import Form
from fingerpost.schemas.inputs.suppression import Suppressed

_REWRITER = "fingerpost.schemas.inputs.keyless:no_rows"
DEVICE_TABLE = Form((), needed=(), option="", keys=(), rewriter=_REWRITER)
ARCHITECTURE = Form((), needed=(), option="", keys=(), rewriter=_REWRITER)


def no_rows(path: Path, suppressed: Suppressed, *, write: bool) -> int:
    """The number of rows with suppressed keys, which is 0: such a file is about hardware, not about the user's rows."""
    return 0
