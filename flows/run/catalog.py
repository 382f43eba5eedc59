"""All stages by name: every ``Stage`` in the modules of each domain's package of stages."""

import pkgutil
from importlib import import_module

from fingerpost.flows import domains
from fingerpost.tasks.stage import Stage


def stages() -> dict[str, Stage]:
    """The stages of all domains, by name."""
    known: dict[str, Stage] = {}
    for domain in domains.DOMAINS:
        package = import_module(domain.stage_package)
        for module in pkgutil.iter_modules(package.__path__):
            names = vars(import_module(f"{package.__name__}.{module.name}"))
            known |= {stage.name: stage for stage in names.values() if isinstance(stage, Stage)}
    return known


def stage_names() -> list[str]:
    """The names of all stages, sorted."""
    return sorted(stages())
