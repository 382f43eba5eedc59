"""The form in which texts of queries are counted and ranked."""


def query_text(text: str) -> str:
    """Normalised text of a query, on one line, so that it is featurized as a single field."""
    return " ".join(text.split())
