"""All settings of Zhida, in one place: environment, ``zhida.env``, ``zhida.toml``, the running local stack, defaults.

Earlier sources win over later ones. Only the room ``zhida`` reads this; every other room is handed the
``schemas.connection`` objects made here. ``docs/settings.md`` is generated from this class.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as SourceError

from schemas.connection import ClickHouseConnection, KafkaConnection, RedisConnection, RegistryConnection
from zhida.secret_files import SecretFileError, create_secret, read_secret
from zhida.settings_sources import PREFIX, StackStateSource, explain, find_typo, variable_name

CONFIG_VARIABLE = "ZHIDA_CONFIG"
_MIB = 1024 * 1024

Port = Annotated[int, Field(ge=1, le=65535)]
Days = Annotated[int, Field(ge=1, le=36500)]
TopicKind = Literal["report", "accepted", "feedback", "rejected", "quarantine"]


class SettingsError(Exception):
    """A setting is wrong or missing; the message names the variable and what is allowed."""


def _setting(default: Any, zh: str, en: str, **limits: Any) -> Any:
    """A documented field: Chinese title, English description."""
    return Field(default=default, title=zh, description=en, **limits)


class Settings(BaseSettings):
    """Every setting; read it with :meth:`load`, which explains what is wrong."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file="zhida.env",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
        validate_default=True,
    )

    # fmt: off
    # -- the whole --------------------------------------------------------------------------------------------------
    profile: Literal["embedded", "cluster"] = _setting(
        "embedded", "运行方式", "`embedded`: engines from PyPI on this machine; `cluster`: everything by URL.")
    data_dir: Path = _setting(Path("var"), "数据目录", "Folder for everything that Zhida keeps on this machine.")

    cache_dir: Path | None = _setting(
        None, "下载缓存目录", "Kafka's jars and ClickHouse's library; default: `${XDG_CACHE_HOME:-~/.cache}/zhida`.")

    # -- catalog and rules ------------------------------------------------------------------------------------------
    catalog_dir: Path | None = _setting(
        None, "目录文件所在目录", "Folder with `datasets/`, `extensions/`, `assignments/` and `data/` that "
        "`zhida catalog publish` reads; default: the catalog that comes with Zhida.")
    rules_dir: Path | None = _setting(
        None, "规则文件所在目录", "Folder of the rule library's files; default: the library that comes with Zhida.")

    # -- Kafka ------------------------------------------------------------------------------------------------------
    kafka_bootstrap: str | None = _setting(
        None, "Kafka 地址", "`host:port,host:port`. Default: the broker of the local stack in `data_dir`.")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = _setting(
        "PLAINTEXT", "Kafka 安全协议", "TLS and SASL of the broker's listener.")
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = _setting(
        "SCRAM-SHA-512", "Kafka SASL 机制", "How username and password are proved.")
    kafka_username: str = _setting("", "Kafka 用户名", "SASL user.")
    kafka_password: SecretStr | None = _setting(None, "Kafka 密码", "SASL password.")
    kafka_password_file: Path | None = _setting(None, "Kafka 密码文件", "File that holds the SASL password.")
    kafka_ca_file: Path | None = _setting(None, "Kafka CA 证书", "PEM file; default: the system's authorities.")
    kafka_cert_file: Path | None = _setting(None, "Kafka 客户端证书", "PEM file for mutual TLS.")
    kafka_key_file: Path | None = _setting(None, "Kafka 客户端私钥", "PEM file for mutual TLS.")

    # -- Redis ------------------------------------------------------------------------------------------------------
    redis_url: SecretStr | None = _setting(
        None, "Redis 地址", "`redis://host:port/0`, or `rediss://` for TLS. Default: the local stack's.")
    redis_username: str = _setting("", "Redis 用户名", "ACL user; empty for the default user.")
    redis_password: SecretStr | None = _setting(None, "Redis 密码", "Password, when not in the URL.")
    redis_password_file: Path | None = _setting(None, "Redis 密码文件", "File that holds the password.")
    redis_ca_file: Path | None = _setting(None, "Redis CA 证书", "PEM file; needs `rediss://`.")

    # -- ClickHouse -------------------------------------------------------------------------------------------------
    clickhouse_host: str | None = _setting(
        None, "ClickHouse 主机", "HTTP host. Default: embedded profile, chDB in `data_dir`; cluster profile, required.")
    clickhouse_port: Port = _setting(8123, "ClickHouse 端口", "HTTP port.")
    clickhouse_native_port: Port | None = _setting(
        None, "ClickHouse 本地协议端口", "Native port, for clickhouse-client; Zhida itself speaks HTTP.")
    clickhouse_username: str = _setting("default", "ClickHouse 用户名", "User.")
    clickhouse_password: SecretStr | None = _setting(None, "ClickHouse 密码", "Password.")
    clickhouse_password_file: Path | None = _setting(None, "ClickHouse 密码文件", "File that holds the password.")
    clickhouse_database: str = _setting(
        "zhida", "ClickHouse 数据库", "Database for all tables.", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")
    clickhouse_secure: bool = _setting(False, "ClickHouse TLS", "True for HTTPS.")
    clickhouse_ca_file: Path | None = _setting(None, "ClickHouse CA 证书", "PEM file; needs `clickhouse_secure`.")

    # -- schema registry --------------------------------------------------------------------------------------------
    registry_url: str | None = _setting(
        None, "模式注册中心地址", "A Confluent-compatible registry; default: ours, at `registry_host:registry_port`. "
        "Where it is set, `zhida up` starts none of its own.",
        pattern=r"^https?://[^\s@]+$")
    registry_host: str = _setting("127.0.0.1", "模式注册中心监听地址", "Where our registry listens.")
    registry_port: Port = _setting(8081, "模式注册中心端口", "Port of our registry.")
    registry_username: str = _setting("", "模式注册中心用户名", "Basic authentication user.")
    registry_password: SecretStr | None = _setting(None, "模式注册中心密码", "Basic authentication password.")
    registry_password_file: Path | None = _setting(None, "模式注册中心密码文件", "File that holds the password.")
    registry_token: SecretStr | None = _setting(
        None, "模式注册中心令牌", "Bearer token, instead of user and password.")
    registry_token_file: Path | None = _setting(None, "模式注册中心令牌文件", "File that holds the bearer token.")
    registry_ca_file: Path | None = _setting(
        None, "模式注册中心 CA 证书", "PEM file; needs a `registry_url` with `https://`.")

    # -- API and secrets --------------------------------------------------------------------------------------------
    api_host: str = _setting("127.0.0.1", "接口监听地址", "Where the query API and the live page listen.")
    api_port: Port = _setting(8088, "接口端口", "Port of the query API and the live page.")
    api_token_text: SecretStr | None = _setting(
        None, "接口令牌", "Bearer token of the API, at least 24 characters. Embedded: made once in `data_dir`.",
        validation_alias="ZHIDA_API_TOKEN")
    api_token_file: Path | None = _setting(None, "接口令牌文件", "File that holds the API token.")
    pii_key_text: SecretStr | None = _setting(
        None, "个人信息散列密钥", "Key of the hash of personal identifiers, 64 to 128 hex digits "
        "(`openssl rand -hex 32`). Embedded: made once in `data_dir`. Losing it makes stored hashes useless.",
        validation_alias="ZHIDA_PII_KEY")
    pii_key_file: Path | None = _setting(None, "个人信息散列密钥文件", "File that holds the key.")

    # -- topics -----------------------------------------------------------------------------------------------------
    partitions: int = _setting(4, "分区数", "Partitions of each dataset topic.", ge=1, le=1024)
    replication_factor: int = _setting(1, "副本数", "Copies of each topic.", ge=1, le=9)
    min_insync_replicas: int = _setting(1, "最少同步副本数", "Copies that must confirm a write.", ge=1, le=9)
    report_retention_days: Days = _setting(
        90, "报送主题保留天数", "How long reported records stay in Kafka, can be judged again and explained whole.")
    accepted_retention_days: Days = _setting(
        90, "入库主题保留天数", "How long accepted records stay in Kafka, from where a new rule's index is built.")
    feedback_retention_days: Days = _setting(30, "反馈主题保留天数", "How long a unit can fetch its feedback.")
    rejected_retention_days: Days = _setting(90, "退回历史主题保留天数", "How long the copy for the history stays.")
    quarantine_retention_days: Days = _setting(90, "隔离主题保留天数", "How long unreadable messages stay.")
    max_record_bytes: int = _setting(
        _MIB, "单条记录上限（字节）", "Larger messages are quarantined.", ge=1024, le=32 * _MIB)
    max_message_bytes: int = _setting(
        64 * _MIB, "消息上限（字节）", "Largest message that the topics take.", ge=1024, le=512 * _MIB)

    # -- govern -----------------------------------------------------------------------------------------------------
    govern_workers: int = _setting(1, "治理进程数", "Govern processes that `zhida up` starts.", ge=1, le=256)
    govern_session_timeout_s: float = _setting(
        6.0, "会话超时（秒）", "After this silence a worker's partitions go to the others.", ge=1, le=300)
    govern_heartbeat_s: float = _setting(1.0, "心跳间隔（秒）", "Between signs of life to the broker.", ge=0.1, le=100)
    govern_commit_interval_s: float = _setting(1.0, "提交间隔（秒）", "Between commits of offsets.", ge=0.05, le=60)
    govern_linger_ms: int = _setting(30, "攒批等待（毫秒）", "Longest wait for a batch to fill.", ge=0, le=5000)
    govern_batch_records: int = _setting(5000, "每批最多记录数", "Records in one batch.", ge=1, le=1_000_000)
    govern_state: bool = _setting(
        True, "跨记录规则", "Judge rules that look at other records (kept in Redis); off: leave these rules out.")
    # fmt: on

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("kafka_bootstrap")
    @classmethod
    def _addresses(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[^\s,/]+:\d{1,5}(,[^\s,/]+:\d{1,5})*", value):
            raise ValueError("must be host:port, or several of them with commas between")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        problems: list[str] = []
        sasl = self.kafka_security_protocol.startswith("SASL")
        if sasl and not (self.kafka_username and (self.kafka_password or self.kafka_password_file)):
            problems.append(
                "ZHIDA_KAFKA_SECURITY_PROTOCOL with SASL needs ZHIDA_KAFKA_USERNAME and ZHIDA_KAFKA_PASSWORD"
            )
        if (self.kafka_cert_file is None) != (self.kafka_key_file is None):
            problems.append("ZHIDA_KAFKA_CERT_FILE and ZHIDA_KAFKA_KEY_FILE go together")
        if self.kafka_ca_file and not self.kafka_security_protocol.endswith("SSL"):
            problems.append("ZHIDA_KAFKA_CA_FILE needs ZHIDA_KAFKA_SECURITY_PROTOCOL SSL or SASL_SSL")
        url = self.redis_url.get_secret_value() if self.redis_url else ""
        if url and urlsplit(url).scheme not in {"redis", "rediss"}:
            problems.append("ZHIDA_REDIS_URL must begin with redis:// or rediss://")
        if self.redis_ca_file and not url.startswith("rediss://"):
            problems.append("ZHIDA_REDIS_CA_FILE needs a ZHIDA_REDIS_URL that begins with rediss://")
        if self.clickhouse_ca_file and not self.clickhouse_secure:
            problems.append("ZHIDA_CLICKHOUSE_CA_FILE needs ZHIDA_CLICKHOUSE_SECURE=true")
        if self.registry_ca_file and not (self.registry_url or "").startswith("https://"):
            problems.append("ZHIDA_REGISTRY_CA_FILE needs a ZHIDA_REGISTRY_URL that begins with https://")
        if self.registry_username and (self.registry_token or self.registry_token_file):
            problems.append("ZHIDA_REGISTRY_USERNAME and ZHIDA_REGISTRY_TOKEN exclude each other")
        if self.min_insync_replicas > self.replication_factor:
            problems.append("ZHIDA_MIN_INSYNC_REPLICAS must not exceed ZHIDA_REPLICATION_FACTOR")
        if self.max_record_bytes > self.max_message_bytes:
            problems.append("ZHIDA_MAX_RECORD_BYTES must not exceed ZHIDA_MAX_MESSAGE_BYTES")
        if self.govern_heartbeat_s * 3 > self.govern_session_timeout_s:
            problems.append("ZHIDA_GOVERN_HEARTBEAT_S must be at most a third of ZHIDA_GOVERN_SESSION_TIMEOUT_S")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, environment, ``zhida.env``, ``zhida.toml``, the running stack."""
        toml = TomlConfigSettingsSource(settings_cls, toml_file=os.environ.get(CONFIG_VARIABLE) or "zhida.toml")
        return (init_settings, env_settings, dotenv_settings, toml, StackStateSource(settings_cls))

    @classmethod
    def load(cls, **overrides: Any) -> Settings:
        """Settings from all sources, *overrides* first; raises SettingsError that names the variable."""
        typo = find_typo(os.environ, [*all_variables(), CONFIG_VARIABLE])
        if typo:
            raise SettingsError(typo)
        try:
            config = os.environ.get(CONFIG_VARIABLE)
            if config and not Path(config).is_file():
                raise SettingsError(f"{CONFIG_VARIABLE}={config}: no such file")
            return cls(**overrides)
        except ValidationError as error:
            raise SettingsError("; ".join(explain(problem, cls.model_fields) for problem in error.errors())) from None
        except (SourceError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"settings cannot be read: {error}") from None

    @property
    def cache_folder(self) -> Path:
        """Where downloads are kept, shared by every data folder of this user."""
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return (self.cache_dir or Path(home) / "zhida").expanduser().absolute()

    # -- what the rooms are handed --------------------------------------------------------------------------------

    def kafka(self) -> KafkaConnection:
        """The broker; raises SettingsError when none is known."""
        if not self.kafka_bootstrap:
            raise SettingsError(self._no_address("Kafka", "ZHIDA_KAFKA_BOOTSTRAP=host:port"))
        return KafkaConnection(
            bootstrap=self.kafka_bootstrap,
            security_protocol=self.kafka_security_protocol,
            sasl_mechanism=self.kafka_sasl_mechanism,
            username=self.kafka_username,
            password=self._secret("kafka_password"),
            ca_file=self.kafka_ca_file,
            cert_file=self.kafka_cert_file,
            key_file=self.kafka_key_file,
        )

    def redis(self) -> RedisConnection:
        """The cache; raises SettingsError when none is known."""
        if self.redis_url is None:
            raise SettingsError(self._no_address("Redis", "ZHIDA_REDIS_URL=redis://host:port/0"))
        url, password = self.redis_url.get_secret_value(), self._secret("redis_password")
        if password:
            parts = urlsplit(url)
            place = parts.netloc.rpartition("@")[2]
            login = f"{quote(self.redis_username, safe='')}:{quote(password, safe='')}"
            url = urlunsplit(parts._replace(netloc=f"{login}@{place}"))
        return RedisConnection(url=url, ca_file=self.redis_ca_file)

    def clickhouse(self) -> ClickHouseConnection:
        """The credit store: chDB in the embedded profile unless a host is named; raises SettingsError."""
        if self.clickhouse_host is None:
            if self.profile == "cluster":
                raise SettingsError(self._no_address("ClickHouse", "ZHIDA_CLICKHOUSE_HOST=host"))
            return ClickHouseConnection(path=self.data_dir / "embedded" / "chdb", database=self.clickhouse_database)
        return ClickHouseConnection(
            host=self.clickhouse_host,
            port=self.clickhouse_port,
            username=self.clickhouse_username,
            password=self._secret("clickhouse_password"),
            database=self.clickhouse_database,
            secure=self.clickhouse_secure,
            ca_file=self.clickhouse_ca_file,
        )

    def registry(self) -> RegistryConnection:
        """The schema registry: the given one, else ours; raises SettingsError."""
        token = self._secret("registry_token")
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise SettingsError("ZHIDA_REGISTRY_TOKEN must be printable ASCII characters without spaces")
        return RegistryConnection(
            url=self.registry_url or _reached_at(self.registry_host, self.registry_port),
            username=self.registry_username,
            password=self._secret("registry_password"),
            ca_file=self.registry_ca_file,
            token=token,
        )

    @property
    def api_url(self) -> str:
        """Where the query API and the live page answer."""
        return _reached_at(self.api_host, self.api_port)

    def pii_key(self) -> bytes:
        """The key (32 to 64 bytes) of the keyed hash of personal identifiers; raises SettingsError."""
        text = self._secret("pii_key") or self._made_once("pii.key", "ZHIDA_PII_KEY")
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if not 32 <= len(key) <= 64:
            raise SettingsError("ZHIDA_PII_KEY must be 64 to 128 hex digits; make one with: openssl rand -hex 32")
        return key

    def api_token(self) -> str:
        """The bearer token of the API; raises SettingsError."""
        token = self._secret("api_token") or self._made_once("api.token", "ZHIDA_API_TOKEN")
        if len(token) < 24 or not token.isascii() or not token.isprintable() or " " in token:
            raise SettingsError("ZHIDA_API_TOKEN must be at least 24 printable ASCII characters without spaces")
        return token

    def topic_config(self, kind: TopicKind) -> dict[str, str]:
        """The broker's configuration of a topic of this kind."""
        days: int = getattr(self, f"{kind}_retention_days")
        return {
            "retention.ms": str(days * 86_400_000),
            "max.message.bytes": str(self.max_message_bytes),
            "min.insync.replicas": str(self.min_insync_replicas),
        }

    def updated(self, values: dict[str, Any]) -> Settings:
        """A copy with trusted *values* (plain text for secrets and paths) over every other source."""
        converted = dict(values)
        for name, value in values.items():
            annotation = str(Settings.model_fields[name].annotation)
            if isinstance(value, str) and "SecretStr" in annotation:
                converted[name] = SecretStr(value)
            elif isinstance(value, str) and "Path" in annotation:
                converted[name] = Path(value)
        return self.model_copy(update=converted)

    def environment(self) -> dict[str, str]:
        """Variables that give a child process exactly these settings; holds secrets, so pass it on, never log it."""
        variables: dict[str, str] = {}
        for name, info in Settings.model_fields.items():
            value = getattr(self, name)
            if value is not None and value != info.default:
                text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
                variables[variable_name(name, info)] = text
        return variables

    def _secret(self, name: str) -> str:
        """The secret *name* from its variable or its file; "" where neither is set."""
        value: SecretStr | None = getattr(self, f"{name}_text" if hasattr(self, f"{name}_text") else name)
        path: Path | None = getattr(self, f"{name}_file")
        if value is not None:
            return value.get_secret_value()
        try:
            return read_secret(path) if path else ""
        except SecretFileError as error:
            raise SettingsError(f"{PREFIX}{name.upper()}_FILE: {error}") from None

    def _made_once(self, file_name: str, variable: str) -> str:
        if self.profile == "cluster":
            raise SettingsError(
                f"the cluster profile needs {variable} or {variable}_FILE; make one: openssl rand -hex 32"
            )
        try:
            return create_secret(self.data_dir / "secrets" / file_name)
        except SecretFileError as error:
            raise SettingsError(str(error)) from None

    def _no_address(self, engine: str, example: str) -> str:
        start = f"start one with: zhida stack up; or set {example}" if self.profile == "embedded" else f"set {example}"
        return f"no address for {engine} (data_dir {self.data_dir}): {start}"


def _reached_at(host: str, port: int) -> str:
    """The URL of a server of ours; one that listens on every interface is reached on this machine."""
    return f"http://{'127.0.0.1' if host in {'0.0.0.0', '::'} else host}:{port}"  # noqa: S104


def all_variables() -> dict[str, FieldInfo]:
    """Every environment variable with its field, in order of the class."""
    return {variable_name(name, info): info for name, info in Settings.model_fields.items()}
