"""Parameters of features and vectors: the section ``corpus`` of the settings."""

from flows.run.section import Section
from tasks.corpus.documents import ImportParams
from tasks.corpus.ngrams import NgramParams
from tasks.corpus.svd import SvdParams
from tasks.corpus.tfidf import TfidfParams


class CorpusSettings(Section):
    """From documents to features and vectors."""

    imports: ImportParams = ImportParams()
    ngrams: NgramParams = NgramParams()
    tfidf: TfidfParams = TfidfParams()
    svd: SvdParams = SvdParams()
