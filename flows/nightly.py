"""What a schedule runs every night."""

from prefect import flow

from flows.build_ann_index import build_ann_index
from flows.featurize_corpus import featurize_corpus
from flows.runtime import running
from flows.settings import Settings
from schemas.refs import Ref


@flow(name="nightly", flow_run_name="nightly {settings.input.collection}", persist_result=False)
def nightly(settings: Settings) -> Ref:
    """Everything from an input to published artifacts."""
    with running("nightly", settings):
        corpus = featurize_corpus(settings)
        return build_ann_index(settings, corpus)
