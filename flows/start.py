"""Starts a flow in this process: Prefect's own server where none is named, nothing sent outside."""

import logging
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

#: No telemetry and no promotion. A named server (PREFECT_API_URL) and one's own settings are left as they are.
_QUIET_PREFECT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}
for _key, _value in _QUIET_PREFECT.items():
    os.environ.setdefault(_key, _value)

from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings  # noqa: E402

from flows.build_ann_index import build_ann_index  # noqa: E402
from flows.featurize_corpus import featurize_corpus  # noqa: E402
from flows.nightly import nightly  # noqa: E402
from flows.report.page import write  # noqa: E402
from flows.runtime import Watching, watching  # noqa: E402
from flows.settings import Settings, SettingsError  # noqa: E402
from schemas.inputs import SAMPLE  # noqa: E402
from schemas.inputs.files import input_files  # noqa: E402
from schemas.store import Store  # noqa: E402
from tasks.ann.open import find_store  # noqa: E402

FLOWS: dict[str, Callable[..., Any]] = {flow.name: flow for flow in (featurize_corpus, build_ann_index, nightly)}


def run_flow(name: str, settings: Settings, *, quiet: bool = False, log_file: Path | None = None) -> str:
    """Runs a flow to its end and returns the path of its report; the flow's own errors are raised."""
    if name not in FLOWS:
        raise SettingsError(f"flow: expected one of {', '.join(FLOWS)}, got {name!r}; correct it")
    if not settings.store:
        settings = settings.model_copy(update={"store": find_store()})
    if settings.input.source != SAMPLE:
        input_files(settings.input.source)
    for noisy in (
        "distributed",
        "prefect.server",
        "prefect._internal",
        "prefect.events",
        "prefect.flow_runs",
        "prefect.task_runs",
    ):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    shown = Watching(quiet, log_file)
    token = watching.set(shown)
    try:
        with ExitStack() as stack:
            if not PREFECT_API_URL.value():
                # The heartbeat thread of a flow holds its end up by a second, and no server is there to miss it.
                stack.enter_context(temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}))
            FLOWS[name](settings)
    finally:
        watching.reset(token)
    return write(Store(settings.store), shown.ended[-1])
