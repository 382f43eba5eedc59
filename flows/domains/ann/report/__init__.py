"""The section of an index in the report."""
