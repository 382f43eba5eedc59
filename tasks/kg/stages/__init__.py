"""The stages of kg."""
