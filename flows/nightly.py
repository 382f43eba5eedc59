"""What a schedule runs every night."""

from prefect import flow

from flows.build_ann_index import build_ann_index
from flows.domains.inputs import without_ranker
from flows.domains.metric.inputs import tunes
from flows.featurize_corpus import featurize_corpus
from flows.run.crashes import tell_when_crashed
from flows.run.request import RunRequest
from flows.run.rewriting import Rewriting, rewriting
from flows.run.runtime import named, part, running
from flows.train_ranker import train_ranker
from flows.tune_thresholds import tune_thresholds


@flow(name="nightly", flow_run_name=named, persist_result=False, on_crashed=[tell_when_crashed])
def nightly(request: RunRequest = RunRequest()) -> None:
    """Everything from an input to published artifacts; a ranker too where there are interactions (xmr.input), and a threshold
    where there are labelled embeddings (metric.input).
    """
    again = rewriting.get() or Rewriting()
    with running("nightly", request) as run:
        if again.index:
            part(featurize_corpus, request)
            part(build_ann_index, request)
        if why := without_ranker(run.settings):
            run.env.notes.append(why)
            run.progress.say(why)
        elif again.ranker:
            part(train_ranker, request)
        if tunes(run.settings) and again.threshold:
            part(tune_thresholds, request)
