"""How often Python looks for garbage. Importing makes many objects and no garbage: at Python's 700 new objects, looking
for some takes a tenth of a command's start.
"""

import gc

#: Thresholds to go back to.
_earlier: list[tuple[int, int, int]] = []


def while_starting() -> None:
    """Looks for garbage seldom, while modules are imported."""
    _earlier.append(gc.get_threshold())
    gc.set_threshold(50_000, 50, 50)


def as_usual() -> None:
    """Looks for garbage as often as before, so that what stages drop is soon free."""
    while _earlier:
        gc.set_threshold(*_earlier.pop())
