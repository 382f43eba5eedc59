"""The contracts of the corpus domain: documents, terms, postings, features, projection and vectors; n-gram counts."""

from fingerpost.schemas import fields as f
from fingerpost.schemas.chosen_settings import CHOSEN, SETTINGS
from fingerpost.schemas.contract import Contract, Table, all_same_lengths, ascending, same_lengths
from fingerpost.schemas.matrices import dense_table, sparse_table, tensor_table

_FIGURES = Table(
    "figures", (f.METHOD, f.SETTING, f.METRIC, f.FIGURE), key=("method", "setting", "metric"), own_words=True
)
_DOCUMENTS = Table(
    "documents", (f.ID, f.TITLE, f.TEXT, f.KIND, f.PACKAGE, f.SIGNATURE, f.DOCUMENT_DAY, f.GIVEN_VECTOR), key=("id",)
)
EXTRACTS = Contract(
    "corpus.extracts",
    2,
    (_DOCUMENTS, Table("links", (f.ID, f.NAMES, f.TARGETS, f.ELSEWHERE))),
    "the documentation of installed packages and its references, one file per distribution",
)
DOCUMENTS = Contract(
    "corpus.documents",
    1,
    (_DOCUMENTS,),
    "the accepted rows of an input, in its order, one file per shard",
)
DAILY_DOCUMENTS = Contract(
    "corpus.daily_documents",
    1,
    (_DOCUMENTS, Table("deleted", (f.ID,), key=("id",))),
    "the accepted rows of one day's file, and the ids that it marks as deleted",
)
QUARANTINE = Contract(
    "corpus.quarantine",
    1,
    (Table("rows", (f.INPUT_ROW, f.Field("id", f.STRING, "the id if there was one"), f.REASON, f.DETAIL)),),
    "the quarantined rows of an input, with the reason",
)
ANALYZER = Contract(
    "corpus.analyzer",
    1,
    (SETTINGS,),
    "how texts of documents and queries become terms: the language found or given, and all settings",
)
TERM_COUNTS = Contract(
    "corpus.term_counts",
    1,
    (
        Table("terms", (f.TERM,), key=("term",), rule=ascending("term"), terms=("term",)),
        Table(
            "counts",
            (f.TERM_ROWS, *f.FIELD_COUNTS),
            rule=all_same_lengths("terms", "name", "first", "body"),
            compression="none",
        ),
    ),
    "occurrences of each shard's terms in the name, the first paragraph and the rest of every document",
)
LEXICON = Contract(
    "corpus.lexicon",
    1,
    (
        Table(
            "terms",
            (f.TERM, f.DOCUMENT_FREQUENCY, *f.FIELD_OCCURRENCES, f.STOP),
            key=("term",),
            rule=ascending("term"),
            terms=("term",),
        ),
    ),
    "all terms of the documents, with document frequencies and occurrences by field",
)
FIELD_WEIGHTS = Contract(
    "corpus.field_weights",
    1,
    (SETTINGS, CHOSEN, _FIGURES),
    "the weights of a document's fields and how its terms are weighed, and what others reach",
)
POSTINGS = Contract(
    "corpus.postings",
    1,
    (tensor_table("postings"), tensor_table("forward")),
    "the inverted index, documents by term with its weight in each, and the terms of every document",
)
NGRAMS = Contract(
    "corpus.ngrams",
    1,
    (
        Table("terms", (f.FAMILY, f.TERM), key=("family", "term")),
        tensor_table("frequencies"),
        Table("counts", (f.INDICES, f.VALUES), rule=same_lengths("indices", "values")),
    ),
    "field-weighted n-gram counts of each shard over its own terms; the families' rows are concatenated",
)
VOCABULARY = Contract(
    "corpus.vocabulary",
    1,
    (Table("terms", (f.FAMILY, f.TERM), key=("family", "term")), tensor_table("frequencies")),
    "the terms that become columns, family by family, with their document frequencies",
)
FEATURES = Contract(
    "corpus.features", 1, (sparse_table("features"),), "TF-IDF rows of norm 1 over the terms of a lexicon or vocabulary"
)
PROJECTION = Contract(
    "corpus.projection",
    1,
    (tensor_table("projection"),),
    "the projection of features to vectors (components), and the singular values",
)
VECTORS = Contract("corpus.vectors", 1, (dense_table("vectors"),), "one dense row per document")

CONTRACTS = (
    EXTRACTS,
    DAILY_DOCUMENTS,
    DOCUMENTS,
    QUARANTINE,
    ANALYZER,
    TERM_COUNTS,
    LEXICON,
    FIELD_WEIGHTS,
    POSTINGS,
    NGRAMS,
    VOCABULARY,
    FEATURES,
    PROJECTION,
    VECTORS,
)
