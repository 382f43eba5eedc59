"""Metrics, and the catch-up of missed runs."""
