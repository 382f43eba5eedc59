"""Choosing a threshold for embeddings, asking for the live one, and embedding by the model that it holds for."""

import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.options import CollectionOption, JsonOption, StoreOption, pair
from schemas.errors import FingerpostError


def threshold(
    source: Annotated[
        Path | None,
        typer.Option(
            "--input",
            "-i",
            help=(
                "Parquet, CSV or JSON Lines file of id, label and vector; without it, the live threshold of a"
                " collection"
            ),
            show_default=False,
        ),
    ] = None,
    far: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="share of pairs of two classes that may pass as one; 0.01 if none is named",
            show_default=False,
        ),
    ] = None,
    frr: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="instead: share of pairs of one class that may be refused", show_default=False),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map", "-m", help="our column = the file's column, for example label=person", show_default=False
        ),
    ] = None,
    group: Annotated[
        str,
        typer.Option(
            help=(
                "the file's column of groups of classes (cameras, languages), which get a threshold of their own where"
                " it is worth it; 'group' if the file has one"
            ),
            show_default=False,
        ),
    ] = "",
    measure: Annotated[str, typer.Option(help="cosine or euclidean")] = "cosine",
    migrate: Annotated[
        Path | None,
        typer.Option(
            help="carry the threshold over to the model that made the vectors of this file: of the same ids",
            show_default=False,
        ),
    ] = None,
    old: Annotated[
        float | None,
        typer.Option(
            "--from", help="with --migrate: the threshold in use, if it is not the one chosen here", show_default=False
        ),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            help="without --input: refuse the vectors of this file if they are of another model", show_default=False
        ),
    ] = None,
    same_classes: Annotated[bool, typer.Option("--same-classes", help="choose and test on all classes")] = False,
    share: Annotated[float, typer.Option("--validation-share", help="share of the classes that it is chosen on")] = 0.5,
    seed: Annotated[int, typer.Option(help="which classes these are")] = 0,
    worst: Annotated[int, typer.Option(min=0, help="classes listed")] = 10,
    memory_mb: Annotated[float, typer.Option(min=1, help="most memory of the histograms")] = 512,
    as_json: JsonOption = False,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """One threshold for all classes of your embeddings: what it is, its interval, the error rates of classes that it was not
    chosen on, and the worst of these.

    Examples:

        fingerpost threshold --input embeddings.parquet --far 0.01

        fingerpost threshold --input faces.csv --map id=photo --map label=person --frr 0.05 --json

        fingerpost threshold --input faces.parquet --group camera

        fingerpost threshold --input old.parquet --migrate new.parquet --from 0.62

        fingerpost threshold --collection products --check embeddings.parquet
    """
    from flows.domains.metric.tables import show_choice, show_live, show_migration

    _check_usage(source, far, frr, migrate, old, check, share)
    mapping = dict(pair(text, "--map", "column=name") for text in columns or ()) | ({"group": group} if group else {})
    given = {
        "mapping": mapping,
        "measure": measure,
        "share": share,
        "seed": seed,
        "split": not same_classes,
        "memory_mb": memory_mb,
        "rate": "far" if frr is None else "frr",
        "at": _first(far, frr, 0.01),
    }
    if source is None:
        found = _live(given, migrate, old, check, far, frr, collection, store)
    else:
        found = _of_file(given, source, migrate, old)
    if as_json:
        typer.echo(json.dumps(_plain(found), ensure_ascii=False))
    elif migrate is not None:
        show_migration(found, worst)
    elif source is None:
        show_live(found)
    else:
        show_choice(found, worst)


