"""The stages that there are, by name: every ``Stage`` in the modules of ``tasks/<domain>/stages/``."""

import pkgutil
from importlib import import_module

import tasks
from tasks.stage import Stage


def _found() -> dict[str, Stage]:
    stages: dict[str, Stage] = {}
    for domain in pkgutil.iter_modules(tasks.__path__):
        if domain.ispkg:
            package = import_module(f"tasks.{domain.name}.stages")
            for module in pkgutil.iter_modules(package.__path__):
                names = vars(import_module(f"{package.__name__}.{module.name}"))
                stages |= {stage.name: stage for stage in names.values() if isinstance(stage, Stage)}
    return stages


STAGES: dict[str, Stage] = _found()
