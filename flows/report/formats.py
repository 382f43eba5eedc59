"""Formats of numbers and moments for pages and cards."""

from fingerpost.schemas.figures import percent, percentage, significant

__all__ = ["count", "figure", "metric", "metric_value", "percent", "percentage", "seconds", "significant", "when"]


def count(value: float) -> str:
    """A whole number with separators of thousands."""
    return f"{value:,.0f}"


def figure(value: float) -> str:
    """A quality metric with four digits."""
    return f"{value:.4f}"


#: Metrics that are numbers of things.
_COUNTS = {"questions"}


def metric_value(value: float | None, name: str) -> str:
    """The value of a metric, by its name: a count, or a figure with four digits; a dash where it was not measured."""
    if value is None:
        return "–"
    return count(value) if name in _COUNTS else figure(value)


def when(moment: str) -> str:
    """A stored UTC moment."""
    return moment.replace("T", " ").replace("+00:00", " UTC")


def seconds(value: float) -> str:
    """Seconds with the significant digits, or minutes and hours."""
    if value < 60:
        return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


_METRICS = {"mrr": "MRR", "ndcg": "nDCG"}


def metric(name: str) -> str:
    """A metric's name as people write it: ``recall_at_10`` is recall@10, ``ndcg_at_10`` nDCG@10."""
    word, at, rank = name.partition("_at_")
    return f"{_METRICS.get(word, word.replace('_', ' '))}{'@' if at else ''}{rank}"
