"""Every column that a stored table may have, defined once and referred to by name."""

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Field:
    """One column: its Arrow type and what its values must fulfil.

    ``vector`` means a fixed-size list whose length the artifact chooses; ``finite`` forbids NaN and infinities;
    ``nonempty`` forbids empty strings.
    """

    name: str
    type: pa.DataType
    about: str
    nullable: bool = False
    vector: bool = False
    finite: bool = False
    nonempty: bool = False

    def accepts(self, found: pa.DataType) -> bool:
        """Whether a column of this Arrow type is what the contract asks for."""
        if self.vector:
            return pa.types.is_fixed_size_list(found) and found.value_type == self.type
        return bool(found == self.type)

    @property
    def expected(self) -> str:
        """The type as an error message says it."""
        return f"fixed_size_list<{self.type}>" if self.vector else str(self.type)


STRING = pa.string()

# Documents
ID = Field("id", STRING, "the user's key of a document", nonempty=True)
TITLE = Field("title", STRING, "its name")
TEXT = Field("text", STRING, "its text; the first paragraph counts as a field of its own")
KIND = Field("kind", STRING, "what it is: function, class, product, ...")
PACKAGE = Field("package", STRING, "the group it belongs to")
SIGNATURE = Field("signature", STRING, "how it is called, if it is")
DOCUMENT_DAY = Field("day", STRING, "the calendar day it is from, or empty")
GIVEN_VECTOR = Field("vector", pa.list_(pa.float32()), "a vector that came with it", nullable=True)
NAMES = Field("names", pa.list_(STRING), "what an object is known as, its first name first")
TARGETS = Field("targets", pa.list_(STRING), "ids that its page refers to, of the same distribution")
ELSEWHERE = Field(
    "elsewhere", pa.list_(STRING), "names that its page refers to and nothing in its distribution answers to"
)
REASON = Field("reason", STRING, "why a row was set aside", nonempty=True)
DETAIL = Field("detail", STRING, "what was found in it")
INPUT_ROW = Field("row", pa.int64(), "its position in the input, from 0")

# Labelled rows
LABEL = Field("label", STRING, "the class of a row; empty for none")
GROUP = Field("group", STRING, "the group that a class is in; empty for none")

# Matrices
INDICES = Field("indices", pa.list_(pa.int32()), "columns of the non-zeros of a row, ascending")
VALUES = Field("values", pa.list_(pa.float32()), "the non-zeros of a row")
VECTOR = Field("vector", pa.float32(), "a dense row", vector=True, finite=True)
PIXELS = Field(
    "pixels", pa.float32(), "an image: its values from 0 to 255 row by row, channels last", vector=True, finite=True
)
TENSOR_NAME = Field("name", STRING, "the tensor's name", nonempty=True)
TENSOR_DTYPE = Field("dtype", STRING, "its numpy dtype, little-endian", nonempty=True)
TENSOR_SHAPE = Field("shape", pa.list_(pa.int64()), "its shape")
TENSOR_BYTES = Field("bytes", pa.large_binary(), "its values in C order")
MEDIA_TYPE = Field("media_type", STRING, "the blob's media type", nonempty=True)

# Terms
FAMILY = Field("family", STRING, "the n-gram family: word or char", nonempty=True)
TERM = Field("term", STRING, "the n-gram", nonempty=True)
DOCUMENT_FREQUENCY = Field("df", pa.int64(), "number of documents that contain it")
IDF = Field("idf", pa.float32(), "smooth inverse document frequency", finite=True)

# Evaluation and releases
METHOD = Field("method", STRING, "what was evaluated", nonempty=True)
SETTING = Field("setting", STRING, "with which setting", nonempty=True)
METRIC = Field("metric", STRING, "the figure's name", nonempty=True)
FIGURE = Field("value", pa.float64(), "the figure", finite=True)
ROLE = Field("role", STRING, "what a member is for", nonempty=True)
REFERENCE = Field("ref", STRING, "name/day=.../fingerprint of a member", nonempty=True)
NEIGHBORS = Field("neighbors", pa.uint32(), "rows of the nearest neighbours, nearest first", vector=True)
DISTANCES = Field("distances", pa.float32(), "their distances", vector=True)

# Rankings
QUERY_ID = Field("id", STRING, "the key of a query; its text where none was given", nonempty=True)
LABEL_NAME = Field("name", STRING, "what people call a label; its id where none was given")
SPLIT = Field("split", STRING, "what a query is for: training, calibration or test", nonempty=True)
QUERY_ROW = Field("query", pa.int32(), "the row of a query among the interactions")
LABELS = Field("labels", pa.uint32(), "rows of the labels, best first", vector=True)
SCORES = Field("scores", pa.float32(), "their scores", vector=True, finite=True)
