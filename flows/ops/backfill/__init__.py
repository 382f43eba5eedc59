"""Backfills of the days of a flow: requests, records, progress, and the state of each day."""
