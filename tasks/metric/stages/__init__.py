"""The stages of metric."""
