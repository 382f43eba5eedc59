"""The stages that choose how texts are answered, and that measure the answers."""

import time
from collections.abc import Sequence
from dataclasses import asdict

import pyarrow as pa

from fingerpost.schemas import ann as contracts
from fingerpost.schemas import corpus
from fingerpost.schemas.chosen_settings import chosen_to_arrow, settings_to_arrow
from fingerpost.schemas.matrices import figures_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.ann.hnsw import HnswParams
from fingerpost.tasks.ann.open import kernel_params, open_engine
from fingerpost.tasks.ann.retrieval import RetrievalParams, Sample, evaluate_known_items
from fingerpost.tasks.ann.tuning import TuningParams, choose_answers
from fingerpost.tasks.corpus.open import read_field_weights
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun
