"""The stages of kg: read, call a pure function, write, return a reference."""
