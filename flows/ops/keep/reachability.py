"""Reachability of artifacts: roots, what each artifact needs, and the chains between them."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

#: The kind of roots that files name which do not count.
STRAY = "named by a stray file"
#: The kinds of roots, in the order in which they are reported.
KINDS = ("live", "rollback target", "pinned", STRAY, "running", "recent", "latest")


@dataclass(frozen=True)
class Root:
    """An artifact that is kept for its own sake: the kind of reason, and its explanation."""

    ref: str
    kind: str
    words: str


@dataclass(frozen=True)
class Reach:
    """Artifacts by reference with what each needs (reference to its role there), and the roots among them."""

    needs: Mapping[str, Mapping[str, str]]
    roots: Collection[Root]

    @cached_property
    def kept(self) -> dict[str, str]:
        """The reached artifacts, with the kind of the first root that reaches each."""
        found: dict[str, str] = {}
        for kind in KINDS:
            found |= dict.fromkeys(self._beyond([root.ref for root in self.roots if root.kind == kind], found), kind)
        return found

    def _beyond(self, starts: Iterable[str], known: Collection[str]) -> list[str]:
        waiting = deque(sorted(set(starts) & set(self.needs) - set(known)))
        seen = dict.fromkeys(waiting)
        while waiting:
            for needed in self.needs[waiting.popleft()]:
                if needed in self.needs and needed not in seen and needed not in known:
                    seen[needed] = None
                    waiting.append(needed)
        return list(seen)

    def chains(self, ref: str) -> list[list[str]]:
        """A shortest chain from each kind of root that reaches an artifact, one line per step."""
        users: dict[str, list[str]] = {}
        for user, needed in sorted(self.needs.items()):
            for name in needed:
                users.setdefault(name, []).append(user)
        rooted: dict[str, list[Root]] = {}
        for root in self.roots:
            rooted.setdefault(root.ref, []).append(root)
        towards: dict[str, str | None] = {ref: None}
        waiting, found = deque([ref]), {}
        while waiting:
            here = waiting.popleft()
            for root in rooted.get(here, ()):
                if root.kind not in found:
                    found[root.kind] = self._steps(root, towards)
            for user in users.get(here, ()):
                if user not in towards:
                    towards[user] = here
                    waiting.append(user)
        return [found[kind] for kind in KINDS if kind in found]

    def _steps(self, root: Root, towards: Mapping[str, str | None]) -> list[str]:
        lines, here = [f"{root.words}: {root.ref}"], root.ref
        while (following := towards[here]) is not None:
            lines.append(f"{self.needs[here][following]}: {following}")
            here = following
        return lines

    def users_first(self, refs: Collection[str]) -> list[str]:
        """The artifacts in topological order, each before what it needs."""
        order: list[str] = []
        seen: set[str] = set()
        for first in sorted(refs):
            waiting = [(first, False)]
            while waiting:
                here, done = waiting.pop()
                if done:
                    order.append(here)
                elif here not in seen:
                    seen.add(here)
                    waiting.append((here, True))
                    waiting += [(needed, False) for needed in self.needs[here] if needed in refs and needed not in seen]
        return order[::-1]
