"""Metrics for people who watch, and runs that were missed."""
