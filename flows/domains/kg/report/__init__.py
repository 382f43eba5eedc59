"""The section of an alignment in the report."""
