"""A search as rows and figures: what is stored of it, and what is said of it while it runs."""

from typing import Any

import numpy as np

from fingerpost.tasks.nas.chosen import best_row
from fingerpost.tasks.nas.evolution import Problem
from fingerpost.tasks.nas.history import Evaluated, History
from fingerpost.tasks.nas.search_params import SearchParams
from fingerpost.tasks.nas.search_scores import rewards, shared_rewards
from fingerpost.tasks.nas.strategies import evaluations_left, scores_of


def rows_of(problem: Problem, history: History, params: SearchParams) -> list[dict[str, Any]]:
    """The candidates in order, with the columns of the contract's table ``evaluated``."""
    scores = scores_of(problem, history, params)
    fronts = history.fronts(scores)
    return [
        {
            "number": number,
            "architecture": one.id,
            "description": one.proposal.candidate.text,
            "origin": one.proposal.origin,
            "generation": one.generation,
            "accuracy": one.accuracy,
            "score": float(score),
            **vars(one.costs),
            "feasible": one.feasible,
            "trained": one.trained,
            "front": int(front),
        }
        for number, (one, score, front) in enumerate(zip(history.evaluated, scores, fronts, strict=True))
    ]


def scores_by_name(history: History) -> list[dict[str, Any]]:
    """The scores of the candidates, with the columns of the contract's table ``scores``."""
    return [
        {"architecture": one.id, "name": name, "value": float(value)}
        for one in history.evaluated
        for name, value in sorted(one.scores.items())
    ]


def quality_of(problem: Problem, history: History, params: SearchParams) -> dict[str, Any]:
    """Figures of the search, of the network that it chose, and of the reference; limits are None where there are none."""
    rows = rows_of(problem, history, params)
    chosen = rows[best_row(rows)]
    largest = problem.limits.largest
    found: dict[str, Any] = {
        "method": params.method,
        "evaluated": len(rows),
        "trained": len(history.trained),
        "generations": history.generations,
        "feasible": sum(row["feasible"] for row in rows),
        "front": sum(row["front"] == 0 and row["trained"] for row in rows),
        **{name: chosen[name] for name in _SHOWN},
        "latency_limit_ms": largest.get("latency_ms"),
        "memory_limit_bytes": largest.get("memory_bytes"),
        "parameters_limit": largest.get("parameters"),
    }
    if reference := history.reference:
        found |= {
            "reference_accuracy": reference.accuracy,
            "reference_latency_ms": reference.costs.latency_ms,
            "reference_memory_bytes": reference.costs.memory_bytes,
            "reference_parameters": reference.costs.parameters,
            "hypervolume": round(history.hypervolume(reference.costs), 8),
        }
    return found


#: What is said of the chosen network.
_SHOWN = ("architecture", "accuracy", "latency_ms", "latency_spread_ms", "macs", "parameters", "memory_bytes")


def found_so_far(history: History, params: SearchParams) -> str:
    """What a running search has found: its generation, the best network so far, and how many evaluations are left."""
    best = best_so_far(history, params)
    left = f"{evaluations_left(history, params)} of {params.evaluations} evaluations left"
    parts = [f"generation {history.generations}", left, f"best so far {_named(best)}" if best else "none trained yet"]
    if history.reference and history.reference.accuracy is not None and history.reference is not best:
        parts.append(f"reference {_named(history.reference)}")
    shared = shared_rewards(history, params)
    if not np.isnan(shared).all():
        parts.append(f"best with shared weights {np.nanmax(shared):.4f}")
    return ", ".join(parts)


def best_so_far(history: History, params: SearchParams) -> Evaluated | None:
    """The best of the trained candidates that keep the limits, as `fingerpost.tasks.nas.chosen.best_row`; None without one."""
    found = rewards(history, params)
    rows = [row for row, one in enumerate(history.evaluated) if one.trained and one.feasible]
    row = min(rows, key=lambda row: (-found[row], history.evaluated[row].costs.latency_ms, row), default=None)
    return None if row is None else history.evaluated[row]


def _named(one: Evaluated) -> str:
    return f"{one.accuracy or 0.0:.4f} at {one.costs.latency_ms:.4g} ms"
