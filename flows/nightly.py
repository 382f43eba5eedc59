"""The nightly flow: the flows of all domains."""

from prefect import flow

from fingerpost.flows import domains
from fingerpost.flows.domains.domain import named as loaded
from fingerpost.flows.run.crashes import alert_when_crashed
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.rewriting import Rewriting, rewriting
from fingerpost.flows.run.runtime import named, part, running


@flow(name="nightly", flow_run_name=named, persist_result=False, on_crashed=[alert_when_crashed])
def nightly(request: RunRequest = RunRequest()) -> None:
    """Everything from an input to published artifacts: the flow of each domain in turn.

    A domain without an input is skipped with a note (a ranker needs xmr.input, a threshold metric.input); a domain that
    a rewriting run leaves out is skipped silently.
    """
    left = (rewriting.get() or Rewriting()).left
    with running("nightly", request) as run:
        for domain in domains.DOMAINS:
            if domain.skipped and (reason := loaded(domain.skipped)(run.settings)):
                run.note(reason)
            elif domain.word not in left:
                part(loaded(domain.flow), request)
