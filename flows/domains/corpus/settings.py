"""Parameters of terms, features and vectors: the section ``corpus`` of the settings."""

from fingerpost.flows.run.section import Section
from fingerpost.tasks.corpus.analyzer import AnalyzerParams
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.corpus.field_weights import FieldWeightParams
from fingerpost.tasks.corpus.svd import SvdParams
from fingerpost.tasks.corpus.term_weights import TermWeightParams


class CorpusSettings(Section):
    """From documents to terms, features and vectors."""

    imports: ImportParams = ImportParams()
    analyzer: AnalyzerParams = AnalyzerParams()
    fields: FieldWeightParams = FieldWeightParams()
    features: TermWeightParams = TermWeightParams()
    #: The weights of terms are those that rank documents, so that vectors need no whitening.
    svd: SvdParams = SvdParams(whitening=0.0)
