"""What is kept, live, pinned or removed."""
