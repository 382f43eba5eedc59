"""The section of a ranker in the report."""
