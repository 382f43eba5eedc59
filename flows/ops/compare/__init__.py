"""Comparison of two versions: differences, their causes, and the answers to real queries."""
