"""What the process that Dask's workers are forked from imports: all stages, and what some of them import when they run."""

from contextlib import suppress

import pandas  # noqa: F401

import tests.support.unflushed
import tests.unit.xmr.logged  # noqa: F401
from fingerpost.flows.run.catalog import stages
from fingerpost.flows.run.executor import installation

with suppress(ImportError):
    import torch  # noqa: F401

stages()
installation()
