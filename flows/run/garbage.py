"""How often Python looks for garbage. Importing makes many objects and no garbage: at Python's 700 new objects, looking
for some takes a tenth of a command's start.
"""

import gc

_USUAL = gc.get_threshold()


def while_starting() -> None:
    """Looks for garbage seldom, while modules are imported."""
    gc.set_threshold(50_000, 50, 50)


def as_usual() -> None:
    """Looks for garbage as often as Python does, so that what stages drop is soon free."""
    gc.set_threshold(*_USUAL)
