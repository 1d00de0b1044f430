"""Whether an engine answers, asked in its own protocol and with its own password."""

from __future__ import annotations

import base64
import http.client

import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from schemas.connection import ClickHouseConnection, KafkaConnection, RedisConnection
from zhida.stack.ports import answers


def broker_answers(connection: KafkaConnection, brokers: int = 1, cluster_id: str | None = None) -> bool:
    """True when the metadata lists *brokers* nodes and, where given, the cluster's own id: not a stranger's broker."""
    for address in connection.bootstrap.split(","):
        host, _, port = address.rpartition(":")
        if not answers(int(port), host):
            return False
    # librdkafka writes refused connections to standard error, which is no news while a broker starts.
    client = AdminClient({**connection.confluent(), "log_level": 0, "socket.timeout.ms": 3000})
    try:
        metadata = client.list_topics(timeout=3)
        return len(metadata.brokers) >= brokers and cluster_id in {None, metadata.cluster_id}
    except KafkaException:
        return False


def redis_answers(connection: RedisConnection) -> bool:
    """True when Redis says PONG and has finished loading its data."""
    client = redis.Redis.from_url(connection.url, socket_timeout=2, socket_connect_timeout=2, **connection.options())
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


def clickhouse_answers(connection: ClickHouseConnection) -> bool:
    """True when the server runs a query for this user."""
    login = base64.b64encode(f"{connection.username}:{connection.password}".encode()).decode()
    request = http.client.HTTPConnection(connection.host, connection.port, timeout=3)
    try:
        request.request("GET", "/?query=SELECT%201", headers={"Authorization": f"Basic {login}"})
        response = request.getresponse()
        return response.status == 200 and response.read().strip() == b"1"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        request.close()
