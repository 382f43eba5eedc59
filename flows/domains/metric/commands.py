"""The commands that choose a threshold for embeddings, show the live one, and embed rows by its embedder."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from fingerpost.flows.commands.options import CollectionOption, JsonOption, StoreOption, pair
from fingerpost.flows.run.plain_text import echo, echo_json
from fingerpost.schemas.errors import UsageError


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
            help="target FAR: fraction of pairs of two classes that may pass as one; 0.01 by default",
            show_default=False,
        ),
    ] = None,
    frr: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="instead of --far, target FRR: fraction of pairs of one class that may be refused",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map", "-m", help="column here = column of the file, for example label=person", show_default=False
        ),
    ] = None,
    group: Annotated[
        str,
        typer.Option(
            help=(
                "the file's column of groups of classes (cameras, languages), which get a threshold of their own where"
                " theirs differs significantly; 'group' if the file has that column"
            ),
            show_default=False,
        ),
    ] = "",
    measure: Annotated[str, typer.Option(help="measure of closeness: cosine or euclidean")] = "cosine",
    migrate: Annotated[
        Path | None,
        typer.Option(
            help="file of the same ids with the vectors of another model: find the threshold with at most the same rate there",
            show_default=False,
        ),
    ] = None,
    old: Annotated[
        float | None,
        typer.Option(
            "--from",
            help="with --migrate: the threshold in use, if it is not the one that would be chosen",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            help="without --input: check that the vectors of this file are of the live threshold's model",
            show_default=False,
        ),
    ] = None,
    same_classes: Annotated[
        bool, typer.Option("--same-classes", help="choose and test on all classes, without a split")
    ] = False,
    share: Annotated[
        float, typer.Option("--validation-share", help="fraction of the classes that the threshold is chosen on")
    ] = 0.5,
    seed: Annotated[int, typer.Option(help="seed of the split into classes to choose on and classes to test on")] = 0,
    worst: Annotated[int, typer.Option(min=0, help="number of classes listed")] = 10,
    memory_mb: Annotated[float, typer.Option(min=1, help="maximum memory of the histograms, in MB")] = 512,
    as_json: JsonOption = False,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Chooses one threshold for all classes of your embeddings.

    Prints the threshold, its interval, its error rates on classes that it was not chosen on, and the worst of these.

    Examples:

        fingerpost threshold --input embeddings.parquet --far 0.01

        fingerpost threshold --input faces.csv --map id=photo --map label=person --frr 0.05 --json

        fingerpost threshold --input faces.parquet --group camera

        fingerpost threshold --input old.parquet --migrate new.parquet --from 0.62

        fingerpost threshold --collection products --check embeddings.parquet
    """
    from fingerpost.flows.domains.metric.tables import show_choice, show_live, show_migration

    _check_usage(source, far, frr, migrate, old, check, share)
    mapping = dict(pair(text, "--map", "column=name") for text in columns or ()) | ({"group": group} if group else {})
    arguments = {
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
        result = _live(arguments, migrate, old, check, far, frr, collection, store)
    else:
        result = _of_file(arguments, source, migrate, old)
    if as_json:
        echo_json(_plain(result), indent=None)
    elif migrate is not None:
        show_migration(result, worst)
    elif source is None:
        show_live(result)
    else:
        show_choice(result, worst)


def embed(
    source: Annotated[
        Path,
        typer.Option(
            "--input",
            "-i",
            help="file of id and vector, or images (a folder by class, or Parquet), as the embedder was trained on",
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
        typer.Option("--map", "-m", help="column here = column of the file, for example id=photo", show_default=False),
    ] = None,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Embeds vectors or images with the trained embedder of the live threshold.

    Examples:

        fingerpost embed --input tonight.parquet --output embedded.parquet --collection faces

        fingerpost embed --input photos/ --output embedded.parquet --collection faces
    """
    from fingerpost.flows.domains.metric.embed import embed_file

    mapping = dict(pair(text, "--map", "column=name") for text in columns or ())
    echo(embed_file(source, output, mapping, collection=collection or None, store=store or None))


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
        raise UsageError("threshold: expected one of --far and --frr, got both; give the target alone")
    if 1 in (far, frr):
        raise UsageError("threshold: expected a rate below 1, got 1; give a smaller one, any threshold reaches it")
    if old is not None and migrate is None:
        raise UsageError("threshold: expected --migrate with --from, found none; name the file of the new model")
    if check is not None and (source is not None or migrate is not None):
        raise UsageError("threshold: expected --check alone, got --input or --migrate with it; leave these out")
    if not 0 < share < 1:
        raise UsageError(f"--validation-share: expected a fraction between 0 and 1, got {share}; 0.5 is usual")


def _of_file(arguments: dict[str, Any], source: Path, migrate: Path | None, old: float | None) -> dict[str, Any]:
    """The result for a file, or for two."""
    from fingerpost.flows.domains.metric.threshold import carried_over, choose, read_given

    options = _options(arguments)
    first = read_given(source, arguments["mapping"])
    if migrate is None:
        return choose(first, options)
    second = read_given(migrate, arguments["mapping"], labelled=False)
    return carried_over(first, second, choose(first, options)["threshold"] if old is None else old, options)


def _live(
    arguments: dict[str, Any],
    migrate: Path | None,
    old: float | None,
    check: Path | None,
    far: float | None,
    frr: float | None,
    collection: str,
    store: str,
) -> dict[str, Any]:
    """The result for the live threshold."""
    from dataclasses import replace

    from fingerpost.flows.domains.metric.threshold import carried_over, embeddings_of, read_given
    from fingerpost.flows.domains.metric.threshold import check as checked
    from fingerpost.tasks.metric.open import live

    if far is not None or frr is not None:
        raise UsageError(
            "threshold: expected --input with --far or --frr, found none; the live threshold has its own target"
        )
    published = live(collection or None, store=store or None)
    tuned = published.threshold
    if migrate is not None:
        options = replace(_options(arguments), measure=tuned.measure, target=tuned.target)
        second = read_given(migrate, arguments["mapping"], labelled=False)
        return carried_over(embeddings_of(published), second, tuned.threshold if old is None else old, options)
    shown = {
        "collection": published.collection,
        "ref": str(published.ref),
        "threshold": tuned.threshold,
        "interval": list(tuned.interval),
        "measure": tuned.measure,
        "target": {"rate": tuned.target.rate, "share": tuned.target.share},
        "model": tuned.model,
        "groups": {name: list(own) for name, own in tuned.groups.items()},
        "cautions": published.quality.get("cautions", []),
    } | {name: published.quality[name] for name in ("test_classes", "test_far", "test_frr", "opis")}
    if check is not None:
        shown["checked"] = checked(published, read_given(check, arguments["mapping"], labelled=False))
    return shown


def _options(arguments: dict[str, Any]) -> Any:
    import os

    from fingerpost.flows.domains.metric.threshold import Options
    from fingerpost.tasks.metric.scores import check_measure
    from fingerpost.tasks.metric.thresholds import Target

    try:
        check_measure(arguments["measure"])
    except ValueError as problem:
        raise UsageError(str(problem)) from problem
    return Options(
        Target(arguments["rate"], arguments["at"]),
        arguments["measure"],
        memory_mb=arguments["memory_mb"],
        validation_share=arguments["share"],
        seed=arguments["seed"],
        split=arguments["split"],
        threads=os.cpu_count() or 1,
    )


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)


def _plain(value: Any) -> Any:
    """A value with NaN replaced by None: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
