"""The section of a completer in the report."""
