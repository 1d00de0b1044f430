"""The way to our own query API, for what runs beside it."""

from __future__ import annotations

import httpx

from zhida.settings import Settings


def api_client(settings: Settings, timeout: float) -> httpx.Client:
    """A client of the API that *settings* name, without its token; *timeout* in seconds."""
    return httpx.Client(
        base_url=settings.api_url,
        timeout=timeout,
        # It speaks plain HTTP: loading the system's authorities, which takes 25 ms a client, would be for nothing.
        verify=False,  # noqa: S501
        # Proxies from the environment would make the same settings mean different things on different machines.
        trust_env=False,
    )
