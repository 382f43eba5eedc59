"""The section of thresholds and embedders in the report."""
