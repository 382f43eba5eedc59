"""Serving published products over HTTP: one process takes requests, others answer them from one opened copy."""
