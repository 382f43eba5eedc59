"""The stages of autocomplete: read, call a pure function, write, return a reference."""
