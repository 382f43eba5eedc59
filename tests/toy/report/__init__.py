"""The section of a glossary."""
