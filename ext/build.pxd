# The hash of the sources that an extension is compiled from: setup.py defines the macro.

cdef extern from *:
    """
    #ifndef FINGERPOST_SOURCE_HASH
    #define FINGERPOST_SOURCE_HASH "unknown"
    #endif
    """
    const char* FINGERPOST_SOURCE_HASH
