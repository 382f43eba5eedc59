"""Extreme multilabel ranking with a tree of labels and linear rankers (PECOS XR-Linear)."""
