"""Erasure of a key: affected artifacts, removal, and the proof of absence."""
