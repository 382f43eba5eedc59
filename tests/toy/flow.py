"""The flow of the toy domain."""

from prefect import flow

from fingerpost.flows.domains.corpus.inputs import suppressed_keys
from fingerpost.flows.run.crashes import alert_when_crashed
from fingerpost.flows.run.publishing import make_live
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.rewriting import instead_of
from fingerpost.flows.run.runtime import named, running
from tests.toy.inputs import suppressed_source
from tests.toy.stages.words import import_words, measure_words, release_glossary


@flow(name="build_glossary", flow_run_name=named, persist_result=False, on_crashed=[alert_when_crashed])
def build_glossary(request: RunRequest = RunRequest()) -> None:
    """Builds, gates and publishes a glossary."""
    with running("build_glossary", request) as run:
        source = instead_of("toy") or suppressed_source(run.settings, run.flow, suppressed_keys(run.settings))
        words = import_words(source)
        members = {"lengths": measure_words(words), "words": words}
        glossary = release_glossary(*members.values(), roles=tuple(members))
        run.refs |= {f"toy_{role}": ref for role, ref in members.items()} | {"toy_glossary": glossary}
        make_live(run, glossary)
