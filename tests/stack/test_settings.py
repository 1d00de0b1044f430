"""Settings: where they come from, what they refuse, and that secrets stay secret."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from zhida.settings import Settings, SettingsError
from zhida.settings_docs import settings_page
from zhida.stack_state import ProcessId, Service, StackState, write_state

ROOT = Path(__file__).parents[2]
KEY = "ab" * 32


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("ZHIDA_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_the_settings_page_is_in_step_with_the_class() -> None:
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings_page(), (
        "run: python -m zhida.settings_docs > docs/settings.md"
    )


def test_environment_wins_over_env_file_over_toml(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "zhida.toml").write_text('partitions = 2\ngovern_workers = 2\nkafka_bootstrap = "toml:1"\n')
    (tmp_path / "zhida.env").write_text("ZHIDA_PARTITIONS=3\nZHIDA_GOVERN_WORKERS=3\n")
    monkeypatch.setenv("ZHIDA_PARTITIONS", "8")
    settings = Settings.load()
    assert (settings.partitions, settings.govern_workers, settings.kafka().bootstrap) == (8, 3, "toml:1")


def test_a_named_config_file_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHIDA_CONFIG", "nowhere.toml")
    with pytest.raises(SettingsError, match=r"nowhere\.toml"):
        Settings.load()


def test_an_unknown_name_in_the_config_file_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    (tmp_path / "zhida.toml").write_text("partitons = 2\n")
    with pytest.raises(SettingsError, match="did you mean partitions"):
        Settings.load()


def test_a_misspelt_variable_is_refused_with_the_right_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHIDA_KAFKA_BOOTSRAP", "a:1")
    with pytest.raises(SettingsError, match="did you mean ZHIDA_KAFKA_BOOTSTRAP"):
        Settings.load()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"ZHIDA_PARTITIONS": "none"}, "ZHIDA_PARTITIONS: "),
        ({"ZHIDA_PARTITIONS": "0"}, "ZHIDA_PARTITIONS: .*greater than or equal to 1"),
        ({"ZHIDA_PROFILE": "prod"}, "ZHIDA_PROFILE: .*'embedded' or 'cluster'"),
        ({"ZHIDA_KAFKA_BOOTSTRAP": "broker"}, "ZHIDA_KAFKA_BOOTSTRAP: must be host:port"),
        ({"ZHIDA_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "needs ZHIDA_KAFKA_USERNAME"),
        ({"ZHIDA_KAFKA_CERT_FILE": "c.pem"}, "go together"),
        ({"ZHIDA_REDIS_URL": "http://h"}, "redis:// or rediss://"),
        ({"ZHIDA_REDIS_CA_FILE": "ca.pem"}, "rediss://"),
        ({"ZHIDA_CLICKHOUSE_CA_FILE": "ca.pem"}, "ZHIDA_CLICKHOUSE_SECURE"),
        ({"ZHIDA_CLICKHOUSE_DATABASE": "a; DROP"}, "ZHIDA_CLICKHOUSE_DATABASE"),
        ({"ZHIDA_MIN_INSYNC_REPLICAS": "2"}, "must not exceed ZHIDA_REPLICATION_FACTOR"),
        ({"ZHIDA_MAX_MESSAGE_BYTES": "2048"}, "ZHIDA_MAX_RECORD_BYTES must not exceed"),
        ({"ZHIDA_GOVERN_HEARTBEAT_S": "5"}, "at most a third"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=said):
        Settings.load()


def test_a_wrong_secret_is_not_repeated_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHIDA_REDIS_URL", "http://:hunter2@h")
    with pytest.raises(SettingsError) as error:
        Settings.load()
    assert "hunter2" not in str(error.value)


def test_no_secret_is_in_any_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHIDA_PII_KEY", KEY)
    monkeypatch.setenv("ZHIDA_API_TOKEN", "token-hunter2-token-hunter2")
    settings = Settings.load(
        kafka_bootstrap="k:1",
        kafka_security_protocol="SASL_PLAINTEXT",
        kafka_username="u",
        kafka_password="hunter2",
        redis_url="redis://:hunter2@h/0",
        clickhouse_host="c",
        clickhouse_password="hunter2",
        registry_password="hunter2",
    )
    shown = repr(
        [settings, settings.kafka(), settings.redis(), settings.clickhouse(), settings.registry(), str(settings)]
    )
    assert "hunter2" not in shown
    assert KEY not in shown
    assert settings.kafka().password == "hunter2"


def test_how_to_get_into_a_registry_elsewhere_reaches_the_connection(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hunter2-hunter2\n")
    settings = Settings.load(
        registry_url="https://registry.example", registry_token_file="token", registry_ca_file="/ca.pem"
    )
    registry = settings.registry()
    assert (registry.url, registry.token, registry.ca_file) == (
        "https://registry.example",
        "hunter2-hunter2",
        Path("/ca.pem"),
    )
    assert "hunter2" not in repr(registry)
    for wrong in (
        {"registry_ca_file": "/ca.pem"},
        {"registry_url": "http://registry.example", "registry_ca_file": "/ca.pem"},
        {"registry_username": "u", "registry_token": "t"},
    ):
        with pytest.raises(SettingsError, match="ZHIDA_REGISTRY_"):
            Settings.load(**wrong)
    with pytest.raises(SettingsError, match="ZHIDA_REGISTRY_TOKEN"):
        Settings.load(registry_token="in two").registry()


def test_kafka_tls_and_sasl_reach_the_connection(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("from-file\n")
    kafka = Settings.load(
        kafka_bootstrap="k1:9093,k2:9093",
        kafka_security_protocol="SASL_SSL",
        kafka_username="zhida",
        kafka_password_file="pw",
        kafka_ca_file="/ca.pem",
    ).kafka()
    assert kafka.confluent() == {
        "bootstrap.servers": "k1:9093,k2:9093",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "zhida",
        "sasl.password": "from-file",
        "ssl.ca.location": "/ca.pem",
    }


def test_a_redis_password_is_put_into_the_url_with_its_special_characters_escaped() -> None:
    redis = Settings.load(redis_url="rediss://cache:6380/2", redis_username="z", redis_password="a/b@c:d").redis()
    assert redis.url == "rediss://z:a%2Fb%40c%3Ad@cache:6380/2"


def test_a_missing_secret_file_is_named(tmp_path: Path) -> None:
    settings = Settings.load(kafka_bootstrap="k:1", kafka_password_file=tmp_path / "gone")
    with pytest.raises(SettingsError, match=r"ZHIDA_KAFKA_PASSWORD_FILE: .*gone"):
        settings.kafka()


def test_the_embedded_profile_uses_chdb_below_the_data_folder(tmp_path: Path) -> None:
    connection = Settings.load(data_dir=tmp_path).clickhouse()
    assert connection.embedded
    assert connection.path == tmp_path / "embedded" / "chdb"


def test_the_cluster_profile_demands_addresses_and_keys() -> None:
    settings = Settings.load(profile="cluster")
    for ask, variable in (
        (settings.kafka, "ZHIDA_KAFKA_BOOTSTRAP"),
        (settings.redis, "ZHIDA_REDIS_URL"),
        (settings.clickhouse, "ZHIDA_CLICKHOUSE_HOST"),
        (settings.pii_key, "ZHIDA_PII_KEY"),
        (settings.api_token, "ZHIDA_API_TOKEN"),
    ):
        with pytest.raises(SettingsError, match=variable):
            ask()


def test_the_embedded_keys_are_made_once_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path / "var")
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: settings.pii_key(), range(32)))
    assert keys == {settings.pii_key()}
    assert len(settings.pii_key()) == 32
    assert len(settings.api_token()) == 64
    for name in ("pii.key", "api.token"):
        assert stat.S_IMODE((tmp_path / "var" / "secrets" / name).stat().st_mode) == 0o600
    assert sorted(path.name for path in (tmp_path / "var" / "secrets").iterdir()) == ["api.token", "pii.key"]


@pytest.mark.parametrize("key", ["zz" * 32, "ab" * 31, "ab" * 65, "secret"])
def test_a_weak_or_unreadable_key_is_refused(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("ZHIDA_PII_KEY", key)
    with pytest.raises(SettingsError, match="openssl rand -hex 32"):
        Settings.load().pii_key()


def test_a_short_api_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHIDA_API_TOKEN", "short")
    with pytest.raises(SettingsError, match="24"):
        Settings.load().api_token()


def test_a_child_process_gets_the_same_settings_by_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZHIDA_PII_KEY", KEY)
    settings = Settings.load(
        data_dir=tmp_path, kafka_bootstrap="k:1", redis_url="redis://:p@h/0", clickhouse_secure=True, partitions=9
    )
    monkeypatch.delenv("ZHIDA_PII_KEY")
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings.load() == settings


def test_topic_configuration_follows_the_kind_of_topic() -> None:
    settings = Settings.load(quarantine_retention_days=2)
    assert settings.topic_config("quarantine") == {
        "retention.ms": "172800000",
        "max.message.bytes": "67108864",
        "min.insync.replicas": "1",
    }


def _state(**changes: object) -> StackState:
    process = ProcessId.of(os.getpid())
    service = Service("tansu", "Kafka protocol", "127.0.0.1:9", process=process)
    values = {"kafka_bootstrap": "127.0.0.1:9", "partitions": 2, "not_a_setting": 1}
    return StackState(
        **{"real": False, "brokers": 1, "started": "now", "ready": True, "services": (service,), "settings": values}
        | changes  # type: ignore[arg-type]
    )


def test_addresses_of_the_running_stack_are_defaults_that_the_environment_overrides(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_state(tmp_path, _state())
    monkeypatch.setenv("ZHIDA_PARTITIONS", "6")
    settings = Settings.load(data_dir=tmp_path)
    assert (settings.kafka().bootstrap, settings.partitions) == ("127.0.0.1:9", 6)


def test_addresses_of_a_dead_or_unfinished_stack_are_not_used(tmp_path: Path) -> None:
    dead = Service("tansu", "Kafka protocol", "127.0.0.1:9", process=ProcessId(os.getpid(), 1.0))
    for state in (_state(services=(dead,)), _state(ready=False), _state(stopping=True)):
        write_state(tmp_path, state)
        with pytest.raises(SettingsError, match="zhida stack up"):
            Settings.load(data_dir=tmp_path).kafka()


def test_a_damaged_state_file_is_no_obstacle(tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"version": 1}', '{"version": 99}'):
        (tmp_path / "stack.json").write_text(text)
        assert Settings.load(data_dir=tmp_path).kafka_bootstrap is None
