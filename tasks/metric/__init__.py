"""Embeddings used with one threshold: how differently it works across classes (OPIS), which to take, and the TCM loss."""
