"""The operator's day: the stack, its deployments, backfills, plans, comparisons, and what is kept or removed."""
