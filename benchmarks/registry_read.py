"""How many schemas by id one registry process serves: the server in a process of its own, ``wrk`` in another.

    python -m benchmarks.registry_read [--seconds 10] [--connections 32] [--json]

Needs ``wrk`` (``apt-get install wrk``). Three runs, the median counts. The broker is the embedded one; reads don't
touch it. Each answer is checked to be the schema before anything is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from schemas.catalog import Catalog
from schemas.connection import RegistryConnection
from schemas.registry.client import RegistryClient
from zhida.stack.testing import running_stack

RUNS = 3
TARGET = 2_000


@contextmanager
def serving(bootstrap: str, folder: Path, *, auth: bool) -> Iterator[tuple[str, psutil.Process]]:
    """``zhida registry serve`` as its own process."""
    command = [sys.executable, "-m", "zhida", "registry", "serve", "--port", "0"]
    if auth:
        users = folder / "users.yaml"
        users.write_text("users: [{username: bench, password: bench-password, role: writer}]\n")
        users.chmod(0o600)
        command += ["--auth-file", str(users)]
    environment = os.environ | {"ZHIDA_KAFKA_BOOTSTRAP": bootstrap, "ZHIDA_DATA_DIR": str(folder / "var")}
    with subprocess.Popen(
        command, env=environment, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if found := re.search(r"schema registry: (http://\S+)", line):
                    yield found[1], psutil.Process(process.pid)
                    return
            raise SystemExit("the registry did not start")
        finally:
            process.terminate()


def measure(url: str, process: psutil.Process, seconds: int, connections: int, headers: list[str]) -> dict[str, float]:
    """One run of wrk: requests a second, latency in ms, and the server's CPU seconds a second."""
    before = sum(process.cpu_times()[:2])
    flags = [flag for header in headers for flag in ("-H", header)]
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *flags, url],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise SystemExit(f"not every request was answered:\n{done.stdout}")
    found = {name: _ms(done.stdout, name) for name in ("50%", "99%")}
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    assert rate is not None
    return {
        "requests_per_second": float(rate[1]),
        "p50_ms": found["50%"],
        "p99_ms": found["99%"],
        "cpu": (sum(process.cpu_times()[:2]) - before) / seconds,
        "resident_mib": process.memory_info().rss / 2**20,
    }


def _ms(text: str, name: str) -> float:
    found = re.search(rf"{name}\s+([\d.]+)(us|ms|s)\b", text)
    assert found is not None, text
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed: apt-get install wrk")
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name, running_stack(Path(name) / "stack", real=False) as stack:
        for way, auth in (("open", False), ("with basic authentication", True)):
            with serving(stack.settings.kafka().bootstrap, Path(name), auth=auth) as (url, process):
                user = ("bench", "bench-password") if auth else ("", "")
                dataset = next(iter(Catalog.load()))
                with RegistryClient(RegistryConnection(url, *user)) as client:
                    number = client.register(dataset.subject_name, dataset.avro_schema)
                    assert client.schema(number) == dataset.avro_schema
                basic = httpx.BasicAuth(*user)._auth_header if auth else ""
                headers = [f"Authorization: {basic}"] if auth else []
                path = f"{url}/schemas/ids/{number}"
                measure(path, process, 2, options.connections, headers)
                runs = [measure(path, process, options.seconds, options.connections, headers) for _ in range(RUNS)]
                results[way] = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    if options.json:
        print(json.dumps(results))
        return
    for way, run in results.items():
        print(
            f"GET /schemas/ids/N, {way}: {run['requests_per_second']:,.0f}/s (target {TARGET:,}/s), "
            f"p50 {run['p50_ms']:.2f} ms, p99 {run['p99_ms']:.2f} ms, "
            f"{run['cpu']:.2f} of a core, {run['resident_mib']:.0f} MiB"
        )


if __name__ == "__main__":
    main()
