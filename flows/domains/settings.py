"""The settings of a run: the shared sections, and one per domain."""

from fingerpost.flows.domains.ann.settings import AnnSettings
from fingerpost.flows.domains.autocomplete.settings import AutocompleteSettings
from fingerpost.flows.domains.corpus.settings import CorpusSettings
from fingerpost.flows.domains.kg.settings import KgSettings
from fingerpost.flows.domains.metric.settings import MetricSettings
from fingerpost.flows.domains.nas.settings import NasSettings
from fingerpost.flows.domains.xmr.settings import XmrSettings
from fingerpost.flows.run.settings import CommonSettings


class Settings(CommonSettings):
    """The settings of a run; a domain's section is named by the domain's word."""

    corpus: CorpusSettings = CorpusSettings()
    ann: AnnSettings = AnnSettings()
    xmr: XmrSettings = XmrSettings()
    autocomplete: AutocompleteSettings = AutocompleteSettings()
    kg: KgSettings = KgSettings()
    metric: MetricSettings = MetricSettings()
    nas: NasSettings = NasSettings()
