# simd.hpp: instruction sets and the products that are chosen by them. Every extension has a choice of its own.

from libcpp cimport bool as cbool

cdef extern from "simd.hpp" namespace "fingerpost" nogil:
    cdef enum class Path(int):
        portable
        avx2
        avx512
    ctypedef float (*Kernel)(const float*, const float*, size_t)
    ctypedef void (*Kernel4)(const float*, const float* const*, size_t, float*)
    cbool c_available "fingerpost::available"(Path)
    Path c_active "fingerpost::active_path"()
    cbool c_set_path "fingerpost::set_path"(Path)
    Kernel l2_squared()
    Kernel dot()
    Kernel4 l2_squared_x4()
    Kernel4 dot_x4()


cdef inline dict path_numbers():
    return {"portable": <int>Path.portable, "avx2": <int>Path.avx2, "avx512": <int>Path.avx512}


cdef inline tuple available_names():
    return tuple([name for name, path in path_numbers().items() if c_available(<Path><int>path)])


cdef inline str active_name():
    return {path: name for name, path in path_numbers().items()}[<int>c_active()]


cdef inline int force_name(str name) except -1:
    paths = path_numbers()
    if name not in paths or not c_set_path(<Path><int>paths[name]):
        raise ValueError(f"SIMD path: expected one of {available_names()}, got {name!r}; choose one that this CPU has")
    return 0
