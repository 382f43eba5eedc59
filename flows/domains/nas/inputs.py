"""The images of a run and the space of networks for them: imported from a user's files, the built-in sample, or the store."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fingerpost.flows.domains.corpus.inputs import suppressed_keys
from fingerpost.flows.domains.nas.settings import NasSettings
from fingerpost.flows.domains.nas.sources import device_of, read_architecture, suppressed_source
from fingerpost.flows.run.rewriting import instead_of
from fingerpost.flows.run.runtime import Run
from fingerpost.schemas.errors import CorruptArtifactError, ForeignArtifactError, InputError, MissingArtifactError
from fingerpost.schemas.inputs.labelled_images import ImageSource
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.nas.space import SearchSpace
from fingerpost.tasks.nas.spaces import space_around, space_for_images
from fingerpost.tasks.nas.stages.images import compose_canvases, import_labelled_images

#: What a plan assumes of images where none were ever read.
_ASSUMED: Mapping[str, Any] = {"size": 28, "classes": 10}


@dataclass(frozen=True)
class Inputs:
    """What networks are trained on, and their search space.

    imported: the images as they were imported; images: those that networks see, which are canvases for segmentation.
    """

    imported: Ref
    images: Ref
    space: SearchSpace

    @property
    def roles(self) -> dict[str, Ref]:
        """The artifacts by role; canvases only where they were composed."""
        return {"images": self.imported} | ({} if self.images == self.imported else {"canvases": self.images})


def inputs_of(run: Run) -> Inputs:
    """The imported images, for segmentation composed to canvases, and the search space."""
    own = run.settings.nas
    images = imported = import_labelled_images(
        _source(run), params=own.images.params, channels=own.images.channels, imports=own.imports
    )
    if own.task == "segmentation":
        images = compose_canvases(imported, params=own.canvas)
    known = _known(run, images)
    if run.env.store.has(images):
        _check_reference(own, known["classes"])
    return Inputs(imported, images, space_of(own, known["size"], known["classes"]))


def _check_reference(own: NasSettings, classes: int) -> None:
    """InputError for a given architecture that is for other images."""
    if not own.reference:
        return
    given = read_architecture(own.reference)
    for name, value in (("task", own.task), ("inputs", own.images.channels), ("classes", classes)):
        if (found := getattr(given, name)) != value:
            raise InputError(
                f"{own.reference}: expected {name} = {json.dumps(value)}, as the images have, got {json.dumps(found)};"
                " correct it there"
            )


def _known(run: Run, images: Ref) -> Mapping[str, Any]:
    """Size and classes of images; a plan that has not read them takes those of the newest ones for granted."""
    ledger = run.env.ledger
    for ref in (images, ledger.same(images.name, images.fingerprint), ledger.latest(images.name)):
        if ref is not None:
            with suppress(CorruptArtifactError, ForeignArtifactError, MissingArtifactError):
                return run.env.store.manifest(ref).quality
    return _ASSUMED


def space_of(own: NasSettings, size: int, classes: int) -> SearchSpace:
    """The search space for images of ``size`` pixels on a side, as settings have it, or around the given architecture."""
    parallelism = device_of(own).parallelism
    if own.reference and own.space.vary:
        given = read_architecture(own.reference)
        return space_around(given, parallelism, vary=own.space.vary, aligned=own.space.curated)
    return space_for_images(size, own.images.channels, classes, parallelism, task=own.task, params=own.space)


def _source(run: Run) -> ImageSource:
    """What is read: from outside, or from the store in place of images that are missing."""
    stored = instead_of("nas")
    if stored is not None:
        found: ImageSource = stored
        return found
    return suppressed_source(run.settings, run.flow, suppressed_keys(run.settings)).images
