"""Session-aware query completion as extreme multilabel ranking (PECOS, KDD 2021): queries before, prefix, suggestions."""
