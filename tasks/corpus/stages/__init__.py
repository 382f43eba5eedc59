"""The stages of corpus."""
