"""Live, pinned, kept and removed artifacts."""
