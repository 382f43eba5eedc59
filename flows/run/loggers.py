"""Prefect without telemetry and promotion, and Dask at rest; to be called before they are imported, since they read their settings then."""

import os

#: A named server (PREFECT_API_URL) and one's own settings are left as they are.
_QUIET_PREFECT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}
#: Dask looks at its loops 50 times a second and at the stacks of its workers' threads 100 times, in every process: with two
#: workers that do nothing a tenth of a core. Fewer looks are enough to see a loop that hangs, and for the profile.
_QUIET_DASK = {
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "500ms",
    "DASK_DISTRIBUTED__WORKER__PROFILE__INTERVAL": "100ms",
}


def quieten() -> None:
    """Sets what is not set in the environment yet."""
    for key, value in (_QUIET_PREFECT | _QUIET_DASK).items():
        os.environ.setdefault(key, value)
    # One secret for all that asks the stack's server; Prefect reads it under this name.
    if os.environ.get("PREFECT_API_URL") and os.environ.get("FINGERPOST_AUTH"):
        os.environ.setdefault("PREFECT_API_AUTH_STRING", os.environ["FINGERPOST_AUTH"])
