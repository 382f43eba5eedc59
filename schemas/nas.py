"""The contracts of the nas domain, from labelled images and operator measurements to a released network."""

from fingerpost.schemas import fields as f
from fingerpost.schemas.contract import Contract, Table
from fingerpost.schemas.matrices import tensor_table
from fingerpost.schemas.releases import MEMBERS


def _count(name: str, about: str) -> f.Field:
    return f.Field(name, f.pa.int64(), about)


def _number(name: str, about: str, *, nullable: bool = False) -> f.Field:
    return f.Field(name, f.pa.float64(), about, nullable=nullable, finite=True)


def _text(name: str, about: str, *, nonempty: bool = True) -> f.Field:
    return f.Field(name, f.STRING, about, nonempty=nonempty)


def _epochs(validation: str) -> Table:
    """The epochs of a training, with a measure on validation images."""
    columns = (_count("epoch", "from 1"), _number("loss", "mean of its steps"), _number("validation", validation))
    return Table("epochs", columns, key=("epoch",))


_FIGURES = Table("figures", (f.METHOD, f.SETTING, f.METRIC, f.FIGURE), key=("method", "setting", "metric"))
_ARCHITECTURE_ID = _text("architecture", "the canonical id of an architecture or cell")
_DESCRIPTION = _text("description", "its canonical text")
_MASK = f.Field(
    "mask", f.pa.list_(f.pa.uint8()), "the class of each pixel row by row; null without masks", nullable=True
)
#: What an operator is, in any table of operators.
_OPERATOR = (
    _text("kind", "its kind: conv, depthwise, pool, linear, resize or add"),
    _count("size", "pixels on a side of its input"),
    _count("inputs", "its input channels"),
    _count("outputs", "its output channels"),
    _count("kernel", "pixels on a side of its kernel"),
    _count("stride", "its stride"),
    _count("output_size", "pixels on a side of its output"),
    f.Field("relu", f.pa.bool_(), "whether a ReLU runs in it"),
    f.Field("added", f.pa.bool_(), "whether the input of its block is added in it"),
)
_COSTS = (
    _number(
        "latency_ms", "its latency on the device as estimated, in milliseconds; null without a device", nullable=True
    ),
    _number("latency_spread_ms", "the standard deviation of that estimate", nullable=True),
    _count("macs", "multiply-accumulates of one image"),
    _count("parameters", "weights and biases, batch norm folded in"),
    _count("memory_bytes", "its peak activation memory in bytes"),
)

