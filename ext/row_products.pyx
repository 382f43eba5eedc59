# distutils: language = c++
"""Rows times a matrix; see row_products.pyi."""

import numpy as np

from ext.build cimport FINGERPOST_SOURCE_HASH
from ext.simd cimport active_name, available_names, force_name

SOURCE_HASH: str = FINGERPOST_SOURCE_HASH.decode()

cdef extern from "row_products.hpp" namespace "fingerpost::products" nogil:
    void c_row_products "fingerpost::products::row_products"(const float*, size_t, size_t, const float*, const float*,
                                                             size_t, float*) except +


def available_paths():
    return available_names()


def active_path():
    return active_name()


def force_path(str name):
    force_name(name)


def row_products(const float[:, ::1] rows, const float[:, ::1] matrix, const float[::1] shift):
    cdef size_t count = rows.shape[0], dim = rows.shape[1], columns = matrix.shape[1]
    if <size_t>matrix.shape[0] != dim:
        raise ValueError(f"matrix: expected {dim} rows, one for each column of the rows, got {matrix.shape[0]}; pass the "
                         "matrix of these rows")
    if <size_t>shift.shape[0] != columns:
        raise ValueError(f"shift: expected {columns} values, one for each column of the matrix, got {shift.shape[0]}; "
                         "pass zeros for none")
    out = np.empty((count, columns), dtype=np.float32)
    cdef float[:, ::1] view = out
    if dim == 0:
        out[:] = np.add(np.float32(0), shift)
    elif count and columns:
        with nogil:
            c_row_products(&rows[0, 0], count, dim, &matrix[0, 0], &shift[0], columns, &view[0, 0])
    return out
