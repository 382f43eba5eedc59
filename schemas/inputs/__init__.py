"""Readers of users' files, and the built-in sample."""

#: The name of the built-in sample, as a source and as the collection that it is published under.
SAMPLE = "python-docs"

#: The built-in interactions: pages with the objects that their "See Also" names, and first sentences with their
#: objects.
SEE_ALSO_SAMPLE = "python-docs-see-also"
NAMES_SAMPLE = "python-docs-names"

#: The events of the built-in sample: calls in the source of packages, function by function.
CALLS_SAMPLE = "python-calls"

#: The embeddings of the built-in sample: vectors of documents, with the package as class.
PACKAGES_SAMPLE = "python-docs-packages"

#: The built-in graphs and links: the objects of numpy and of dask.array, and which of them dask says that it mirrors.
OBJECTS_SAMPLE = "python-objects"

#: The built-in labelled images: handwritten digits of 8 × 8 pixels, which come with scikit-learn.
DIGITS_SAMPLE = "digits"
