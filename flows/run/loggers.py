"""Environment that silences Prefect's telemetry and promotion, slows Dask's sampling and spares loopback addresses the
proxies; both read it when imported.
"""

import logging
import os
import warnings

from fingerpost.flows.run.proxies import spare_loopback
from fingerpost.schemas.errors import FingerpostError

#: A named server (PREFECT_API_URL) and the user's own settings are left as they are.
_QUIET_PREFECT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}
#: By default Dask samples its loops 50 times a second and its workers' stacks 100 times, in every process: with two
#: idle workers a tenth of a core. Fewer samples suffice to notice a hanging loop, and for the profile.
_QUIET_DASK = {
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "500ms",
    "DASK_DISTRIBUTED__WORKER__PROFILE__INTERVAL": "100ms",
}


def silence() -> None:
    """Sets the variables that the environment does not set yet; to be called before Prefect and Dask are imported."""
    for key, value in (_QUIET_PREFECT | _QUIET_DASK).items():
        os.environ.setdefault(key, value)
    spare_loopback(os.environ)
    # It matters only where a server is started, and is an error there.
    warnings.filterwarnings("ignore", message="Failed to create the Prefect home directory")
    # One secret for every client of the stack's server; Prefect reads it under this name.
    if os.environ.get("PREFECT_API_URL") and os.environ.get("FINGERPOST_AUTH"):
        os.environ.setdefault("PREFECT_API_AUTH_STRING", os.environ["FINGERPOST_AUTH"])


def warn(log: logging.Logger, said: str, problem: Exception) -> None:
    """A warning of an error that fails nothing else: in one line, with a traceback only where it is none of ours."""
    ours = isinstance(problem, FingerpostError)
    text = " ".join(str(problem).split()) if ours else type(problem).__name__
    log.warning("%s: %s", said, text, exc_info=None if ours else problem)
