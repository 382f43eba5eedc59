"""Questions to the built-in sample, as engineers ask, with the objects of which any one answers them."""

#: Question, and ids of the sample's documents that answer it.
QUESTIONS: tuple[tuple[str, frozenset[str]], ...] = (
    ("sliding window view of an array", frozenset({"numpy.lib.stride_tricks.sliding_window_view"})),
    ("indices that would sort an array", frozenset({"numpy.argsort"})),
    ("singular value decomposition", frozenset({"numpy.linalg.svd", "scipy.linalg.svd"})),
    ("solve a system of linear equations", frozenset({"numpy.linalg.solve", "scipy.linalg.solve"})),
    ("merge two dataframes on a key", frozenset({"pandas.merge", "pandas.DataFrame.merge"})),
    ("read a csv file into a dataframe", frozenset({"pandas.read_csv"})),
    ("remove duplicate rows", frozenset({"pandas.DataFrame.drop_duplicates"})),
    ("convert strings to datetime", frozenset({"pandas.to_datetime"})),
    ("minimize a function of several variables", frozenset({"scipy.optimize.minimize"})),
    ("fit a curve to data by least squares", frozenset({"scipy.optimize.curve_fit"})),
    ("t test for two independent samples", frozenset({"scipy.stats.ttest_ind"})),
    ("rank the nodes of a graph by their incoming links", frozenset({"networkx.pagerank"})),
    ("minimum spanning tree of a graph", frozenset({"networkx.minimum_spanning_tree"})),
    ("start a local cluster of workers", frozenset({"distributed.LocalCluster"})),
    ("compute several dask collections at once", frozenset({"dask.compute"})),
    ("decorator that makes a function a flow", frozenset({"prefect.flow"})),
)
