"""How a running process follows what is in force: reads the announcements, and says each role what to use from now on.

Announcements are read and decoded on a thread of their own. A role takes a new pair on when it can: while it cannot,
because the rules do not compile or the store cannot be migrated, it goes on with what it has, says so and tries again.
What each role uses stands on the compacted topic ``zhida.followers``, under the client id by which the broker knows it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import orjson
import structlog
from confluent_kafka import Producer

from schemas.announcements import Announced, AnnouncementError, Announcements, Follower
from schemas.compacted import librdkafka_log
from schemas.connection import KafkaConnection
from schemas.release import RELEASES_TOPIC
from zhida.in_force import RULES_TOPIC, InForce, Known

FOLLOWERS_TOPIC = "zhida.followers"
_START_SECONDS = 30.0
#: Seconds after which a role tries again what it could not take on; doubles up to the last.
_RETRY_SECONDS = (1.0, 30.0)

T = TypeVar("T")
log = structlog.get_logger("following")


class Following:
    """One a process. Roles call :meth:`begin` once and then run :meth:`follow`."""

    def __init__(self, kafka: KafkaConnection, *, now: Callable[[], float] = time.time) -> None:
        """*now* gives seconds since the epoch."""
        self._kafka = kafka
        self._now = now
        self._known = Known()
        self._lock = threading.Lock()
        self._follower = Follower(kafka, (RULES_TOPIC, RELEASES_TOPIC), self._told)
        self._producer: Producer | None = None
        self._said: dict[str, dict[str, Any]] = {}
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Return when all that has been announced is known; raises AnnouncementError."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._start)

    def _start(self) -> None:
        for topic in (RULES_TOPIC, RELEASES_TOPIC, FOLLOWERS_TOPIC):
            Announcements(self._kafka, topic).ensure()
        self._follower.start()
        self._follower.wait_until_read(_START_SECONDS)

    async def stop(self) -> None:
        """End the thread and send what is still to be sent."""
        await asyncio.to_thread(self._follower.stop)
        if self._producer is not None:
            await asyncio.to_thread(self._producer.flush, 5)
            # Its connection ends with it.
            self._producer = None

    def in_force(self) -> InForce | None:
        """The newest pair; None when nothing has been announced."""
        with self._lock:
            return self._known.in_force()

    async def wait(self, seconds: float = _START_SECONDS) -> None:
        """Return when something is in force; raises AnnouncementError after *seconds*."""
        deadline = time.monotonic() + seconds
        while True:
            changed = self._changed
            if self.in_force() is not None:
                return
            left = deadline - time.monotonic()
            if left <= 0:
                raise AnnouncementError(f"nothing that can be used was announced within {seconds:g} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), left)

    async def begin(self, role: str, client: str, build: Callable[[InForce], T]) -> tuple[InForce, T]:
        """The newest pair from which *build* (called on a thread) makes what the role needs, and what it made.

        Nothing is told of a role without a *client* id. Raises what *build* raised for the newest pair when it can be
        made from none.
        """
        with self._lock:
            candidates = list(self._known.candidates())
        if not candidates:
            raise AnnouncementError("nothing is in force that could be used; run: zhida catalog publish")
        trouble: BaseException | None = None
        for candidate in candidates:
            try:
                built = await asyncio.to_thread(build, candidate)
            except BaseException as error:
                trouble = trouble or _expected(error)
                self._cannot(role, candidate, error)
                continue
            if client:
                self.report(role, client, candidate, trouble)
            return candidate, built
        assert trouble is not None
        raise trouble

    async def follow(self, role: str, client: str, using: InForce, use: Callable[[InForce], Awaitable[None]]) -> None:
        """Take on whatever becomes the newest pair, by calling *use*, until cancelled."""
        pause = _RETRY_SECONDS[0]
        failed: tuple[int, int] | None = None
        told = self._broken()
        while True:
            changed = self._changed
            newest = self.in_force()
            if newest is not None and newest.numbers != using.numbers:
                try:
                    await use(newest)
                except BaseException as error:
                    self.report(role, client, using, _expected(error))
                    self._cannot(role, newest, error)
                    pause = _RETRY_SECONDS[0] if failed != newest.numbers else min(2 * pause, _RETRY_SECONDS[1])
                    failed = newest.numbers
                else:
                    using, failed, told = newest, None, self._broken()
                    self.report(role, client, using, None)
                    log.info("a new catalog is in use", role=role, catalog=using.numbers[0], rules=using.numbers[1])
            elif self._broken() != told:
                told = self._broken()
                self.report(role, client, using, None)
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), pause if failed is not None else None)

    def report(self, role: str, client: str, using: InForce, trouble: BaseException | None) -> None:
        """Tell what *role* uses, and what keeps it from using the newest."""
        error = f"{type(trouble).__name__}: {trouble}"[:2000] if trouble is not None else ""
        state = {
            "role": role,
            "catalog": using.numbers[0],
            "rules": using.numbers[1],
            "error": error,
            "broken": self._broken(),
            "at": int(self._now() * 1000),
        }
        self.add(client, **state)

    def add(self, client: str, **more: Any) -> None:
        """Tell *more* beside what was told of the role, from now on."""
        said = self._said[client] = self._said.get(client, {}) | more
        self._send(client, orjson.dumps(said))

    def leave(self, client: str) -> None:
        """Take back what was told: the role ends."""
        self._said.pop(client, None)
        self._send(client, None)

    def _send(self, client: str, value: bytes | None) -> None:
        if self._producer is None:
            self._producer = Producer(
                self._kafka.confluent() | {"enable.idempotence": True, "linger.ms": 0}, logger=librdkafka_log
            )
        self._producer.produce(FOLLOWERS_TOPIC, value, client.encode())
        self._producer.poll(0)

    def _cannot(self, role: str, pair: InForce, error: BaseException) -> None:
        log.error(
            "a new catalog cannot be used, the one before stays",
            role=role,
            catalog=pair.numbers[0],
            rules=pair.numbers[1],
            error=f"{type(error).__name__}: {error}"[:2000],
        )

    def _broken(self) -> dict[str, str]:
        with self._lock:
            return dict(self._known.broken)

    # On the follower's thread.

    def _told(self, announced: Announced) -> None:
        with self._lock:
            before = dict(self._known.broken)
            self._known.take(announced.topic, announced.key, announced.value)
            if self._follower.caught_up:
                # Decoded here, so that whoever asks finds it done.
                self._known.in_force()
            broken = {where: reason for where, reason in self._known.broken.items() if before.get(where) != reason}
        for where, reason in broken.items():
            log.error("an announcement cannot be used and is passed over", announcement=where, reason=reason)
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._wake)

    # On the event loop.

    def _wake(self) -> None:
        # A new event each time: a role that was busy with the change before finds this one.
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _expected(error: BaseException) -> BaseException:
    """*error*, unless it asks us to end: a panic in an engine's native code is no Exception, but nothing to end for."""
    if isinstance(error, (asyncio.CancelledError, KeyboardInterrupt, SystemExit)):
        raise error
    return error
