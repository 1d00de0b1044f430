"""A registry of our own in a thread, and what every test of it needs."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any
from urllib.parse import quote

import httpx

from schemas.connection import KafkaConnection
from schemas.registry.server import RegistryServer, create_registry

JSON = {"content-type": "application/vnd.schemaregistry.v1+json"}


class RegistryThread:
    """A registry on an event loop of its own."""

    def __init__(self, kafka: KafkaConnection, topic: str, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.topic = topic
        self.server: RegistryServer = create_registry(kafka, port=0, topic=topic, **options)
        self._run(self.server.start())
        self.url = self.server.url

    def stop(self) -> None:
        if self._loop.is_closed():
            return
        self._run(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self, job: Any) -> None:
        asyncio.run_coroutine_threadsafe(job, self._loop).result(60)


STRING = json.dumps("string")


def record(*fields: dict[str, Any], name: str = "R") -> str:
    return json.dumps({"type": "record", "name": name, "fields": list(fields)})


A = {"name": "a", "type": "string"}
B = {"name": "b", "type": "int"}
B_DEFAULT = {"name": "b", "type": "int", "default": 0}


def post(http: httpx.Client, subject: str, schema: str, **more: Any) -> httpx.Response:
    return http.post(f"/subjects/{quote(subject, safe='')}/versions", json={"schema": schema, **more}, headers=JSON)


def register(http: httpx.Client, subject: str, schema: str, **more: Any) -> int:
    response = post(http, subject, schema, **more)
    assert response.status_code == 200, response.text
    return int(response.json()["id"])


def refused(response: httpx.Response, status: int, code: int) -> str:
    assert response.headers["content-type"] == JSON["content-type"]
    assert (response.status_code, response.json()["error_code"]) == (status, code), response.text
    return str(response.json()["message"])