def embed(
    source: Annotated[
        Path,
        typer.Option(
            "--input",
            "-i",
            help="what the embedder was trained on: a file of id and vector, or images (a folder by class, or Parquet)",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="the Parquet (.parquet) or JSON Lines (.jsonl) file of id, label and vector to write",
            show_default=False,
        ),
    ],
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", "-m", help="our column = the file's column, for example id=photo", show_default=False),
    ] = None,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Embeds vectors or images by the trained embedder that the live threshold holds for.

    Examples:

        fingerpost embed --input tonight.parquet --output embedded.parquet --collection faces

        fingerpost embed --input photos/ --output embedded.parquet --collection faces
    """
    from flows.domains.metric.embed import embed_file

    mapping = dict(pair(text, "--map", "column=name") for text in columns or ())
    typer.echo(embed_file(source, output, mapping, collection=collection or None, store=store or None))


def _check_usage(
    source: Path | None,
    far: float | None,
    frr: float | None,
    migrate: Path | None,
    old: float | None,
    check: Path | None,
    share: float,
) -> None:
    if far is not None and frr is not None:
        raise FingerpostError("threshold: expected one of --far and --frr, got both; name the one that it is to keep")
    if 1 in (far, frr):
        raise FingerpostError("threshold: expected a rate below 1, got 1; any threshold keeps that")
    if old is not None and migrate is None:
        raise FingerpostError("threshold: expected --migrate with --from, found none; name the file of the new model")
    if check is not None and (source is not None or migrate is not None):
        raise FingerpostError(
            "threshold: expected --check alone, got --input or --migrate with it; it asks for the live threshold"
        )
    if not 0 < share < 1:
        raise FingerpostError(f"--validation-share: expected a share between 0 and 1, got {share}; 0.5 is usual")


def _of_file(given: dict[str, Any], source: Path, migrate: Path | None, old: float | None) -> dict[str, Any]:
    """What is printed of a file, or of two."""
    from flows.domains.metric.threshold import carried_over, choose, read_given

    options = _options(given)
    first = read_given(source, given["mapping"])
    if migrate is None:
        return choose(first, options)
    second = read_given(migrate, given["mapping"], labelled=False)
    return carried_over(first, second, choose(first, options)["threshold"] if old is None else old, options)


def _live(
    given: dict[str, Any],
    migrate: Path | None,
    old: float | None,
    check: Path | None,
    far: float | None,
    frr: float | None,
    collection: str,
    store: str,
) -> dict[str, Any]:
    """What is printed of the live threshold."""
    from dataclasses import replace

    from flows.domains.metric.threshold import carried_over, embeddings_of, read_given
    from flows.domains.metric.threshold import check as checked
    from tasks.metric.open import live

    if far is not None or frr is not None:
        raise FingerpostError(
            "threshold: expected --input with --far or --frr, found none; the live threshold has a target of its own"
        )
    found = live(collection or None, store=store or None)
    made = found.threshold
    if migrate is not None:
        options = replace(_options(given), measure=made.measure, target=made.target)
        second = read_given(migrate, given["mapping"], labelled=False)
        return carried_over(embeddings_of(found), second, made.threshold if old is None else old, options)
    shown = {
        "collection": found.collection,
        "ref": str(found.ref),
        "threshold": made.threshold,
        "interval": list(made.interval),
        "measure": made.measure,
        "target": {"rate": made.target.rate, "share": made.target.share},
        "model": made.model,
        "groups": {name: list(own) for name, own in made.groups.items()},
        "cautions": found.quality.get("cautions", []),
    } | {name: found.quality[name] for name in ("test_classes", "test_far", "test_frr", "opis")}
    if check is not None:
        shown["checked"] = checked(found, read_given(check, given["mapping"], labelled=False))
    return shown


def _options(given: dict[str, Any]) -> Any:
    import os

    from flows.domains.metric.threshold import Options
    from tasks.metric.scores import check_measure
    from tasks.metric.thresholds import Target

    try:
        check_measure(given["measure"])
    except ValueError as problem:
        raise FingerpostError(str(problem)) from problem
    return Options(
        Target(given["rate"], given["at"]),
        given["measure"],
        memory_mb=given["memory_mb"],
        validation_share=given["share"],
        seed=given["seed"],
        split=given["split"],
        threads=os.cpu_count() or 1,
    )


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)


def _plain(value: Any) -> Any:
    """JSON has no NaN: null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
