"""The public names of a distribution's objects: every path by which one is reached, and the one it is known by."""

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.inputs.python_docs.modules import Definition
from schemas.inputs.python_docs.namespaces import ModuleName, Namespaces

_DECLARED_PRIVATE = ("pandas.core", "numpy.core")
"""Said to be private by their documentation although their names are not."""


@dataclass(frozen=True)
class PublicObject:
    """A module, class, function or method under its public name; ``aliases`` are the other names it has.

    ``module`` and ``qualname`` say where it is defined; ``definition`` is None for a module.
    """

    name: str
    kind: str
    docstring: str | None
    aliases: tuple[str, ...]
    module: str
    qualname: str
    definition: Definition | None = None


@dataclass(frozen=True, order=True)
class _Path:
    """A name of an object, ordered by how well it serves: short, the object's own name, meant for others."""

    components: int
    renamed: bool
    incidental: bool
    name: str


def is_public(name: str) -> bool:
    """Whether no component of a dotted name is private."""
    if any(part.startswith("_") for part in name.split(".")):
        return False
    return not any(name == private or name.startswith(private + ".") for private in _DECLARED_PRIVATE)


def public_objects(spaces: Namespaces) -> list[PublicObject]:
    """Every object with a public name, each once, sorted by name; those without docstring included.

    A method that a class takes over from a private base class counts as its own.
    """
    paths: dict[int, list[_Path]] = {}
    found: dict[int, Definition] = {}
    for name, definition, incidental in _module_members(spaces):
        _add(paths, found, name, definition, incidental=incidental)
    # Classes first, since their names are part of those of their members.
    classes = [(min(paths[key]).name, d) for key, d in found.items() if d.kind == "class"]
    for name, definition in sorted(classes, key=lambda pair: pair[0]):
        for path, member in _class_members(spaces, name, definition, known=set(paths)):
            _add(paths, found, path, member, incidental=False)
    objects = [
        PublicObject(name, "module", spaces.modules[name].docstring, (), name, "")
        for name in spaces.modules
        if is_public(name)
    ]
    for key, definition in found.items():
        best, *others = [path.name for path in sorted(paths[key])]
        aliases = tuple(dict.fromkeys(name for name in others if name != best))
        objects.append(
            PublicObject(
                best, definition.kind, definition.docstring, aliases, definition.module, definition.qualname, definition
            )
        )
    return sorted(objects, key=lambda o: (o.name, o.kind == "module", o.module, o.qualname))


def _add(
    paths: dict[int, list[_Path]], found: dict[int, Definition], name: str, definition: Definition, *, incidental: bool
) -> None:
    renamed = not name.endswith("." + definition.name)
    found[id(definition)] = definition
    paths.setdefault(id(definition), []).append(_Path(name.count("."), renamed, incidental, name))


def _module_members(spaces: Namespaces) -> Iterator[tuple[str, Definition, bool]]:
    """Name, definition and whether it is merely imported there, of what public modules have to offer."""
    for module in sorted(spaces.modules):
        if not is_public(module):
            continue
        listed = spaces.exported(module)
        for name in spaces.bound(module) if listed is None else listed:
            target = spaces.target(module, name)
            if not isinstance(target, Definition) or name.startswith("_"):
                continue
            at_home = target.module == module
            offered = listed is not None or spaces.modules[module].is_package
            # What a plain module imports is for its own use, unless it has no public home of its own.
            if at_home or offered or not is_public(target.module):
                yield f"{module}.{name}", target, not (at_home or offered)


def _class_members(
    spaces: Namespaces, name: str, definition: Definition, *, known: set[int]
) -> Iterator[tuple[str, Definition]]:
    """Path and definition of the members of a class, its private bases' included, nested classes' too."""
    seen: set[str] = set()
    for base in bases(spaces, definition):
        for member in base.members.values():
            if member.name in seen:
                continue
            seen.add(member.name)
            if member.name.startswith("_") or (base is not definition and id(base) in known):
                continue
            path = f"{name}.{member.name}"
            yield path, member
            if member.kind == "class":
                yield from _class_members(spaces, path, member, known=known)


def bases(spaces: Namespaces, definition: Definition) -> list[Definition]:
    """The class and its bases that are defined in the same distribution, depth first, each once."""
    order: list[Definition] = []
    waiting = [definition]
    while waiting:
        current = waiting.pop(0)
        if current in order:
            continue
        order.append(current)
        found = [spaces.expression(current.module, base) for base in current.bases]
        waiting = [d for d in found if isinstance(d, Definition) and d.kind == "class"] + waiting
    return order


__all__ = ["ModuleName", "PublicObject", "bases", "is_public", "public_objects"]
