"""What may be set of a search space; whatever is left empty follows from the images."""

from dataclasses import dataclass

from fingerpost.tasks.nas.architecture import BLOCK_KINDS

#: What a space around a given network may vary.
VARIED = ("width", "fusion", "plain", "kernel", "expansion", "depth", "resolution")


@dataclass(frozen=True)
class SpaceParams:
    """The space that networks are searched in.

    kinds: kinds of blocks; empty, those of the task.
    kernels: kernel sizes of blocks; empty, those of the task.
    expansions: expansion factors of blocks; empty, those of the task.
    depths: blocks of a stage; empty, those of the task.
    widths: multipliers of all channels; empty, those of the task.
    resolutions: pixels on a side of the input; empty, those of the task.
    outputs: pixels on a side of the output; empty, those of the task.
    vary: the space is that around the reference network in which nothing but this varies (width, fusion, plain,
        kernel, expansion, depth, resolution); empty, the whole space for the images.
    curated: whether channels are at a few multiples of the device's parallelism factor alone, not in steps of one.
    values: maximum number of values that channels of a stage may have.
    """

    kinds: tuple[str, ...] = ()
    kernels: tuple[int, ...] = ()
    expansions: tuple[int, ...] = ()
    depths: tuple[int, ...] = ()
    widths: tuple[float, ...] = ()
    resolutions: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    vary: tuple[str, ...] = ()
    curated: bool = True
    values: int = 5

    def __post_init__(self) -> None:
        for name, known in (("kinds", BLOCK_KINDS), ("vary", VARIED)):
            if unknown := [value for value in getattr(self, name) if value not in known]:
                raise ValueError(f"{name}: expected some of {', '.join(known)}, got {', '.join(unknown)}; correct it")
        for name in ("kernels", "expansions", "depths", "widths", "resolutions", "outputs"):
            values: tuple[float, ...] = getattr(self, name)
            if any(value <= 0 for value in values) or len(set(values)) != len(values):
                raise ValueError(f"{name}: expected distinct numbers above 0, got {values}; correct it")
        if even := [kernel for kernel in self.kernels if kernel % 2 == 0]:
            raise ValueError(f"kernels: expected odd numbers, got {even}; choose others")
        if self.values < 1:
            raise ValueError(f"values: expected 1 or more, got {self.values}; correct it")
