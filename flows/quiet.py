"""Prefect without telemetry and promotion; to be called before it is imported, since it reads its settings then."""

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


def quieten() -> None:
    """Sets what is not set in the environment yet."""
    for key, value in _QUIET_PREFECT.items():
        os.environ.setdefault(key, value)
    # One secret for all that asks the stack's server; Prefect reads it under this name.
    if os.environ.get("PREFECT_API_URL") and os.environ.get("FINGERPOST_AUTH"):
        os.environ.setdefault("PREFECT_API_AUTH_STRING", os.environ["FINGERPOST_AUTH"])
