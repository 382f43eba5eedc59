"""The public names of a distribution's objects: every path by which one is reached, and the one it is known by."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fingerpost.schemas.inputs.python_docs.modules import Definition
from fingerpost.schemas.inputs.python_docs.namespaces import Namespaces

_DECLARED_PRIVATE = ("pandas.core", "numpy.core", "pylab", "matplotlib.pylab", "genericpath", "ntpath")
"""Said to be private, or only there to be imported as a whole, although their names are not private."""

_KNOWN_AS = {"posixpath": "os.path"}
"""Modules that are imported under another name than that of their file."""

_SECOND_CHOICE = re.compile(r"pandas\.\w*Index\.")
"""Where one method has equally short names, not these."""


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
    """A name of an object, ordered by how well it serves: short, the object's own name, then the alphabet."""

    components: int
    renamed: bool
    second_choice: bool
    name: str


def is_public(name: str) -> bool:
    """Whether no component of a dotted name is private."""
    if any(part.startswith("_") for part in name.split(".")):
        return False
    return not any(name == private or name.startswith(private + ".") for private in _DECLARED_PRIVATE)


def public_objects(spaces: Namespaces) -> list[PublicObject]:
    """Every object with a public name, each once, sorted by name; those without docstring included.

    A method that a class inherits from a private base class counts as its own.
    """
    paths: dict[int, list[_Path]] = {}
    found: dict[int, Definition] = {}
    for name, definition in _module_members(spaces):
        _add(paths, found, name, definition)
    # Classes first, since their names are part of those of their members.
    _merge_instances(paths, found)
    classes = [(min(paths[k]).name, d) for k, d in found.items() if d.kind == "class" and d.instance_of is None]
    known = frozenset(paths)
    for name, definition in sorted(classes, key=lambda pair: pair[0]):
        for path, member in _class_members(spaces, name, definition, known=known):
            _add(paths, found, path, member)
    objects = [
        PublicObject(_KNOWN_AS.get(name, name), "module", spaces.modules[name].docstring, (), name, "")
        for name in spaces.modules
        if is_public(name)
    ]
    public_modules = {o.name for o in objects}
    for key, definition in found.items():
        best, *others = [path.name for path in sorted(paths[key])]
        aliases = tuple(dict.fromkeys(name for name in others if name != best))
        # A method of an object in a module, like ``random.shuffle``, is called as a function.
        free = definition.kind == "method" and best.rpartition(".")[0] in public_modules
        kind = "function" if free else definition.kind
        objects.append(
            PublicObject(best, kind, definition.docstring, aliases, definition.module, definition.qualname, definition)
        )
    return sorted(objects, key=lambda o: (o.name, o.kind == "module", o.module, o.qualname))


def _add(paths: dict[int, list[_Path]], found: dict[int, Definition], name: str, definition: Definition) -> None:
    renamed = not name.endswith("." + definition.name)
    found[id(definition)] = definition
    paths.setdefault(id(definition), []).append(
        _Path(name.count("."), renamed, _SECOND_CHOICE.match(name) is not None, name)
    )


def _merge_instances(paths: dict[int, list[_Path]], found: dict[int, Definition]) -> None:
    """Lets the only public object of a documented but private class stand for it, as ``scipy.stats.norm`` does.

    Where a class is public itself, or makes many objects, its docstring says nothing about one of them.
    """
    made: dict[int, list[int]] = {}
    for key, definition in found.items():
        if definition.instance_of is not None and definition.instance_of.docstring:
            made.setdefault(id(definition.instance_of), []).append(key)
    for maker, keys in made.items():
        shared = found[keys[0]].instance_of
        if maker not in found and len(keys) == 1 and shared is not None:
            shared.arguments = None  # those of the class are of no use to who has the object
            found[maker] = shared
            paths[maker] = paths[keys[0]]
        for key in keys:
            del found[key], paths[key]


def _module_members(spaces: Namespaces) -> Iterator[tuple[str, Definition]]:
    """Name and definition of what public modules have to offer."""
    for module in sorted(spaces.modules):
        if not is_public(module):
            continue
        listed = spaces.exported(module)
        for name in spaces.bound(module) if listed is None else listed:
            target = spaces.target(module, name)
            if not isinstance(target, Definition) or name.startswith("_"):
                continue
            if target.kind == "class" and name.endswith("_gen"):  # scipy.stats: makers of distributions
                continue
            # What a plain module imports by name is for its own use; packages and lists of names are for others, and so
            # is a module that only passes on what private modules beside it define, as ``numpy.lib.stride_tricks``.
            here = spaces.modules[module]
            passed_on = not is_public(target.module) and (
                name not in here.imports or (not here.definitions and _beside(target.module, module))
            )
            if target.module == module or listed is not None or here.is_package or passed_on:
                yield f"{_KNOWN_AS.get(module, module)}.{name}", target


def _beside(module: str, other: str) -> bool:
    return module.rpartition(".")[0] == other.rpartition(".")[0]


def _class_members(
    spaces: Namespaces, name: str, definition: Definition, *, known: frozenset[int]
) -> Iterator[tuple[str, Definition]]:
    """Path and definition of the members of a class, its private bases' included, nested classes' too."""
    seen: set[str] = set()
    for base in spaces.bases(definition):
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
        for attribute, dotted in base.accessors.items():
            if base is not definition and id(base) in known:
                break
            given = spaces.expression(base.module, dotted)
            if isinstance(given, Definition) and attribute not in seen and id(given) not in known:
                seen.add(attribute)
                yield f"{name}.{attribute}", given
                yield from _class_members(spaces, f"{name}.{attribute}", given, known=known)
