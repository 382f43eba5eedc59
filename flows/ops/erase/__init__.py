"""Forgetting a key: what it touches, its removal, and the proof of its absence."""
