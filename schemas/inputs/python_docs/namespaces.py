"""Resolution of names in modules from sources only, following definitions, imports, star imports and aliases."""

from collections.abc import Mapping
from dataclasses import dataclass

from fingerpost.schemas.inputs.python_docs.expressions import Import
from fingerpost.schemas.inputs.python_docs.modules import Definition, GivenDocstring, Module


@dataclass(frozen=True)
class ModuleName:
    """A name that stands for a module."""

    name: str


Target = Definition | ModuleName


class Namespaces:
    """The modules of one distribution, each as the names that it binds. What lies outside stays unresolved."""

    def __init__(self, modules: Mapping[str, Module]) -> None:
        self.modules = dict(modules)
        self._targets: dict[tuple[str, str], Target | None] = {}
        self._exports: dict[str, tuple[str, ...] | None] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        for module in list(modules.values()):
            for given in module.given:
                self._give(given)
        self._targets.clear()
        self._names.clear()

    def target(self, module: str, name: str) -> Target | None:
        """The object that ``name`` refers to in ``module``; None if it is not defined in these sources.

        Definitions win over imports, which commonly replace them by compiled twins; later imports over earlier.
        """
        key = (module, name)
        if key not in self._targets:
            self._targets[key] = None  # ends cycles of imports
            self._targets[key] = self._find(module, name)
        return self._targets[key]

    def expression(self, module: str, dotted: str) -> Target | None:
        """The object that ``a.b.c`` refers to in ``module``; the attributes of an object are those of its class."""
        first, *rest = dotted.split(".")
        found = self.target(module, first)
        for part in rest:
            if isinstance(found, ModuleName):
                found = self.target(found.name, part)
            else:
                found = found.members.get(part) if found is not None else None
        return found

    def exported(self, module: str) -> tuple[str, ...] | None:
        """The names of ``__all__``; None if the module has none or computes it."""
        if module not in self._exports:
            self._exports[module] = None
            self._exports[module] = self._exported(self.modules[module])
        return self._exports[module]

    def names(self, module: str) -> tuple[str, ...]:
        """The names of a star import: those of ``__all__``, or all bound names without a leading underscore."""
        if module not in self._names:
            self._names[module] = ()
            listed = self.exported(module)
            self._names[module] = self.bound(module) if listed is None else listed
        return self._names[module]

    def bound(self, module: str) -> tuple[str, ...]:
        """All names without a leading underscore that a module binds, ``__all__`` or not."""
        found = self.modules[module]
        names = dict.fromkeys([*found.definitions, *found.imports, *found.aliases, *found.calls])
        for star in found.stars:
            if star in self.modules:
                names.update(dict.fromkeys(self.names(star)))
        return tuple(name for name in names if not name.startswith("_"))

    def _find(self, module: str, name: str) -> Target | None:
        here = self.modules[module]
        if name in here.definitions:
            return here.definitions[name]
        imported = [t for i in reversed(here.imports.get(name, ())) if (t := self._imported(i)) is not None]
        if imported:  # of the branches of a condition, the one that says something
            return next((t for t in imported if isinstance(t, ModuleName) or t.docstring), imported[0])
        if name in here.aliases and (found := self.expression(module, here.aliases[name])) is not None:
            return found
        for star in reversed(here.stars):
            if star in self.modules and name in self.names(star) and (found := self.target(star, name)) is not None:
                return found
        if name in here.calls and (found := self._instance(module, name)) is not None:
            return found
        submodule = f"{module}.{name}"
        return ModuleName(submodule) if submodule in self.modules else None

    def _instance(self, module: str, name: str) -> Definition | None:
        """The object made by calling a class, with the docstring of the class or of its ``__call__``."""
        made = self.expression(module, self.modules[module].calls[name])
        if not isinstance(made, Definition) or made.kind != "class" or made.instance_of is not None:
            return None
        call = next((c.members["__call__"] for c in self.bases(made) if "__call__" in c.members), None)
        docstring = made.docstring or (call.docstring if call else None)
        return Definition(
            module,
            name,
            "function" if call else "class",
            docstring,
            call.arguments if call else None,
            True,
            members=made.members,
            instance_of=made,
        )

    def bases(self, definition: Definition) -> list[Definition]:
        """The class and its bases that are defined in the same distribution, depth first, each once."""
        order: list[Definition] = []
        waiting = [definition]
        while waiting:
            current = waiting.pop(0)
            if current in order:
                continue
            order.append(current)
            found = [self.expression(current.module, base) for base in current.bases]
            waiting = [d for d in found if isinstance(d, Definition) and d.kind == "class"] + waiting
        return order

    def _imported(self, imported: Import) -> Target | None:
        if imported.module not in self.modules:
            return None
        if imported.attribute is None:
            return ModuleName(imported.module)
        return self.target(imported.module, imported.attribute)

    def _exported(self, module: Module) -> tuple[str, ...] | None:
        if module.exported is None:
            imported = module.imports.get("__all__", ())
            sources = [i.module for i in imported if i.module in self.modules]
            return self.exported(sources[-1]) if sources else None
        names: list[str] = []
        for part in module.exported:
            if isinstance(part, str):
                names.append(part)
                continue
            found = self.expression(module.name, part.module)
            more = self.exported(found.name) if isinstance(found, ModuleName) else None
            if more is None:
                return None
            names.extend(more)
        return tuple(dict.fromkeys(names))

    def _give(self, given: GivenDocstring) -> None:
        """Attaches a docstring to what it is for; a compiled object has no source, so this becomes its definition."""
        place = self.modules.setdefault(given.place, Module(given.place, is_package=False))
        found = self.target(given.place, given.name) or place.definitions.get(given.name)
        if not isinstance(found, Definition):
            found = Definition(given.place, given.name, "function", None)
            place.definitions[given.name] = found
            self._targets.clear()
        if given.member:
            found.kind = "class"
            qualname = f"{given.name}.{given.member}"
            found.members.setdefault(given.member, Definition(given.place, qualname, "method", given.docstring))
        elif not found.docstring:
            found.docstring = given.docstring
