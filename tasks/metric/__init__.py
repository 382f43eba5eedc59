"""Threshold consistency of embeddings: the OPIS metric, the choice of a threshold, and training with the TCM loss."""
