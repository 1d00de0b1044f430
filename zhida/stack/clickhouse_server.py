"""A real ClickHouse server (HTTP and native ports) from the npm package that holds its whole engine as a library.

``clickhouse local`` inside the library is told to listen and then to run a query that never ends. Its own user
``default`` must exist without a password for that; a quota of exactly the three queries it starts with, and no grants
beyond them, make that user useless to anybody else. There is no TLS listener and no replication; users cannot be
created by SQL.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from pathlib import Path

from schemas.connection import ClickHouseConnection
from zhida.secret_files import create_secret
from zhida.stack.children import Plan
from zhida.stack.downloads import chdb_library
from zhida.stack.engines import Prepared, Setup, write_private
from zhida.stack.errors import StackError
from zhida.stack.health import clickhouse_answers
from zhida.stack.ports import LOOPBACK

USUAL_HTTP_PORT = 8123
USUAL_NATIVE_PORT = 9000
USER = "zhida"
_CHILD = Path(__file__).with_name("clickhouse_child.py")
_FOREVER = (
    "SELECT sleepEachRow(1) FROM system.numbers "
    "SETTINGS function_sleep_max_microseconds_per_block=0, max_block_size=1 FORMAT Null"
)
_START = f"SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; {_FOREVER}"
_USERS = """<clickhouse>
  <profiles>
    <default/>
    <start_only><max_memory_usage>100000000</max_memory_usage></start_only>
  </profiles>
  <users>
    <default>
      <no_password/>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>start_only</profile>
      <quota>start_only</quota>
      <grants>
        <query>GRANT SYSTEM LISTEN ON *.*</query>
        <query>GRANT SELECT ON system.numbers</query>
      </grants>
    </default>
    <{user}>
      <password_sha256_hex>{digest}</password_sha256_hex>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </{user}>
  </users>
  <quotas>
    <default/>
    <start_only><interval><duration>315360000</duration><queries>3</queries></interval></start_only>
  </quotas>
</clickhouse>
"""
_CONFIG = """<clickhouse>
  <logger><console>1</console></logger>
  <users_config>{users}</users_config>
  <mark_cache_size>268435456</mark_cache_size>
  <max_server_memory_usage_to_ram_ratio>0.5</max_server_memory_usage_to_ram_ratio>
</clickhouse>
"""


def clickhouse_server(setup: Setup) -> Prepared:
    """The plan of one server that keeps its data in ``<folder>/clickhouse``; raises StackError."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise StackError(
            "the local ClickHouse server runs on Linux x86-64 only; elsewhere name one: ZHIDA_CLICKHOUSE_HOST"
        )
    library = chdb_library(setup.settings.cache_folder, setup.report)
    home = setup.folder / "clickhouse"
    password = create_secret(setup.settings.data_dir / "secrets" / "clickhouse.password")
    users, config = home / "users.xml", home / "config.xml"
    digest = hashlib.sha256(password.encode()).hexdigest()
    write_private(users, _USERS.format(user=USER, digest=digest))
    write_private(config, _CONFIG.format(users=users))
    http, native = setup.ports.take(USUAL_HTTP_PORT), setup.ports.take(USUAL_NATIVE_PORT)
    arguments = [f"--path={home / 'data'}", f"--listen_host={LOOPBACK}", f"--http_port={http}", f"--tcp_port={native}"]
    # Warnings hold a line a second about idle background tasks.
    arguments += [f"--config-file={config}", "--log-level=error", f"--query={_START}"]
    connection = ClickHouseConnection(host=LOOPBACK, port=http, username=USER, password=password)
    plan = Plan(
        name="clickhouse",
        kind="ClickHouse server",
        argv=[sys.executable, "-I", "-S", str(_CHILD), str(library), *arguments],
        address=f"{LOOPBACK}:{http} (HTTP), {LOOPBACK}:{native} (native)",
        ready=lambda: clickhouse_answers(connection),
    )
    found = {
        "clickhouse_host": LOOPBACK,
        "clickhouse_port": http,
        "clickhouse_native_port": native,
        "clickhouse_username": USER,
        "clickhouse_password": password,
    }
    return Prepared((plan,), found)
