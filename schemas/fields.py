"""The columns that stored tables share, each defined once."""

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Field:
    """One column: its Arrow type and the constraints on its values.

    vector: a fixed-size list whose length the artifact chooses. finite: no NaN and infinities. nonempty: no empty
    strings.
    """

    name: str
    type: pa.DataType
    about: str
    nullable: bool = False
    vector: bool = False
    finite: bool = False
    nonempty: bool = False

    def accepts(self, found: pa.DataType) -> bool:
        """Whether a column of this Arrow type satisfies the contract."""
        if self.vector:
            return pa.types.is_fixed_size_list(found) and found.value_type == self.type
        return bool(found == self.type)

    @property
    def expected(self) -> str:
        """The type as shown in error messages."""
        return f"fixed_size_list<{self.type}>" if self.vector else str(self.type)


STRING = pa.string()

# Documents
ID = Field("id", STRING, "the user's key of a document", nonempty=True)
TITLE = Field("title", STRING, "its name")
TEXT = Field("text", STRING, "its text; the first paragraph is a separate field of the features")
KIND = Field("kind", STRING, "its kind: function, class, product, ...")
PACKAGE = Field("package", STRING, "the group that it belongs to")
SIGNATURE = Field("signature", STRING, "its signature if it can be called")
DOCUMENT_DAY = Field("day", STRING, "its calendar day, or empty")
GIVEN_VECTOR = Field("vector", pa.list_(pa.float32()), "its vector in the input", nullable=True)
NAMES = Field("names", pa.list_(STRING), "the names of an object, the preferred one first")
TARGETS = Field("targets", pa.list_(STRING), "ids of the same distribution that its page refers to")
ELSEWHERE = Field(
    "elsewhere", pa.list_(STRING), "names that its page refers to and that its distribution does not have"
)
REASON = Field("reason", STRING, "the reason why a row was quarantined", nonempty=True)
DETAIL = Field("detail", STRING, "the value that was found")
INPUT_ROW = Field("row", pa.int64(), "its position in the input, from 0")

# Labelled rows
LABEL = Field("label", STRING, "the class of a row; empty for none")
GROUP = Field("group", STRING, "the group that a class is in; empty for none")

# Matrices
INDICES = Field("indices", pa.list_(pa.int32()), "columns of the nonzero entries of a row, ascending")
VALUES = Field("values", pa.list_(pa.float32()), "the nonzero entries of a row")
VECTOR = Field("vector", pa.float32(), "a dense row", vector=True, finite=True)
PIXELS = Field(
    "pixels", pa.float32(), "an image: its values from 0 to 255 row by row, channels last", vector=True, finite=True
)
TENSOR_NAME = Field("name", STRING, "the tensor's name", nonempty=True)
TENSOR_DTYPE = Field("dtype", STRING, "its numpy dtype, little-endian", nonempty=True)
TENSOR_SHAPE = Field("shape", pa.list_(pa.int64()), "its shape")
TENSOR_BYTES = Field("bytes", pa.large_binary(), "its values in C order")
PADDING = Field("padding", pa.large_binary(), "zeros, so many that the bytes after them begin at a multiple of 64")
MEDIA_TYPE = Field("media_type", STRING, "the blob's media type", nonempty=True)

# Terms
FAMILY = Field("family", STRING, "the n-gram family: word or char", nonempty=True)
TERM = Field("term", STRING, "the n-gram", nonempty=True)
DOCUMENT_FREQUENCY = Field("df", pa.int64(), "number of documents that contain it")
TERM_ROWS = Field("terms", pa.list_(pa.int32()), "rows of its terms among those of its shard, ascending")
FIELD_COUNTS = tuple(
    Field(name, pa.list_(pa.uint32()), f"occurrences of each in {where}")
    for name, where in (("name", "the name"), ("first", "the first paragraph"), ("body", "the rest"))
)
FIELD_OCCURRENCES = tuple(
    Field(name, pa.int64(), f"occurrences in {where} of all documents")
    for name, where in (("name", "the names"), ("first", "the first paragraphs"), ("body", "the rests"))
)
STOP = Field("stop", pa.bool_(), "whether it counts in no length: a stop word, or the key of a name")
IDF = Field("idf", pa.float32(), "smooth inverse document frequency", finite=True)

# Evaluation and releases
SETTING_NAME = Field("name", STRING, "the name of a setting", nonempty=True)
SETTING_VALUE = Field("value", STRING, "its value, as JSON", nonempty=True)
METHOD = Field("method", STRING, "the method evaluated", nonempty=True)
SETTING = Field("setting", STRING, "its setting", nonempty=True)
METRIC = Field("metric", STRING, "the name of the metric", nonempty=True)
FIGURE = Field("value", pa.float64(), "the value of the metric", finite=True)
ROLE = Field("role", STRING, "the role of a member", nonempty=True)
REFERENCE = Field("ref", STRING, "name/day=.../fingerprint of a member", nonempty=True)
NEIGHBORS = Field("neighbors", pa.uint32(), "rows of the nearest neighbours, nearest first", vector=True)
DISTANCES = Field("distances", pa.float32(), "their distances", vector=True)

# Judged queries
PURPOSE = Field("purpose", STRING, "what a query is for: tuning or judging", nonempty=True)
JUDGED_QUERY = Field("query", pa.uint32(), "the row of a judged query")
JUDGED_DOCUMENT = Field("document", pa.uint32(), "the row of a document")
GRADE = Field("grade", pa.float64(), "how well it answers the query; 0 for not at all", finite=True)
JUDGED_BY = Field("judged", STRING, "a digest of the query and its judgements, equal in versions with the same ones")
QUERY_METRICS = (
    Field("ndcg_at_10", pa.float64(), "nDCG of the first ten answers, with gains 2^grade - 1", finite=True),
    Field(
        "mrr", pa.float64(), "1 / rank of the first relevant answer; 0 if none is among the first hundred", finite=True
    ),
    Field("recall_at_100", pa.float64(), "fraction of the relevant documents among the first hundred", finite=True),
    Field("precision_at_10", pa.float64(), "fraction of the first ten answers that are relevant", finite=True),
)

# Rankings
QUERY_ID = Field("id", STRING, "the key of a query; its text if the input has none", nonempty=True)
LABEL_NAME = Field("name", STRING, "the display name of a label; its id if the input has none")
SPLIT = Field("split", STRING, "the split of a query: training, calibration or test", nonempty=True)
QUERY_ROW = Field("query", pa.int32(), "the row of a query among the interactions")
LABELS = Field("labels", pa.uint32(), "rows of the labels, best first", vector=True)
SCORES = Field("scores", pa.float32(), "their scores", vector=True, finite=True)
