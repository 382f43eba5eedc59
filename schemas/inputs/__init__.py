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

#: The built-in events: the calls of each function in the sources of installed packages.
CALLS_SAMPLE = "python-calls"

#: The built-in graphs: the objects of numpy and of dask.array, and what dask documents itself to mirror.
OBJECTS_SAMPLE = "python-objects"
