"""Questions to the processes that answer them: each to one of the present generation, in the order they came."""

import asyncio
import signal
from collections import deque
from collections.abc import Callable

from fingerpost.flows.ops.serve.answering import error
from fingerpost.flows.ops.serve.generation import Asked, Events, Generation, Reply, Worker
from fingerpost.flows.ops.serve.options import Limits
from fingerpost.flows.ops.serve.routes import Route
from fingerpost.schemas.figures import significant

#: Questions that a process has at a time: the next one is there when it has answered the first.
_TOGETHER = 2
#: Number of processes that may end over a question: it may be the question that ends them.
_ENDED = 2
#: Why a process may have ended by a signal.
_WHY: dict[int, str] = {
    signal.SIGBUS: ", as where a mapped file was cut or its disk is gone",
    signal.SIGKILL: ", as where there is too little memory",
}
#: Seconds after its deadline, at least, for which a process may go on with a question.
_GRACE = 1.0


class Dispatcher:
    """The present generation, the questions that its processes have, and those that wait. say: gets a line for the log."""

    def __init__(self, routes: tuple[Route, ...], limits: Limits, say: Callable[[str], None]) -> None:
        self.routes, self.limits, self._say = routes, limits, say
        self.present: Generation | None = None
        #: Generations whose processes have not ended: they may still answer what they were asked.
        self.former: set[Generation] = set()
        self.waiting: deque[Asked] = deque()
        self.lost_workers = 0
        self._number = 0
        self.events = Events(self._replied, self._ready, self._lost, self._ended)

    async def ask(self, code: int, body: bytes) -> Reply:
        """The reply to a question to a route, by its number; never waits longer than the deadline."""
        route, present = self.routes[code], self.present
        if present is None or route.product.name not in present.versions:
            return Reply(503, error(_unserved(route)))
        if len(self.waiting) >= self.limits.waiting:
            return Reply(
                503, error(f"{route.path}: expected at most {self.limits.waiting} waiting requests; try again later")
            )
        loop = asyncio.get_running_loop()
        self._number = (self._number + 1) % 2**32
        asked = Asked(self._number, code, body, loop.create_future())
        late = loop.call_later(self.limits.deadline, self._late, asked)
        self._place(asked)
        try:
            return await asked.reply
        finally:
            late.cancel()

    def follow(self, generation: Generation) -> None:
        """Makes a generation the present one: questions that wait are its own, those that were asked are answered before."""
        before, self.present = self.present, generation
        if before is not None:
            before.retire()
        self._pump()

    def _place(self, asked: Asked) -> None:
        worker = self._free()
        if worker is None:
            self.waiting.append(asked)
        else:
            worker.ask(asked)

    def _free(self) -> Worker | None:
        workers = self.present.workers.values() if self.present else ()
        least = min(workers, key=lambda worker: len(worker.asked), default=None)
        return least if least is not None and len(least.asked) < _TOGETHER else None

    def _pump(self) -> None:
        """Asks what waits, as far as there are processes for it."""
        while self.waiting and (worker := self._free()) is not None:
            asked = self.waiting.popleft()
            route = self.routes[asked.code]
            if asked.reply.done():
                continue
            if route.product.name in worker.generation.versions:
                worker.ask(asked)
            else:
                asked.reply.set_result(Reply(503, error(_unserved(route))))

    def _replied(self, asked: Asked, status: int, body: bytes, generation: Generation) -> None:
        if not asked.reply.done():
            version = generation.versions[self.routes[asked.code].product.name]
            asked.reply.set_result(Reply(status, body, version))
        self._pump()

    def _ready(self, generation: Generation) -> None:
        if generation is self.present:
            self._pump()

    def _lost(self, generation: Generation, questions: list[Asked]) -> None:
        """Asks again what a process had that ended; it was at the first of its questions."""
        self.lost_workers += 1
        for asked in questions[:1]:
            asked.ended += 1
        for asked in reversed([asked for asked in questions if not asked.reply.done()]):
            if asked.ended < _ENDED:
                asked.worker = None
                self.waiting.appendleft(asked)
            else:
                path = self.routes[asked.code].path
                asked.reply.set_result(
                    Reply(
                        503, error(f"{path}: expected an answer, but the processes that were asked ended; see the log")
                    )
                )
        self._pump()

    def _ended(self, number: int) -> None:
        known = number in signal.valid_signals()
        name = signal.Signals(number).name if known else f"signal {number}"
        why = _WHY.get(number, "")
        self._say(f"a process that answers ended by {name}{why}; another takes its place")

    def _late(self, asked: Asked) -> None:
        """Answers a question whose deadline has passed; a process that goes on with it for long is replaced."""
        if asked.reply.done():
            return
        seconds, path = self.limits.deadline, self.routes[asked.code].path
        asked.reply.set_result(
            Reply(
                504,
                error(
                    f"{path}: expected an answer within {significant(seconds)} s, got none; ask for less, or try again later"
                ),
            )
        )
        worker = asked.worker
        if worker is None:
            self.waiting.remove(asked)
        else:
            grace = max(seconds, _GRACE)
            asyncio.get_running_loop().call_later(grace, self._overdue, worker, asked, seconds + grace)

    def _overdue(self, worker: Worker, asked: Asked, seconds: float) -> None:
        if asked.number in worker.asked:
            path = self.routes[asked.code].path
            self._say(f"a process went on with {path} for {significant(seconds)} s; another takes its place")
            worker.generation.end_worker(worker)


def _unserved(route: Route) -> str:
    product = route.product
    return f"{route.path}: expected a live {product.title} ({product.name}), found none that is served; see /health"
