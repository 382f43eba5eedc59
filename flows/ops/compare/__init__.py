"""Two versions side by side: what differs, why, and what real queries get."""
