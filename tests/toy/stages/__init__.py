"""The stages of the toy domain."""
