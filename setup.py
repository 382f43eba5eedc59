"""Builds the extensions of ``ext/``; everything else is in pyproject.toml."""

import importlib.util
import multiprocessing
import os
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, find_packages, setup

spec = importlib.util.spec_from_file_location("sources", Path(__file__).parent / "ext" / "sources.py")
sources = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sources)

ROOT = Path(__file__).parent
# Links to the folders here.
PACKAGES = find_packages("src")

#: Extensions made at a time: translated in processes where these are forked (others would run this file again), compiled by threads.
AT_ONCE = min(8, os.cpu_count() or 1)
FORKED = multiprocessing.get_start_method() == "fork"

extensions = [
    Extension(
        f"fingerpost.ext.{name}",
        [f"ext/{files[0]}"],
        include_dirs=["ext", numpy.get_include()],
        depends=[f"ext/{file}" for file in files],
        define_macros=[
            ("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION"),
            ("FINGERPOST_SOURCE_HASH", f'"{sources.source_hash(name)}"'),
        ],
        extra_compile_args=list(sources.COMPILE_FLAGS),
        extra_link_args=list(sources.LINK_FLAGS),
        language="c++",
    )
    for name, files in sources.EXTENSIONS.items()
    # Where `make` has just built them beside their sources, an editable install would compile them all again.
    if (ROOT / "ext" / files[0]).is_file() and os.environ.get("FINGERPOST_EXTENSIONS") != "built"
]

setup(
    packages=PACKAGES,
    package_dir={"": "src"},
    package_data={
        "fingerpost.ext": ["*.pyi"],
        "fingerpost.tasks": ["same_code.json"],
        "fingerpost.infra": [
            "profiles/*.toml",
            "*.yaml",
            "kubernetes/*.yaml",
            "prometheus/*",
            "Dockerfile",
            "RUNBOOK.md",
            "SCALE.md",
        ],
        # The page of a report, and the section of each domain.
        **{name: ["*.html"] for name in PACKAGES if name.endswith(".report")},
    },
    options={"build_ext": {"parallel": AT_ONCE}},
    ext_modules=cythonize(
        extensions,
        nthreads=AT_ONCE if FORKED else 0,
        language_level=3,
        compiler_directives={"boundscheck": False, "wraparound": False, "cdivision": True, "embedsignature": True},
    ),
)
