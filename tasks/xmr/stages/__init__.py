"""The stages of xmr."""
