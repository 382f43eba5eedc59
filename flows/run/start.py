"""Starts a flow in this process: Prefect's own server where none is named, nothing sent outside."""

import logging
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from flows.run.loggers import quieten

quieten()

from prefect import Flow  # noqa: E402
from prefect.settings import PREFECT_API_URL  # noqa: E402

from flows.build_ann_index import build_ann_index  # noqa: E402
from flows.domains.inputs import has_interactions  # noqa: E402
from flows.domains.metric.inputs import embedding_source, tunes  # noqa: E402
from flows.featurize_corpus import featurize_corpus  # noqa: E402
from flows.nightly import nightly  # noqa: E402
from flows.run.api import Api, ApiError  # noqa: E402
from flows.run.request import RunRequest  # noqa: E402
from flows.run.rewriting import rewriting  # noqa: E402
from flows.run.runtime import Watching, watching, without_heartbeat  # noqa: E402
from flows.run.server import own_server, serving  # noqa: E402
from flows.run.settings import SAMPLE_INTERACTIONS, SettingsError  # noqa: E402
from flows.train_ranker import train_ranker  # noqa: E402
from flows.tune_thresholds import tune_thresholds  # noqa: E402
from schemas.inputs import SAMPLE  # noqa: E402
from schemas.inputs.files import input_files  # noqa: E402
from schemas.inputs.queries import read_queries  # noqa: E402

FLOWS: "dict[str, Flow[..., Any]]" = {
    flow.name: flow for flow in (featurize_corpus, build_ann_index, train_ranker, tune_thresholds, nightly)
}


def known(name: str) -> "Flow[..., Any]":
    """The flow of that name; SettingsError if there is none."""
    if name not in FLOWS:
        raise SettingsError(f"flow: expected one of {', '.join(FLOWS)}, got {name!r}; correct it")
    return FLOWS[name]


def hush() -> None:
    """Silences the loggers whose lines say nothing to who watches a run in a terminal."""
    for noisy in (
        "distributed",
        "prefect.server",
        "prefect._internal",
        "prefect.events",
        "prefect.flow_runs",
        "prefect.task_runs",
    ):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


def check_server() -> None:
    """ApiError in one line, where Prefect would show its own code, if the server of PREFECT_API_URL does not take requests."""
    url = PREFECT_API_URL.value()
    if not url or serving() or os.environ.get("PREFECT_API_KEY"):
        return
    try:
        Api(url.rstrip("/"), os.environ.get("PREFECT_API_AUTH_STRING", "")).get("admin/version")
    except ApiError as problem:
        raise ApiError(f"{problem} (without PREFECT_API_URL it runs on its own)", status=problem.status) from None


def run_flow(name: str, request: RunRequest, *, quiet: bool = False, log_file: Path | None = None) -> str:
    """Runs a flow to its end and returns the path of its report; the flow's own errors are raised."""
    known(name)
    check_server()
    settings = request.resolve()
    tuned = name == tune_thresholds.name or (name == nightly.name and tunes(settings))
    embedded = embedding_source(settings, name, None) if tuned and rewriting.get() is None else None
    if embedded is not None:
        embedded.check()
    if settings.input.source not in (SAMPLE, embedded and embedded.path) and rewriting.get() is None:
        input_files(settings.input.source)
    trains = name in {train_ranker.name, nightly.name} and has_interactions(settings)
    if trains and settings.xmr.input not in SAMPLE_INTERACTIONS and rewriting.get() is None:
        for given in filter(None, (settings.xmr.input, settings.xmr.labels, settings.xmr.negatives)):
            input_files(given)
    if settings.replay.queries:
        read_queries(settings.replay.queries)
    hush()
    shown = Watching(quiet, log_file)
    token = watching.set(shown)
    try:
        with ExitStack() as stack:
            if server := stack.enter_context(own_server()):
                stack.enter_context(without_heartbeat())
                server.wait()
            # The day is settled here, so that a run which starts before midnight is not one of the next day.
            FLOWS[name](request.model_copy(update={"day": settings.day, "store": settings.store}))
    finally:
        watching.reset(token)
    return str(shown.ended[-1].get("report", ""))
