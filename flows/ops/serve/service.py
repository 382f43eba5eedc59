"""A service: it follows what is live, and answers with it."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fingerpost.flows.ops.serve.dispatcher import Dispatcher
from fingerpost.flows.ops.serve.following import Live, Pointers
from fingerpost.flows.ops.serve.generation import Generation
from fingerpost.flows.ops.serve.options import ServeOptions
from fingerpost.flows.ops.serve.routes import routes, served_products
from fingerpost.flows.run.faults import said
from fingerpost.schemas.errors import FingerpostError, MissingArtifactError
from fingerpost.schemas.store import Store

#: Seconds after which a version that could not be opened is tried again.
_AGAIN = 60.0
#: Seconds between two attempts to open versions whose processes have ended.
_REPAIR = 5.0


@dataclass(frozen=True)
class _Failed:
    """A version that could not be opened: why, and when it is tried again, in seconds of the loop's clock."""

    ref: str
    why: str
    again: float


class Service:
    """What is served of a collection.

    say: gets a line for each change of what is served, for the log.
    """

    def __init__(self, store: Store, collection: str, options: ServeOptions, *, say: Callable[[str], None]) -> None:
        self.collection, self.options = collection, options
        self.routes = routes()
        self.dispatcher = Dispatcher(self.routes, options.limits, say)
        self.stopping = False
        self.swaps = self.failed_openings = 0
        #: Why the store cannot be looked at, and when it last could be.
        self.problem = ""
        self.live: dict[str, Live] = {}
        self.opened_at: datetime | None = None
        self._store, self._say = store, say
        self.pointers = Pointers(store, collection, options.products or served_products())
        self._failed: dict[str, _Failed] = {}
        self._repaired = 0.0
        self._ending: set[asyncio.Task[None]] = set()
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Opens what is live; FingerpostError if there is nothing, or if nothing of it can be opened."""
        problem = await self._move()
        if not self.live and problem:
            raise FingerpostError(problem)
        if not self.live:
            raise MissingArtifactError(
                f"{self.collection}: expected something published to serve ({', '.join(self.options.products) or 'any product'}),"
                f" found nothing live in store {self._store.url}; run `fingerpost run nightly`, or name another --collection"
            )
        if not self.versions:
            raise FingerpostError(next(iter(self._failed.values())).why)
        for name in self.options.products:
            if name not in self.live:
                self._say(f"{name} is not answered: nothing of {self.collection} is live yet")
        self._following = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Ends all processes, when the last question is answered."""
        self.stopping = True
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following
        if self.dispatcher.present is not None:
            self._retire(self.dispatcher.present)
        for generation in list(self.dispatcher.former):
            generation.end()
        await asyncio.gather(*self._ending)

    @property
    def versions(self) -> dict[str, str]:
        """The versions that answer, by product."""
        return self.dispatcher.present.versions if self.dispatcher.present else {}

    def health(self) -> dict[str, Any]:
        """What is served and what is not: versions, their ages, and what could not be opened."""
        now = datetime.now(UTC)
        products = {
            name: {
                "version": self.versions.get(name),
                "live": live.ref,
                "generation": live.generation,
                "live_since": live.at,
                "age_seconds": round((now - datetime.fromisoformat(live.at)).total_seconds(), 1),
                "problem": self._failed[name].why if name in self._failed else "",
            }
            for name, live in sorted(self.live.items())
        }
        present = self.dispatcher.present
        return {
            "status": self.status,
            "collection": self.collection,
            "products": products,
            "workers": {"wanted": self.options.workers, "ready": len(present.workers) if present else 0},
            "opened_at": self.opened_at.isoformat(timespec="seconds") if self.opened_at else None,
            "problem": self.problem,
        }

    @property
    def status(self) -> str:
        """ready; behind, where a live version could not be opened or the store cannot be looked at; stopping; down."""
        present = self.dispatcher.present
        if self.stopping:
            return "stopping"
        if present is None or not present.workers:
            return "down"
        return "behind" if self.problem or self._failed else "ready"

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self.options.follow)
            try:
                problem = await self._move()
            except FingerpostError as fault:
                problem = " ".join(str(fault).split())
            except Exception as fault:
                problem = f"store {self._store.url}: expected to read what is live, got {said(fault)}"
            if problem != self.problem:
                told = f"the versions of before are served on: {problem}"
                self._say(told if problem else "what is live can be read again")
            self.problem = problem

    async def _move(self) -> str:
        """Opens what became live and has it answer, once it can; why a pointer could not be read."""
        live, problem = await asyncio.to_thread(self.pointers.look)
        await self._serve(live)
        return problem

    async def _serve(self, live: dict[str, Live]) -> None:
        self.live = live
        present = self.dispatcher.present
        now = asyncio.get_running_loop().time()
        self._failed = {name: one for name, one in self._failed.items() if name in live and live[name].ref == one.ref}
        wanted = {name: self._refs(name, one, now) for name, one in live.items()}
        chosen = {name: refs[0] for name, refs in wanted.items() if refs}
        if present is not None and chosen == present.versions and (present.sound or now < self._repaired):
            return
        self._repaired = now + _REPAIR
        if not chosen:
            if present is not None:
                self._swap(Generation(self.dispatcher.events))
            return
        generation, files = Generation(self.dispatcher.events), self._store.files
        await generation.open(
            files.root if files.local else files.url,
            {name: refs for name, refs in wanted.items() if refs},
            workers=self.options.workers,
            limits=self.options.limits,
        )
        self._note(generation, live, now)
        allowed = present is not None and all(
            name in live and ref not in live[name].gone for name, ref in present.versions.items()
        )
        same = present is not None and generation.versions == present.versions and present.sound
        cut = present is not None and present.damaged and bool(generation.failed)
        if allowed and (same or not generation.versions) and not cut:
            self._retire(generation)
        else:
            self._swap(generation)

    def _refs(self, name: str, live: Live, now: float) -> list[str]:
        """The versions of a product to try: the live one, and the one that answers now, if it may."""
        present, failed = self.versions.get(name), self._failed.get(name)
        first = [] if failed is not None and now < failed.again else [live.ref]
        kept = [present] if present and present not in live.gone else []
        return list(dict.fromkeys(first + kept))

    def _note(self, generation: Generation, live: Mapping[str, Live], now: float) -> None:
        """Keeps and tells which live versions could not be opened."""
        lost = "expected to be opened, but the process that did ended; is there memory for it"
        for name, one in live.items():
            if generation.versions.get(name) == one.ref:
                self._failed.pop(name, None)
            elif name not in self._failed or now >= self._failed[name].again:
                why = generation.failed.get(name, f"{name} {one.ref}: {lost}")
                self.failed_openings += 1
                if name not in self._failed:
                    self._say(f"{one.ref} cannot be served: {why}")
                self._failed[name] = _Failed(one.ref, why, now + _AGAIN)

    def _swap(self, generation: Generation) -> None:
        before = dict(self.versions)
        for name, ref in generation.versions.items():
            if before.get(name) != ref:
                self._say(f"{name} is answered by {ref}")
        for name in before.keys() - generation.versions.keys():
            self._say(f"{name} is not answered any more")
        former = self.dispatcher.present
        self.dispatcher.follow(generation)
        self.opened_at = datetime.now(UTC)
        if former is not None:
            self.swaps += 1
            self._reap(former)

    def _retire(self, generation: Generation) -> None:
        generation.retire()
        self._reap(generation)

    def _reap(self, generation: Generation) -> None:
        self.dispatcher.former.add(generation)
        task = asyncio.create_task(self._ended(generation))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _ended(self, generation: Generation) -> None:
        await generation.ended()
        self.dispatcher.former.discard(generation)
