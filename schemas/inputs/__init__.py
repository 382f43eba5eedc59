"""Readers of users' files, and the built-in sample."""

#: The name of the built-in sample, as a source and as the collection that it is published under.
SAMPLE = "python-docs"

#: The built-in interactions: a page to what its "See Also" names, and a first sentence to its object.
SEE_ALSO_SAMPLE = "python-docs-see-also"
NAMES_SAMPLE = "python-docs-names"

#: The embeddings of the built-in sample: vectors of documents, the package as class.
PACKAGES_SAMPLE = "python-docs-packages"
