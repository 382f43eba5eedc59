"""Readers of users' files, and the built-in sample."""

#: The name of the built-in sample, as a source and as the collection that it is published under.
SAMPLE = "python-docs"
