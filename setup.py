"""Builds the extensions of ``ext/``; everything else is in pyproject.toml."""

import importlib.util
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

spec = importlib.util.spec_from_file_location("sources", Path(__file__).parent / "ext" / "sources.py")
sources = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sources)

# Automatic discovery drops a top-level package called "tasks", so the packages are listed.
TOP = ("flows", "tasks", "ext", "schemas", "infra")
ROOT = Path(__file__).parent
PACKAGES = sorted(
    ".".join(path.parent.relative_to(ROOT).parts) for top in TOP for path in (ROOT / top).rglob("__init__.py")
)

extensions = [
    Extension(
        f"ext.{name}",
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
    if (ROOT / "ext" / files[0]).is_file()
]

setup(
    packages=PACKAGES,
    package_data={
        "ext": ["*.pyi"],
        "tasks": ["same_code.json"],
        "infra": ["profiles/*.toml", "*.yaml", "kubernetes/*.yaml", "prometheus/*", "Dockerfile", "RUNBOOK.md"],
        # The page of a report, and the section of each domain.
        **{name: ["*.html"] for name in PACKAGES if name.endswith(".report")},
    },
    ext_modules=cythonize(
        extensions,
        language_level=3,
        compiler_directives={"boundscheck": False, "wraparound": False, "cdivision": True, "embedsignature": True},
    ),
)
