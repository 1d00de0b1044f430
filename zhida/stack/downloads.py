"""What PyPI does not have: Kafka's jars (Maven Central) and ClickHouse's library (npm), fetched once, checked by hash.

The registries' own clients fetch, so that a site's mirrors and proxies apply. The hashes are in ``docker/``. A cache
folder appears under its final name only when everything in it has been checked.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zhida.stack.engines import Report, find_program
from zhida.stack.errors import MissingProgram, StackError

_DOCKER = Path(__file__).parents[2] / "docker"
_JARS = "kafka/jars.sha256"
KAFKA_VERSION = "4.1.1"
_MAVEN_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_FETCH_SECONDS = 900


def kafka_jars(cache: Path, report: Report) -> Path:
    """The folder of Kafka's jars, every one checked against ``docker/kafka/jars.sha256``; raises StackError."""
    pairs = (line.split() for line in _source(_JARS).read_text(encoding="ascii").splitlines())
    wanted = {file_name: digest for digest, file_name in pairs}
    name = _kafka_name()
    with _once(cache, name) as folder:
        if folder is not None:
            _fetch_jars(folder, report)
            _check_jars(folder, wanted)
    _check_jars(cache / name, wanted)
    return cache / name


def chdb_library(cache: Path, report: Report) -> Path:
    """The path of ``libchdb.so``, from the package named in ``docker/clickhouse/libchdb.json``; raises StackError."""
    lock = _library_lock()
    name = _library_name(lock)
    with _once(cache, name) as folder:
        if folder is not None:
            _fetch_library(folder, lock, report)
    library = cache / name / "libchdb.so"
    # Hashing half a gigabyte at each start would take seconds; the package was checked when it was unpacked.
    if not library.is_file() or library.stat().st_size != lock["library_bytes"]:
        raise StackError(f"{library} is damaged; remove {library.parent} and start again")
    return library


def check_clients(cache: Path) -> None:
    """Raise MissingProgram for the clients that the downloads not yet in *cache* need."""
    needed = [(_kafka_name(), _maven), (_library_name(_library_lock()), _npm)]
    missing: list[str] = []
    for name, find in needed:
        try:
            if not (cache / name).is_dir():
                find()
        except MissingProgram as error:
            missing.append(str(error))
    if missing:
        raise MissingProgram("\n".join(missing))


def _maven() -> str:
    return find_program("mvn", "apt-get install maven", "fetching Apache Kafka")


def _npm() -> str:
    return find_program("npm", "apt-get install npm", "fetching the ClickHouse library")


def _kafka_name() -> str:
    """A cache folder for each list of jars: a changed list never meets old jars."""
    return f"kafka-{KAFKA_VERSION}-{hashlib.sha256(_source(_JARS).read_bytes()).hexdigest()[:12]}"


def _library_lock() -> dict[str, Any]:
    lock: dict[str, Any] = json.loads(_source("clickhouse/libchdb.json").read_text(encoding="ascii"))
    return lock


def _library_name(lock: dict[str, Any]) -> str:
    return f"libchdb-{lock['version']}"


def _fetch_jars(folder: Path, report: Report) -> None:
    maven = _maven()
    report(f"fetching Apache Kafka {KAFKA_VERSION} from Maven Central (43 MB, once) 正在下载 Kafka ...")
    pom = shutil.copy(_source("kafka/pom.xml"), folder / "pom.xml")
    arguments = ["-B", "-q", "-f", str(pom), _MAVEN_GOAL, "-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
    _run([maven, *arguments], folder, "Maven")


def _check_jars(folder: Path, wanted: dict[str, str]) -> None:
    """Exactly the listed jars, byte for byte: an additional one would be on the class path too."""
    present = {path.name: path for path in folder.glob("*.jar")}
    wrong = sorted(present.keys() ^ wanted.keys())
    wrong += [
        name
        for name, digest in wanted.items()
        if name in present and not hmac.compare_digest(hashlib.sha256(present[name].read_bytes()).hexdigest(), digest)
    ]
    if wrong:
        names = ", ".join(wrong)
        raise StackError(
            f"these jars are not the ones in docker/kafka/jars.sha256: {names}; remove {folder} and try again"
        )


def _fetch_library(folder: Path, lock: dict[str, Any], report: Report) -> None:
    npm = _npm()
    report(f"fetching ClickHouse {lock['version']} from npm (178 MB, once) 正在下载 ClickHouse ...")
    # `npm pack` downloads and runs no script of the package.
    _run([npm, "pack", "--ignore-scripts", f"{lock['package']}@{lock['version']}"], folder, "npm")
    archives = list(folder.glob("*.tgz"))
    if len(archives) != 1:
        raise StackError(f"npm pack left {len(archives)} archives instead of one")
    with archives[0].open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    if not hmac.compare_digest("sha512-" + base64.b64encode(digest).decode(), lock["integrity"]):
        raise StackError(f"{lock['package']} is not the package in docker/clickhouse/libchdb.json: its hash differs")
    report("unpacking ...")
    with tarfile.open(archives[0]) as archive:
        member = archive.getmember(lock["member"])
        member.name = "libchdb.so"
        archive.extract(member, folder, filter="data")
    archives[0].unlink()


def _source(name: str) -> Path:
    path = _DOCKER / name
    if not path.is_file():
        raise StackError(f"{path} is missing: the real stack needs Zhida's source tree, not only the installed package")
    return path


@contextmanager
def _once(cache: Path, name: str) -> Iterator[Path | None]:
    """None when ``cache/name`` is there; else an empty folder that takes this name if the block succeeds."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (cache / name).is_dir():
            yield None
            return
        folder = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=cache))
        try:
            yield folder
            folder.rename(cache / name)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def _run(command: list[str], folder: Path, what: str) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_FETCH_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise StackError(f"{what} did not finish within {_FETCH_SECONDS} s; is the network there?") from None
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()][-12:]
        raise StackError(f"{what} failed with code {done.returncode}:\n" + "\n".join(f"  | {line}" for line in lines))
