"""Messages → Kafka. Nothing counts as sent before the broker has confirmed it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from connectors.base import ConnectorError
from connectors.file.encoder import Message
from connectors.kafka import Trouble, new_producer, topic_names, unreachable
from schemas.connection import KafkaConnection

#: The broker is gone, or took too long: what follows would fail the same way.
_GIVE_UP = frozenset(
    {KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN}
)
_POLL_EVERY = 500

#: (message's line, partition, offset)
Delivered = Callable[[int, int, int], None]
#: (message's line, the broker's reason)
Refused = Callable[[int, str], None]


class Sender:
    """Sends to one topic; the callbacks run inside :meth:`send` and :meth:`finish`, on the caller's thread."""

    def __init__(
        self,
        kafka: KafkaConnection,
        topic: str,
        on_delivered: Delivered,
        on_refused: Refused,
        *,
        delivery_timeout_seconds: float,
        max_record_bytes: int,
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._on_delivered = on_delivered
        self._on_refused = on_refused
        self._timeout = delivery_timeout_seconds
        self._trouble = Trouble()
        self._producer: Any = new_producer(kafka, self._trouble, delivery_timeout_seconds, max_record_bytes)
        self._since_poll = 0
        self._gave_up: str | None = None

    def check(self) -> None:
        """Raise UnreachableError where there is no broker, ConnectorError where the topic is missing."""
        if self._topic not in topic_names(self._producer, self._kafka, self._trouble):
            raise ConnectorError(
                f"Kafka 上没有主题 {self._topic}",
                f"there is no topic {self._topic}",
                "zhida up 会建立全部主题 creates all topics",
            )

    def send(self, message: Message) -> None:
        """Queue one message; waits while the queue is full. Raises UnreachableError once the broker is lost."""
        callback = partial(self._answered, message.line)
        while True:
            self._raise_if_lost()
            try:
                self._producer.produce(self._topic, key=message.key, value=message.value, on_delivery=callback)
                break
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                self._on_refused(message.line, error.args[0].str())
                return
        self._since_poll += 1
        if self._since_poll >= _POLL_EVERY:
            self._since_poll = 0
            self._producer.poll(0)

    def finish(self) -> None:
        """Wait until every message is answered; raises UnreachableError where the broker was lost."""
        # One second more than the producer itself waits: then every message has had its callback.
        self._producer.flush(self._timeout + 1)
        self._raise_if_lost()

    def _answered(self, line: int, error: KafkaError | None, message: Any) -> None:
        if error is None:
            self._on_delivered(line, message.partition(), message.offset())
            return
        if error.code() in _GIVE_UP or error.fatal():
            self._gave_up = self._trouble.last or error.str()
        # Once the broker is lost it has refused nothing: nobody knows what became of the rest.
        if self._gave_up is None:
            self._on_refused(line, error.str())

    def _raise_if_lost(self) -> None:
        if self._gave_up is not None:
            raise unreachable(self._kafka, self._gave_up)
