"""The stages there are, by name."""

from tasks.ann import stages as ann
from tasks.corpus import stages as corpus
from tasks.metric import stages as metric
from tasks.stage import Stage
from tasks.xmr import baseline_stages as baselines
from tasks.xmr import ranking_stages as ranking
from tasks.xmr import refresh_stages as refresh
from tasks.xmr import stages as xmr

STAGES: dict[str, Stage] = {
    found.name: found
    for module in (corpus, ann, xmr, ranking, baselines, refresh, metric)
    for found in vars(module).values()
    if isinstance(found, Stage)
}
