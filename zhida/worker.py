"""Runs roles in one process and one asyncio loop: the first that cannot go on ends them all, with exit code 1."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Sequence

# Before Polars is imported: worker processes are many, so each computes on one thread; and a panic on hostile bytes is
# caught, so its backtrace would only cost time and fill the log.
os.environ.setdefault("POLARS_MAX_THREADS", "1")
os.environ.setdefault("RUST_BACKTRACE", "0")

import structlog
import uvloop

from zhida.following import Following
from zhida.preparation import ensure_in_force
from zhida.roles import RoleContext, find_role
from zhida.settings import Settings

#: Seconds that roles have to end in, once they are to. What hangs for longer will not be done at all.
ENDING_SECONDS = 15.0

log = structlog.get_logger("worker")


def run_worker(settings: Settings, names: Sequence[str]) -> int:
    """Run the roles called *names* until a signal or a failure; 0 after a signal, 1 after a failure."""
    # The consumer reads its sockets on a thread of its own, a piece at a time, and waits this long for the interpreter
    # each time while the main thread computes: with the default of 5 ms one fetch of 4 MB took a tenth of a second.
    sys.setswitchinterval(0.0005)
    # The policy, not only this loop's factory: each Faust consumer makes a loop for its own thread.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    return asyncio.run(_run(settings, names))


async def _run(settings: Settings, names: Sequence[str]) -> int:
    stopping = asyncio.Event()
    registry_ready = asyncio.Event()
    if "registry" not in names:
        registry_ready.set()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    following = Following(settings.kafka())
    await following.start()
    try:
        if following.in_force() is None:
            await asyncio.to_thread(ensure_in_force, settings, log.info)
            await following.wait()
        return await _run_roles(RoleContext(settings, stopping, registry_ready, following), names)
    finally:
        await following.stop()


async def _run_roles(context: RoleContext, names: Sequence[str]) -> int:
    stopping = context.stopping
    tasks: dict[asyncio.Task[None], str] = {
        asyncio.create_task(find_role(name)(context), name=name): name for name in names
    }
    ending = asyncio.create_task(_end_at_last(stopping, ENDING_SECONDS))
    log.info("roles started", roles=list(names), pid=os.getpid())
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    failed = not stopping.is_set()
    stopping.set()
    for task in done:
        _explain(tasks[task], task)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await ending
    failed = failed or any(isinstance(result, BaseException) for result in results)
    log.info("roles ended", roles=list(names), failed=failed)
    return 1 if failed else 0


async def _end_at_last(stopping: asyncio.Event, seconds: float) -> None:
    """Have the process end *seconds* after *stopping* is set, however it hangs, and say where; returns when it is set.

    What comes after the roles may hang as well, so nobody takes that back. Nothing is lost by that: offsets are
    committed only of what is done, as for a process that is killed. One that neither works nor ends, however, is
    started again by nobody.
    """
    await stopping.wait()

    def end() -> None:
        log.error("roles do not end and are given up", seconds=seconds)
        faulthandler.dump_traceback(all_threads=True)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _explain(name: str, task: asyncio.Task[None]) -> None:
    error = task.exception()
    if error is not None:
        log.error("role failed", role=name, error=f"{type(error).__name__}: {error}", exc_info=error)
