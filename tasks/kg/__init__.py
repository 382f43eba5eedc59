"""The kg domain: graphs of entities, their neighbourhoods, and the alignment of two of them."""