IMAGES = Contract(
    "nas.images",
    1,
    (
        Table(
            "images",
            (f.ID, f.LABEL, _text("split", "training, validation or test"), f.PIXELS, _MASK),
            key=("id",),
        ),
        Table(
            "classes",
            (_text("name", "the name of a class, in the order of its number; of masks, 0 is the background"),),
            key=("name",),
        ),
        tensor_table("shape"),
    ),
    "labelled images, or images with masks, one file per shard; their classes, and the shape of one image",
)
MEASUREMENTS = Contract(
    "nas.measurements",
    1,
    (
        Table(
            "operators",
            (
                *_OPERATOR,
                _number("latency_ms", "trimmed median of its repeats, in milliseconds"),
                _number("spread_ms", "half the difference between the quartiles of its repeats"),
                _count("repeats", "measured repeats"),
                _count("round", "0: sampled; above: added where the estimator was wrong"),
                _text("split", "training or validation"),
            ),
            key=("kind", "size", "inputs", "outputs", "kernel", "stride", "output_size", "relu", "added"),
        ),
        Table(
            "networks",
            (
                _ARCHITECTURE_ID,
                _DESCRIPTION,
                _number("latency_ms", "trimmed median of its repeats, in milliseconds"),
                _number("spread_ms", "half the difference between the quartiles of its repeats"),
                _text("split", "training or test"),
            ),
            key=("architecture",),
        ),
        Table(
            "device",
            (_text("name", "a property of the device"), _text("value", "its value", nonempty=False)),
            key=("name",),
        ),
    ),
    "latencies of operators and of whole networks on a device, and what the device is",
)
LATENCY = Contract(
    "nas.latency",
    1,
    (tensor_table("model"), _FIGURES, Table("kinds", (_text("name", "a kind of operators"),), key=("name",))),
    "a latency estimator of operators, and its errors on whole networks that it has not seen",
)
SUPERNET = Contract(
    "nas.supernet",
    1,
    (
        tensor_table("weights"),
        _epochs("accuracy of sampled paths"),
    ),
    "the shared weights of all networks of a search space",
)
SEARCH = Contract(
    "nas.search",
    1,
    (
        Table(
            "evaluated",
            (
                _count("number", "in the order in which they were chosen, from 0"),
                _ARCHITECTURE_ID,
                _DESCRIPTION,
                _text("origin", "how it was found: given, random, mutation, crossover or enumeration"),
                _count("generation", "the round of the search in which it was chosen"),
                _number(
                    "accuracy",
                    "on validation images, as the method of search measures it; null for scores alone",
                    nullable=True,
                ),
                _number("score", "what the search maximises"),
                *_COSTS,
                f.Field("feasible", f.pa.bool_(), "whether it keeps all limits"),
                f.Field("trained", f.pa.bool_(), "whether it was trained for this evaluation"),
                _count("front", "its rank in the order of Pareto fronts from 0; -1 if it keeps a limit not"),
            ),
            key=("number",),
        ),
        Table(
            "scores",
            (_ARCHITECTURE_ID, _text("name", "a zero-shot score"), _number("value", "its value")),
            key=("architecture", "name"),
        ),
    ),
    "the candidates that a search evaluated, their costs and scores, and the Pareto front among them",
)
LANDSCAPE = Contract(
    "nas.landscape",
    1,
    (
        Table(
            "points",
            (
                _text("space", "curated or uncurated"),
                _text("axis", "what varies: the stage and the property"),
                _number("value", "its value, such as a number of channels"),
                _number("latency_ms", "the latency as estimated"),
                _count("macs", "multiply-accumulates"),
            ),
            key=("space", "axis", "value"),
        ),
        Table(
            "steps",
            (
                _text("space", "curated or uncurated"),
                _count("step", "of the best so far"),
                _number("latency_ms", "its latency"),
            ),
            key=("space", "step"),
        ),
    ),
    "the latency along the axes of the curated and the uncurated space around a network",
)
PATTERNS = Contract(
    "nas.patterns",
    1,
    (
        Table(
            "patterns",
            (
                _text("edit", "fuse, replace_depthwise, narrow, shrink_expansion, ...; of numbers, one halving"),
                _text("where", "the part of the network: early, middle, late or everywhere"),
                _number("low", "lower end of that part, as a fraction of the stages"),
                _number("high", "upper end of that part"),
                _count(
                    "tried", "evaluated networks that differ by it or its opposite from the first one; 0: an assumption"
                ),
                _number("chosen", "fraction of the networks of the Pareto fronts that do"),
                _number("latency_change", "relative change of latency; negative is faster; 0 if not known"),
                _number("accuracy_change", "expected change of accuracy, as a fraction"),
                _number("accuracy_spread", "the standard deviation of that"),
                _number("memory_change", "relative change of peak activation memory"),
                _number("size_change", "relative change of parameters"),
            ),
            key=("edit", "where"),
        ),
    ),
    "what edits of architectures changed in searches, and how often their best networks have them",
)
TRAINED = Contract(
    "nas.trained",
    1,
    (
        Table("architecture", (_ARCHITECTURE_ID, _DESCRIPTION)),
        Table("classes", (_text("name", "the name of a class, in the order of the outputs"),), key=("name",)),
        tensor_table("weights"),
        Table(
            "onnx",
            (f.Field("model", f.pa.large_binary(), "the bytes of its ONNX file"), _text("sha256", "of these bytes")),
        ),
        _epochs("accuracy, or intersection over union"),
    ),
    "a trained network: its architecture, weights and ONNX file",
)
MEASURED = Contract(
    "nas.measured",
    1,
    (
        Table(
            "networks",
            (
                _ARCHITECTURE_ID,
                _text("role", "chosen, reference, live or front"),
                _number("predicted_ms", "as the estimator says"),
                _number("predicted_spread_ms", "the standard deviation of that"),
                _number("measured_ms", "on the device; null where it cannot be measured", nullable=True),
                _number("spread_ms", "half the difference between the quartiles of its repeats", nullable=True),
            ),
            key=("role", "architecture"),
        ),
    ),
    "networks measured on the device again, beside what was predicted",
)
EVALUATION = Contract(
    "nas.evaluation",
    1,
    (_FIGURES,),
    "metrics of the chosen network and of the reference on test images, and their costs",
)
NETWORK = Contract("nas.network", 1, (MEMBERS,), "a released network: the artifacts that it consists of")

CONTRACTS = (
    IMAGES,
    MEASUREMENTS,
    LATENCY,
    SUPERNET,
    SEARCH,
    LANDSCAPE,
    PATTERNS,
    TRAINED,
    MEASURED,
    EVALUATION,
    NETWORK,
)
