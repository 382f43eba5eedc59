"""Everything that a run uses: the sections that every run has, and one of each domain."""

from flows.domains.ann.settings import AnnSettings
from flows.domains.corpus.settings import CorpusSettings
from flows.domains.metric.settings import MetricSettings
from flows.domains.xmr.settings import XmrSettings
from flows.run.settings import CommonSettings


class Settings(CommonSettings):
    """Everything that a run uses; a domain's section has the domain's word."""

    corpus: CorpusSettings = CorpusSettings()
    ann: AnnSettings = AnnSettings()
    xmr: XmrSettings = XmrSettings()
    metric: MetricSettings = MetricSettings()
