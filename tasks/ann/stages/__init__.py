"""The stages of ann."""
