"""The settings of a run: the shared sections, and one per domain."""

from flows.domains.ann.settings import AnnSettings
from flows.domains.corpus.settings import CorpusSettings
from flows.domains.metric.settings import MetricSettings
from flows.domains.xmr.settings import XmrSettings
from flows.run.settings import CommonSettings


class Settings(CommonSettings):
    """The settings of a run; a domain's section is named by the domain's word."""

    corpus: CorpusSettings = CorpusSettings()
    ann: AnnSettings = AnnSettings()
    xmr: XmrSettings = XmrSettings()
    metric: MetricSettings = MetricSettings()
