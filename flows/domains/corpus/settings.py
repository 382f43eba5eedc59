"""Parameters of features and vectors: the section ``corpus`` of the settings."""

from fingerpost.flows.run.section import Section
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.corpus.ngrams import NgramParams
from fingerpost.tasks.corpus.svd import SvdParams
from fingerpost.tasks.corpus.tfidf import TfidfParams


class CorpusSettings(Section):
    """From documents to features and vectors."""

    imports: ImportParams = ImportParams()
    ngrams: NgramParams = NgramParams()
    tfidf: TfidfParams = TfidfParams()
    svd: SvdParams = SvdParams()
