"""Apache Kafka 4 in KRaft mode: one combined node, or three of them as a cluster on one machine.

Records, topics and group offsets survive ``down`` and ``up``. Everything listens on the loopback interface without TLS.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import uuid
from pathlib import Path

from schemas.connection import KafkaConnection
from zhida.stack.children import Plan
from zhida.stack.downloads import KAFKA_VERSION, kafka_jars
from zhida.stack.engines import Prepared, Setup
from zhida.stack.errors import MissingProgram, StackError
from zhida.stack.health import broker_answers
from zhida.stack.ports import LOOPBACK

USUAL_PORTS = (9092, 9094, 9096)
_JAVA_AT_LEAST = 17
_INSTALL_JAVA = "apt-get install openjdk-17-jre-headless"
#: As Kafka's own start script has them.
_JVM = [
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "-Djava.net.preferIPv4Stack=true",
]
_LOG4J = """rootLogger.level = WARN
rootLogger.appenderRefs = out
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = [%d] %p %m (%c)%n
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = INFO
# Two lines a second about a node that is down would push what matters out of sight.
logger.network.name = org.apache.kafka.clients.NetworkClient
logger.network.level = ERROR
"""


def kafka(setup: Setup) -> Prepared:
    """The plans of ``setup.brokers`` nodes; writes their configuration and formats their storage the first time."""
    java = find_java()
    jars = kafka_jars(setup.settings.cache_folder, setup.report)
    folder = setup.folder / "kafka"
    cluster = _cluster_id(folder, setup.brokers)
    nodes = range(1, setup.brokers + 1)
    clients = {node: setup.ports.take(USUAL_PORTS[node - 1]) for node in nodes}
    controllers = {node: setup.ports.take() for node in nodes}
    voters = ",".join(f"{node}@{LOOPBACK}:{port}" for node, port in controllers.items())
    bootstrap = ",".join(f"{LOOPBACK}:{port}" for port in clients.values())
    connection = KafkaConnection(bootstrap=bootstrap)
    heap = "-Xmx512m" if setup.brokers == 1 else "-Xmx400m"
    plans: list[Plan] = []
    files: list[Path] = []
    for node in nodes:
        home = folder / f"node-{node}"
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        (home / "log4j2.properties").write_text(_LOG4J, encoding="ascii")
        files.append(home / "server.properties")
        text = _properties(setup, node, home, clients[node], controllers[node], voters)
        files[-1].write_text(text, encoding="utf-8")
        options = [heap, *_JVM, f"-Dlog4j2.configurationFile={home / 'log4j2.properties'}"]
        plans.append(
            Plan(
                name="kafka" if setup.brokers == 1 else f"kafka-{node}",
                kind=f"Apache Kafka {KAFKA_VERSION}",
                argv=[java, *options, "-cp", f"{jars}/*", "kafka.Kafka", str(files[-1])],
                address=f"{LOOPBACK}:{clients[node]}",
                ready=lambda: broker_answers(connection, setup.brokers, cluster),
                start_seconds=120,
            )
        )
    _format(java, jars, cluster, files)
    copies = 3 if setup.brokers == 3 else 1
    found = {"kafka_bootstrap": bootstrap, "replication_factor": copies, "min_insync_replicas": 2 if copies == 3 else 1}
    return Prepared(tuple(plans), found)


def _properties(setup: Setup, node: int, home: Path, client: int, controller: int, voters: str) -> str:
    copies = 3 if setup.brokers == 3 else 1
    in_sync = 2 if copies == 3 else 1
    size = setup.settings.max_message_bytes
    values = {
        "process.roles": "broker,controller",
        "node.id": node,
        "controller.quorum.voters": voters,
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{client},CONTROLLER://{LOOPBACK}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{client}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": home / "data",
        "auto.create.topics.enable": "false",
        "num.partitions": setup.settings.partitions,
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "unclean.leader.election.enable": "false",
        "message.max.bytes": size,
        "replica.fetch.max.bytes": size,
        # Room for the largest message and what the protocol puts around it.
        "socket.request.max.bytes": max(size + 1024 * 1024, 100 * 1024 * 1024),
        "offsets.topic.replication.factor": copies,
        "offsets.topic.num.partitions": 10,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_sync,
        # A killed node is noticed, and may come back under its number, after this silence.
        "broker.heartbeat.interval.ms": 1000,
        "broker.session.timeout.ms": 6000,
        # A lone developer's group need not wait for members that never come.
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def _cluster_id(folder: Path, brokers: int) -> str:
    """The id of the cluster in *folder*, made the first time; raises StackError for another number of nodes."""
    path = folder / "cluster.json"
    if path.is_file():
        known = json.loads(path.read_text(encoding="ascii"))
        if known["brokers"] == brokers:
            return str(known["id"])
        # A start that was interrupted before any node had data binds nobody.
        if any(folder.glob("node-*/data/meta.properties")):
            raise StackError(
                f"{folder} holds a cluster of {known['brokers']} broker(s), not {brokers}; "
                f"use --brokers {known['brokers']}, or another ZHIDA_DATA_DIR, or remove that folder"
            )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Kafka's own way to write a UUID; a leading dash would look like an option to its tools.
    identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A", 1)
    path.write_text(json.dumps({"id": identity, "brokers": brokers}), encoding="ascii")
    return identity


def _format(java: str, jars: Path, cluster: str, files: list[Path]) -> None:
    """Prepare empty data folders, all nodes at once; raises StackError with what the tool said."""
    new = [path for path in files if not (path.parent / "data" / "meta.properties").is_file()]
    command = [java, "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*", "kafka.tools.StorageTool", "format"]
    tools = [
        subprocess.Popen(
            [*command, "-t", cluster, "-c", str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for path in new
    ]
    try:
        for tool in tools:
            output, _ = tool.communicate(timeout=120)
            if tool.returncode:
                raise StackError(f"Kafka's storage cannot be prepared:\n{output[-2000:]}")
    finally:
        for tool in tools:
            tool.kill()
            tool.wait()


def find_java() -> str:
    """Java's path, from JAVA_HOME or PATH; raises MissingProgram when it is missing or too old."""
    home = os.environ.get("JAVA_HOME")
    path = shutil.which("java", path=f"{home}/bin") if home else None
    path = path or shutil.which("java")
    if path is None:
        raise MissingProgram(f"Apache Kafka needs Java {_JAVA_AT_LEAST} or later; install it (Debian): {_INSTALL_JAVA}")
    said = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=60)
    found = re.search(r'version "(\d+)', said.stderr + said.stdout)
    if found is None or int(found.group(1)) < _JAVA_AT_LEAST:
        version = found.group(1) if found else "an unknown version"
        raise MissingProgram(
            f"{path} is Java {version}; Kafka needs {_JAVA_AT_LEAST} or later (Debian): {_INSTALL_JAVA}"
        )
    return path
