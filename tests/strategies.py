"""Hypothesis strategies that several tests share: unsafe names, matrices and tensors."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

#: Names that could leave a folder, or mean something else on another system.
ESCAPES = (
    "",
    ".",
    "..",
    "../x",
    "a/../b",
    "/etc/passwd",
    "//host/share",
    "a/b",
    "a\\b",
    "..\\x",
    "C:\\x",
    "a\0b",
    "\0",
    "day=..",
    "~",
    "~root",
    "$HOME",
    "a b",
    "a\n",
    "\na",
    "-rf",
    ".hidden",
    "%2e%2e",
    "a..b",
    "é",
    "A",
    "x" * 101,
)

_PIECES = st.sampled_from(["..", ".", "/", "\\", "\0", "day=", "a", "2026-01-02", "0" * 16, "~", "\n", "%2f", "é", "A"])


def unsafe_names() -> st.SearchStrategy[str]:
    """Texts made of what could make a path leave its folder."""
    dangerous = ("/", "\\", "\0", "..", "\n", "=", "~", "%", "é", "A")
    pieced = st.lists(_PIECES, min_size=1, max_size=6).map("".join)
    return st.one_of(st.sampled_from(ESCAPES), pieced.filter(lambda text: any(part in text for part in dangerous)))


def dense_matrices() -> st.SearchStrategy[np.ndarray]:
    """Finite float32 matrices (n, d), n from 0, d from 1."""
    return hnp.arrays(
        np.float32,
        st.tuples(st.integers(0, 9), st.integers(1, 7)),
        elements=st.floats(-1e6, 1e6, width=32, allow_nan=False, allow_infinity=False),
    )


@st.composite
def csr_matrices(draw: st.DrawFn) -> sparse.csr_array:
    """CSR matrices with sorted indices, empty rows, stored zeros and no rows at all among them."""
    rows, columns = draw(st.integers(0, 8)), draw(st.integers(1, 12))
    taken = [draw(st.sets(st.integers(0, columns - 1))) for _ in range(rows)]
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in taken], dtype=np.int64)]).astype(np.int64)
    indices = np.array([column for row in taken for column in sorted(row)], dtype=np.int64)
    values = draw(hnp.arrays(np.float32, len(indices), elements=st.floats(-100, 100, width=32)))
    return sparse.csr_array((values, indices, indptr), shape=(rows, columns))


def tensors() -> st.SearchStrategy[dict[str, np.ndarray]]:
    """Named arrays of every numeric dtype and byte order, 0-d and empty ones among them."""
    dtypes = st.one_of(
        hnp.boolean_dtypes(),
        hnp.integer_dtypes(endianness="?"),
        hnp.unsigned_integer_dtypes(endianness="?"),
        hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    )
    arrays = dtypes.flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    )
    return st.dictionaries(st.text(min_size=1, max_size=8), arrays, max_size=4)
