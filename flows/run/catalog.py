"""All stages by name: every ``Stage`` in the modules of each domain's package of stages."""

import pkgutil
import sys
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


def read_code() -> None:
    """Hashes the code of the stages that are imported already, which takes a moment; later it is known."""
    packages = tuple(f"{domain.stage_package}." for domain in domains.DOMAINS)
    for name in [name for name in sys.modules if name.startswith(packages)]:
        for stage in [stage for stage in vars(sys.modules[name]).values() if isinstance(stage, Stage)]:
            stage.code  # noqa: B018 - what it reads stays in memory
