"""The cards of an input in the report."""
