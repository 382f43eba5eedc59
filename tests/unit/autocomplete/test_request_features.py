"""Features of one request: bit for bit those that the same request has among others."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.tasks.autocomplete.contexts import ContextFeaturizer, Contexts, FeatureParams, fit_vocabulary
from fingerpost.tasks.autocomplete.prefixes import PrefixParams
from fingerpost.tasks.autocomplete.request_features import RequestFeaturizer
from fingerpost.tasks.autocomplete.terms import mixed, mixed_number

KEYS = ("numpy.zeros", "numpy.linalg.norm", "numpy numpy", "a b c d a", "天气", "os", "", "os.path.join", "é_è")
CONTEXTS = st.lists(st.lists(st.integers(0, len(KEYS) - 1), max_size=3), min_size=1, max_size=6)
NUMBERS = st.integers(0, 2**64 - 1)


def contexts_of(rows: list[list[int]]) -> Contexts:
    indptr = np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int64)
    return Contexts(KEYS, indptr, np.array([query for row in rows for query in row], dtype=np.int64))


def featurizer_of(rows: list[list[int]], params: FeatureParams) -> ContextFeaturizer:
    prefixes = ["nu"] * len(rows)
    found = fit_vocabulary(contexts_of(rows), np.ones(len(KEYS), dtype=bool), prefixes, params)
    return ContextFeaturizer(found.ids, found.families, found.idf, params)


@given(CONTEXTS, CONTEXTS, st.sampled_from([0.8, 1.0, 0.3]), st.sampled_from([(0,), (0, 2)]))
def test_a_request_has_the_features_of_its_row(
    trained: list[list[int]], asked: list[list[int]], decay: float, lengths: tuple[int, ...]
) -> None:
    many = featurizer_of(trained, FeatureParams(decay=decay, prefixes=PrefixParams(lengths=lengths)))
    matrix = many.rows(contexts_of(asked), ["nu"] * len(asked))
    one = RequestFeaturizer(many)
    again = one.rows([([KEYS[query] for query in context], "nu") for context in asked])
    assert (again.data.tobytes(), again.indices.tolist()) == (matrix.data.tobytes(), matrix.indices.tolist())
    for row, context in enumerate(asked):
        for _ in range(2):
            columns, values = one.row([KEYS[query] for query in context], "nu")
            part = slice(matrix.indptr[row], matrix.indptr[row + 1])
            assert columns.tolist() == matrix.indices[part].tolist()
            assert values.tobytes() == matrix.data[part].astype(np.float32).tobytes()
            assert (columns.dtype, values.dtype) == (np.int32, np.float32)


@given(NUMBERS, NUMBERS)
def test_numbers_are_mixed_as_arrays_are(left: int, right: int) -> None:
    assert mixed_number(left, right) == int(mixed(np.array([left], np.uint64), np.array([right], np.uint64))[0])
