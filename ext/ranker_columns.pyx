# distutils: language = c++
"""Columns of two chunks put together; see ranker_columns.pyi."""

import numpy as np

from libc.stdint cimport int64_t, uint16_t, uint32_t

from ext.build cimport FINGERPOST_SOURCE_HASH

SOURCE_HASH: str = FINGERPOST_SOURCE_HASH.decode()


cdef struct Part:
    const uint32_t* features
    const uint32_t* start
    const uint16_t* columns
    const float* values
    const int64_t* places
    size_t count


cdef size_t _append(const Part* part, size_t feature, uint16_t* columns, float* values, size_t begin, size_t end) noexcept nogil:
    """Adds the entries of one feature to those from ``begin`` to ``end``, by column; where they end then."""
    cdef size_t entry, at
    cdef int64_t place
    for entry in range(part.start[feature], part.start[feature + 1]):
        place = part.places[part.columns[entry]]
        if place < 0:
            continue
        at = end
        # Each part ascends, mostly.
        while at > begin and columns[at - 1] > place:
            columns[at] = columns[at - 1]
            values[at] = values[at - 1]
            at -= 1
        columns[at] = <uint16_t>place
        values[at] = part.values[entry]
        end += 1
    return end


cdef size_t _merge(const Part* a, const Part* b, uint32_t* features, uint32_t* start, uint16_t* columns, float* values) noexcept nogil:
    """Fills the arrays of the whole; how many features it has."""
    cdef size_t i = 0, j = 0, count = 0, begin = 0, end = 0
    cdef uint32_t feature
    start[0] = 0
    while i < a.count or j < b.count:
        if j >= b.count or (i < a.count and a.features[i] <= b.features[j]):
            feature = a.features[i]
        else:
            feature = b.features[j]
        if i < a.count and a.features[i] == feature:
            end = _append(a, i, columns, values, begin, end)
            i += 1
        if j < b.count and b.features[j] == feature:
            end = _append(b, j, columns, values, begin, end)
            j += 1
        if end > begin:
            features[count] = feature
            count += 1
            start[count] = <uint32_t>end
            begin = end
    return count


cdef Part _part(arrays) except *:
    """Where the arrays of a part lie; it is valid as long as they are."""
    cdef const uint32_t[::1] features = arrays[0]
    cdef const uint32_t[::1] start = arrays[1]
    cdef const uint16_t[::1] columns = arrays[2]
    cdef const float[::1] values = arrays[3]
    cdef const int64_t[::1] places = arrays[4]
    cdef Part part
    part.count = features.shape[0]
    part.features = &features[0] if features.shape[0] else NULL
    part.start = &start[0]
    part.columns = &columns[0] if columns.shape[0] else NULL
    part.values = &values[0] if values.shape[0] else NULL
    part.places = &places[0] if places.shape[0] else NULL
    return part


def merge_chunks(first, second, size_t width):
    for features, start, columns, values, places in (first, second):
        if len(start) != len(features) + 1 or start[0] != 0 or start[len(features)] != len(columns) or len(values) != len(columns):
            raise ValueError("chunk: expected pointers from 0 to the number of entries, one more than features; pass one chunk")
        if (len(columns) and columns.max() >= len(places)) or (len(places) and places.max() >= width) or width > 65535:
            raise ValueError(f"places: expected one below {width} (at most 65535) a column, or -1, got others; give one a column")
    cdef Part a = _part(first)
    cdef Part b = _part(second)
    features = np.empty(a.count + b.count, dtype=np.uint32)
    start = np.empty(a.count + b.count + 1, dtype=np.uint32)
    columns = np.empty(len(first[2]) + len(second[2]), dtype=np.uint16)
    values = np.empty(len(columns), dtype=np.float32)
    cdef uint32_t[::1] feature_view = features
    cdef uint32_t[::1] start_view = start
    cdef uint16_t[::1] column_view = columns
    cdef float[::1] value_view = values
    cdef size_t count
    cdef uint32_t* feature_data = &feature_view[0] if feature_view.shape[0] else NULL
    cdef uint16_t* column_data = &column_view[0] if column_view.shape[0] else NULL
    cdef float* value_data = &value_view[0] if value_view.shape[0] else NULL
    with nogil:
        count = _merge(&a, &b, feature_data, &start_view[0], column_data, value_data)
    entries = int(start[count])
    return features[:count], start[: count + 1], columns[:entries], values[:entries]
