"""A small threshold through all its stages, without Prefect: rows of labelled vectors, and what is made of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from fingerpost.schemas.inputs.sources import FileSource
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.corpus.stages.documents import import_documents, take_vectors
from fingerpost.tasks.metric.assessment import AssessmentParams
from fingerpost.tasks.metric.classes import ClassParams
from fingerpost.tasks.metric.opis import OpisParams
from fingerpost.tasks.metric.stages import thresholds
from fingerpost.tasks.metric.thresholds import Target
from tests.unit.metric.worlds import embeddings

ROWS, CLASSES = 400, 16


def faces(seed: int = 0) -> list[dict[str, Any]]:
    """Rows with id, package (the class), kind (the group) and vector."""
    vectors, labels = embeddings(CLASSES, ROWS, 8, seed)
    return [
        {
            "id": f"face {row}",
            "package": f"person {label}",
            "kind": ("tight", "", "wide")[3 * int(label) // CLASSES],
            "vector": [float(number) for number in vector],
        }
        for row, (vector, label) in enumerate(zip(vectors, labels, strict=True))
    ]


def tune(
    env: Any, folder: Path, rows: list[dict[str, Any]], *, share: float = 0.02, model: str = "camera 1", group: str = ""
) -> dict[str, Ref]:
    """Every artifact by its role, the release among them."""
    file = folder / f"{env.day}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = {"documents": import_documents.execute(env, FileSource(str(file)), params=ImportParams(4096))}
    made["vectors"] = take_vectors.execute(env, made["documents"], normalize=False)
    for side in ("validation", "test"):
        made[f"{side}_rows"] = arranged = thresholds.arrange_classes.execute(
            env,
            made["vectors"],
            made["documents"],
            measure="cosine",
            bins=1024,
            memory_mb=64,
            classes=ClassParams(part=side, validation_share=0.5, group=group),  # type: ignore[arg-type]
            rows_per_shard=4096,
        )
        counts = thresholds.count_class_pairs.execute(env, arranged)
        made[f"{side}_pairs"] = thresholds.merge_pair_counts.execute(env, arranged, counts)
    params = AssessmentParams(Target("far", share), opis=OpisParams(draws=0, least_pairs=3), least_group_classes=2)
    made["assessment"] = thresholds.assess_threshold.execute(
        env,
        made["validation_pairs"],
        made["test_pairs"],
        made["validation_rows"],
        made["test_rows"],
        params=params,
    )
    made["retrieval"] = thresholds.measure_retrieval.execute(env, made["test_rows"], queries=1000)
    others = ("validation_rows", "test_rows", "test_pairs")
    made["release"] = thresholds.release_threshold.execute(
        env,
        made["validation_pairs"],
        made["vectors"],
        made["documents"],
        made["assessment"],
        made["retrieval"],
        *(made[role] for role in others),
        roles=others,
        target=Target("far", share),
        model=model,
        canaries=8,
    )
    return made


def turned(rows: list[dict[str, Any]], seed: int = 3) -> list[dict[str, Any]]:
    """The rows as another model has them: every vector turned and one number moved."""
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((8, 8)))[0]
    return [row | {"vector": [float(number) for number in np.array(row["vector"]) @ turn]} for row in rows]
