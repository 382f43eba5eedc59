"""What an operator does: stack, deployments, backfills, comparisons, erasure, and removal of artifacts."""
