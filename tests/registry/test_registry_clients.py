"""Real clients: confluent-kafka for Python, python-schema-registry-client, and @kafkajs/confluent-schema-registry."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import (
    ConfigCompatibilityLevel,
    Metadata,
    MetadataProperties,
    Rule,
    RuleKind,
    RuleMode,
    RuleSet,
    Schema,
    SchemaReference,
    SchemaRegistryClient,
    ServerConfig,
    header_schema_id_serializer,
    record_subject_name_strategy,
    topic_record_subject_name_strategy,
    topic_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext, SerializationError
from registry_support import B_DEFAULT, A, B, RegistryThread, record

from zhida.stack import RunningStack
from zhida.stack.testing import unique_name

KAFKAJS = Path(__file__).parent / "kafkajs"
VALUE = {"a": "直达"}


@pytest.fixture
def confluent(registry: RegistryThread) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": registry.url}) as client:
        yield client


def context(topic: str) -> SerializationContext:
    return SerializationContext(topic, MessageField.VALUE, [])


def test_confluents_client_walks_through_the_whole_protocol(
    registry: RegistryThread, confluent: SchemaRegistryClient, subject: str
) -> None:
    schema = Schema(record(A), "AVRO")
    number = confluent.register_schema(subject, schema)
    full = confluent.register_schema_full_response(subject, schema)
    assert (full.schema_id, full.subject or subject) == (number, subject)
    assert json.loads(confluent.get_schema(number).schema_str) == json.loads(record(A))
    found = confluent.lookup_schema(subject, schema)
    assert (found.schema_id, found.version) == (number, 1)
    assert found.guid
    assert json.loads(confluent.get_schema_by_guid(found.guid).schema_str) == json.loads(record(A))
    assert confluent.get_schema_types() == ["AVRO"]
    assert subject in confluent.get_subjects()
    assert subject in confluent.get_subjects_by_schema_id(number)
    assert [(at.subject, at.version) for at in confluent.get_schema_versions(number, subject_name=subject)].count(
        (subject, 1)
    ) == 1
    second = Schema(record(A, B_DEFAULT), "AVRO")
    assert confluent.test_compatibility(subject, second)
    assert not confluent.test_compatibility(subject, Schema(record(A, B), "AVRO"))
    assert confluent.test_compatibility_all_versions(subject, second)
    confluent.register_schema(subject, second)
    assert confluent.get_versions(subject) == [1, 2]
    assert confluent.get_latest_version(subject).version == 2
    assert confluent.get_version(subject, 1).schema_id == number
    assert confluent.get_referenced_by(subject, 1) == []
    with pytest.raises(SchemaRegistryError) as refused:
        confluent.register_schema(subject, Schema(record(A, {"name": "z", "type": "int"}), "AVRO"))
    assert "'z'" in refused.value.error_message
    assert (refused.value.http_status_code, refused.value.error_code) == (409, 409)
    confluent.set_compatibility(subject, "FULL_TRANSITIVE")
    assert confluent.get_compatibility(subject) == "FULL_TRANSITIVE"
    confluent.set_config(
        subject, ServerConfig(compatibility=ConfigCompatibilityLevel.NONE, compatibility_group="major")
    )
    assert confluent.get_config(subject).compatibility_level == "NONE"
    assert confluent.delete_config(subject).compatibility_level == "NONE"
    assert confluent.update_mode(subject, "READONLY") == "READONLY"
    assert confluent.get_mode(subject) == "READONLY"
    assert confluent.delete_mode(subject) == "READONLY"
    assert confluent.get_global_mode() == "READWRITE"
    assert confluent.get_contexts() == ["."]
    assert confluent.delete_version(subject, 1) == 1
    assert confluent.get_version(subject, 1, deleted=True).schema_id == number
    # This client cannot forget a version that it has not cached in every way: a new one has nothing to forget.
    with SchemaRegistryClient({"url": registry.url}) as fresh:
        assert fresh.delete_version(subject, 1, permanent=True) == 1
        assert fresh.delete_subject(subject) == [2]
        assert fresh.delete_subject(subject, permanent=True) == [2]
    with pytest.raises(SchemaRegistryError) as unknown:
        confluent.get_versions(subject)
    assert unknown.value.error_code == 40401


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (topic_subject_name_strategy, "{topic}-value"),
        (record_subject_name_strategy, "n.R"),
        (topic_record_subject_name_strategy, "{topic}-n.R"),
    ],
)
def test_confluents_serializer_registers_under_every_subject_name_strategy(
    confluent: SchemaRegistryClient, strategy: Any, expected: str
) -> None:
    topic = unique_name("topic")
    schema = json.dumps({"type": "record", "name": "R", "namespace": "n", "fields": [A]})
    serialize = AvroSerializer(confluent, schema, conf={"subject.name.strategy": strategy})
    body = serialize(VALUE, context(topic))
    assert AvroDeserializer(confluent, conf={"subject.name.strategy": strategy})(body, context(topic)) == VALUE
    assert expected.format(topic=topic) in confluent.get_subjects()


def test_confluents_serializer_without_auto_register_needs_the_schema_to_be_there(
    confluent: SchemaRegistryClient,
) -> None:
    topic = unique_name("topic")
    conf = {"auto.register.schemas": False}
    with pytest.raises(SchemaRegistryError) as unknown:
        AvroSerializer(confluent, record(A), conf=conf)(VALUE, context(topic))
    assert unknown.value.error_code == 40401
    number = confluent.register_schema(f"{topic}-value", Schema(record(A), "AVRO"))
    body = AvroSerializer(confluent, record(A), conf=conf)(VALUE, context(topic))
    assert int.from_bytes(body[1:5], "big") == number


def test_confluents_serializer_writes_with_the_latest_version(confluent: SchemaRegistryClient) -> None:
    topic = unique_name("topic")
    confluent.register_schema(f"{topic}-value", Schema(record(A), "AVRO"))
    latest = confluent.register_schema(f"{topic}-value", Schema(record(A, B_DEFAULT), "AVRO"))
    conf = {"auto.register.schemas": False, "use.latest.version": True}
    body = AvroSerializer(confluent, record(A), conf=conf)({"a": "x", "b": 3}, context(topic))
    assert int.from_bytes(body[1:5], "big") == latest
    assert AvroDeserializer(confluent)(body, context(topic)) == {"a": "x", "b": 3}


def test_confluents_serializer_by_id_by_metadata_and_by_guid_in_the_header(confluent: SchemaRegistryClient) -> None:
    topic = unique_name("topic")
    metadata = Metadata(tags=None, properties=MetadataProperties.from_dict({"major": "7"}), sensitive=None)
    number = confluent.register_schema(f"{topic}-value", Schema(record(A), "AVRO", metadata=metadata))
    for conf in ({"use.schema.id": number}, {"use.latest.with.metadata": {"major": "7"}}):
        body = AvroSerializer(confluent, record(A), conf={"auto.register.schemas": False, **conf})(
            VALUE, context(topic)
        )
        assert int.from_bytes(body[1:5], "big") == number
    headers: list[tuple[str, bytes]] = []
    where = SerializationContext(topic, MessageField.VALUE, headers)
    conf = {"schema.id.serializer": header_schema_id_serializer, "auto.register.schemas": False}
    body = AvroSerializer(confluent, record(A), conf={**conf, "use.latest.version": True})(VALUE, where)
    assert headers
    assert AvroDeserializer(confluent)(body, where) == VALUE


def test_confluents_serializer_follows_references(confluent: SchemaRegistryClient) -> None:
    topic = unique_name("topic")
    base = unique_name("base")
    confluent.register_schema(base, Schema(json.dumps({"type": "enum", "name": "n.C", "symbols": ["RED"]}), "AVRO"))
    reference = SchemaReference("n.C", base, 1)
    schema = Schema(record({"name": "c", "type": "n.C"}), "AVRO", [reference])
    body = AvroSerializer(confluent, schema)({"c": "RED"}, context(topic))
    assert AvroDeserializer(confluent)(body, context(topic)) == {"c": "RED"}
    number = int.from_bytes(body[1:5], "big")
    assert confluent.get_referenced_by(base, 1) == [number]


def test_a_rule_of_the_contract_stops_a_bad_record_in_the_units_own_client(confluent: SchemaRegistryClient) -> None:
    from confluent_kafka.schema_registry.rules.cel.cel_executor import CelExecutor

    CelExecutor.register()
    topic = unique_name("topic")
    rule = Rule("uscc-length", "", RuleKind.CONDITION, RuleMode.WRITE, "CEL", None, None, "size(message.a) == 18",
                None, "ERROR", False)  # fmt: skip
    schema = Schema(record(A), "AVRO", [], None, RuleSet(None, [rule]))
    confluent.register_schema(f"{topic}-value", schema)
    conf = {"auto.register.schemas": False, "use.latest.version": True}
    serialize = AvroSerializer(confluent, record(A), conf=conf)
    assert serialize({"a": "9" * 18}, context(topic))
    with pytest.raises(SerializationError):
        serialize({"a": "short"}, context(topic))


def test_records_go_through_the_broker_with_confluents_serializers(
    confluent: SchemaRegistryClient, stack: RunningStack, new_topic: Callable[..., str]
) -> None:
    topic = new_topic("records")
    producer = Producer(stack.settings.kafka().confluent())
    serialize = AvroSerializer(confluent, record(A))
    for at in range(10):
        producer.produce(topic, serialize({"a": str(at)}, context(topic)))
    producer.flush(30)
    options = {"group.id": unique_name("group")}
    consumer = Consumer(stack.settings.kafka().confluent() | options)
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    read = AvroDeserializer(confluent)
    found = []
    while len(found) < 10:
        message = consumer.poll(30)
        assert message is not None
        assert not message.error()
        found.append(read(message.value(), context(topic))["a"])
    consumer.close()
    assert sorted(found) == [str(at) for at in range(10)]


def test_python_schema_registry_client_walks_through_the_protocol(registry: RegistryThread, subject: str) -> None:
    from schema_registry.client import SchemaRegistryClient as Client
    from schema_registry.client import schema as schemas
    from schema_registry.client.errors import ClientError
    from schema_registry.serializers import AvroMessageSerializer

    client = Client(url=registry.url)
    schema = schemas.AvroSchema(record(A))
    number = client.register(subject, schema)
    assert client.register(subject, schema) == number
    fresh = Client(url=registry.url)
    assert fresh.get_by_id(number).raw_schema["name"] == "R"
    assert fresh.check_version(subject, schema).version == 1
    assert fresh.get_schema(subject).schema_id == number
    assert subject in fresh.get_subjects()
    assert any(at.subject == subject for at in fresh.get_schema_subject_versions(number))
    assert fresh.test_compatibility(subject, schemas.AvroSchema(record(A, B_DEFAULT)))
    assert not fresh.test_compatibility(subject, schemas.AvroSchema(record(A, B)))
    assert "messages" in fresh.test_compatibility(subject, schemas.AvroSchema(record(A, B)), verbose=True)
    with pytest.raises(ClientError) as refused:
        fresh.register(subject, schemas.AvroSchema(record(B)))
    assert refused.value.http_code == 409
    assert fresh.update_compatibility("FULL", subject)
    assert fresh.get_compatibility(subject) == "FULL"
    serializer = AvroMessageSerializer(client)
    assert serializer.decode_message(serializer.encode_record_with_schema(subject, schema, VALUE)) == VALUE
    client.register(subject, schemas.AvroSchema(record(A, B_DEFAULT)))
    assert client.get_versions(subject) == [1, 2]
    assert client.delete_version(subject, 1) == 1
    assert client.delete_subject(subject) == [2]
    with pytest.raises(ClientError) as unsupported:
        client.register(subject, schemas.JsonSchema('{"type": "object"}'))
    assert unsupported.value.http_code == 422


@pytest.fixture(scope="session")
def kafkajs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the npm client installed as the lock file says."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed (apt-get install nodejs npm)")
    folder = tmp_path_factory.mktemp("kafkajs")
    for path in KAFKAJS.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True
    )
    if done.returncode != 0:
        pytest.skip(f"npm could not install the client: {done.stderr[-300:]}")
    return folder


def test_the_npm_client_registers_encodes_and_decodes(registry: RegistryThread, kafkajs: Path, subject: str) -> None:
    command = ["node", "walk.mjs", registry.url, subject]
    done = subprocess.run(command, cwd=kafkajs, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == [
        "registered",
        "registered again",
        "latest",
        "by schema",
        "decoded",
        "decoded by another client",
        "refused as incompatible",
        "unknown id",
        "evolved",
    ]
