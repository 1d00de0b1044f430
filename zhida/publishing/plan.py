"""What a publish would change: every step, and everything that forbids it, found before anything is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from rules.contract import contract_rule_set
from schemas.catalog import Catalog
from schemas.diff import compare
from schemas.numbered import NumberedError
from schemas.registry.client import RegistryClient
from schemas.topics import feedback_topic
from schemas.verdict import FEEDBACK_SCHEMA, FEEDBACK_SUBJECT
from sinks.base import MigrationError
from sinks.clickhouse.migrate import migrate_at, plan_after, planned
from streams.topic_admin import TopicAdmin, TopicSpec
from zhida.contracts import NOT_KEPT, look_up_contract, register_contract
from zhida.in_force import Known
from zhida.preparation import topic_specs
from zhida.publishing.announce import (
    NumberTakenError,
    announce_release,
    announce_rules,
    release_to_announce,
    rules_to_announce,
)
from zhida.settings import Settings
from zhida.source import Files

Kind = Literal["topic", "config", "schema", "clickhouse", "rules", "catalog"]
#: In this order: what must be there first; the announcement; what the workers do when they see it; and what units may
#: only see when all workers have followed.
Stage = Literal["prepare", "announce", "follow", "complete"]
_STAGES: tuple[Stage, ...] = ("prepare", "announce", "follow", "complete")


@dataclass(frozen=True, slots=True)
class Step:
    """One change. ``run`` is None where the workers make it themselves when they see the announcement."""

    kind: Kind
    name: str
    zh: str
    en: str
    stage: Stage = "prepare"
    details: tuple[str, ...] = ()
    run: Callable[[], object] | None = field(default=None, repr=False)

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"kind": self.kind, "name": self.name, "zh": self.zh, "en": self.en, "details": list(self.details)}


@dataclass(slots=True)
class Plan:
    """The steps in their order; with ``refused`` (Chinese, English) there is something that forbids all of them."""

    #: Of the release and the rule set in force before and after.
    before: tuple[int, int]
    after: tuple[int, int]
    steps: list[Step] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)

    def stage(self, stage: Stage) -> list[Step]:
        """The steps of one stage."""
        return [step for step in self.steps if step.stage == stage]


def make_plan(
    settings: Settings, files: Files, known: Known, registry: RegistryClient, now_ms: int, *, allow_removal: bool
) -> Plan:
    """What must be done so that the platform follows *files*; changes nothing.

    Raises what the broker's, the registry's and the store's clients raise when they cannot be asked.
    """
    in_force = known.in_force()
    before = in_force.numbers if in_force else (0, 0)
    plan = Plan(before, before)
    _compare(plan, in_force.release.catalog if in_force else None, files.release.catalog, allow_removal)
    _topics(plan, settings, files.release.catalog)
    _store(plan, settings, files.release.catalog, known)
    _schemas(plan, files, registry)
    _announcements(plan, settings, files, known, now_ms)
    plan.steps.sort(key=lambda step: _STAGES.index(step.stage))
    return plan


def _compare(plan: Plan, old: Catalog | None, new: Catalog, allow_removal: bool) -> None:
    for change in compare(old, new) if old is not None else ():
        if change.kind != "removed":
            plan.notes += [(f"{change.code}：{zh}", f"{change.code}: {en}") for zh, en in change.reasons]
            continue
        zh = f"文件中没有正在使用的数据集 {change.code}（{change.zh}）"
        en = f"dataset {change.code} is in force and not in the files"
        if allow_removal:
            plan.notes.append(
                (f"{zh}：不再读取其主题，数据保留", f"{en}: its topics are no longer read, what is stored stays")
            )
        else:
            plan.refused.append((f"{zh}；确要停用请加 --allow-removal", f"{en}; --allow-removal if it is to end"))


def _topics(plan: Plan, settings: Settings, catalog: Catalog) -> None:
    admin = TopicAdmin(settings.kafka(), replication=settings.replication_factor)
    specs = {spec.name: spec for spec in topic_specs(settings, catalog)}
    found = admin.describe(specs)
    for dataset in catalog:
        pair = (dataset.report_topic, dataset.accepted_topic)
        counts = {found[name].partitions for name in pair if name in found}
        if len(counts) > 1:
            plan.refused.append(
                (
                    f"{dataset.code} 的报送主题与入库主题分区数不同，须由管理员处理",
                    f"{' and '.join(pair)} have different numbers of partitions; a record keeps its partition",
                )
            )
        elif counts and counts != {settings.partitions}:
            (count,) = counts
            plan.notes.append(
                (
                    f"{dataset.code} 的主题有 {count} 个分区，设置为 {settings.partitions}；不改变，以免记录次序错乱",
                    f"the topics of {dataset.code} have {count} partitions, the setting says {settings.partitions}; "
                    "they stay, as keys would move",
                )
            )
            # The half that is not there yet is made like the other.
            specs |= {name: replace(specs[name], partitions=count) for name in pair}
    missing = [spec for name, spec in specs.items() if name not in found]
    if missing and admin.brokers() < settings.replication_factor:
        plan.refused.append(
            (
                f"设置要求 {settings.replication_factor} 个副本，Kafka 只有 {admin.brokers()} 个节点",
                f"topics need {settings.replication_factor} brokers and there are {admin.brokers()}",
            )
        )
    plan.steps += [_create(admin, spec) for spec in missing]
    feedback = settings.topic_config("feedback")
    told = [name for name in admin.names() if name.startswith(feedback_topic(""))]
    specs |= {name: TopicSpec(name, 1, feedback) for name in told}
    plan.steps += _configs(admin, specs, found | admin.describe(told))


def _create(admin: TopicAdmin, spec: TopicSpec) -> Step:
    details = (f"partitions {spec.partitions}", *(f"{key}={value}" for key, value in sorted(spec.config.items())))
    return Step("topic", spec.name, "创建主题", "create the topic", details=details, run=lambda: admin.create([spec]))


def _configs(admin: TopicAdmin, specs: dict[str, TopicSpec], found: dict[str, Any]) -> Iterable[Step]:
    """One step for all topics that are to be changed in the same way."""
    changes: dict[tuple[tuple[str, str, str], ...], list[str]] = {}
    for name, topic in found.items():
        wanted = specs[name].config
        # What the broker does not tell cannot be compared.
        change = tuple(
            (key, topic.config[key], value)
            for key, value in sorted(wanted.items())
            if topic.config.get(key, value) != value
        )
        if change:
            changes.setdefault(change, []).append(name)
    for change, names in changes.items():
        said = tuple(f"{key} {old} → {new}" for key, old, new in change)
        more = f" (+{len(names) - 1})" if len(names) > 1 else ""
        config = {key: new for key, _, new in change}
        yield Step(
            "config",
            f"{names[0]}{more}",
            "修改主题设置",
            "change the topic's settings",
            details=said,
            run=lambda names=names, config=config: admin.change(names, config),  # type: ignore[misc]
        )


def _store(plan: Plan, settings: Settings, catalog: Catalog, known: Known) -> None:
    connection = settings.clickhouse()
    try:
        if connection.embedded:
            # Another process holds the store. It has what every release so far has asked for.
            statements = plan_after(connection.database, known.catalogs(), catalog)
        else:
            statements = planned(connection, catalog)
    except MigrationError as error:
        plan.refused.append((f"ClickHouse：{error}", f"ClickHouse: {error}"))
        return
    if not statements:
        return
    plan.steps.append(
        Step(
            "clickhouse",
            connection.database,
            "建表、加列" + ("（由服务进程执行）" if connection.embedded else ""),
            "create tables, add columns" + (" (by the service process)" if connection.embedded else ""),
            stage="follow" if connection.embedded else "prepare",
            details=tuple(statements),
            run=None if connection.embedded else lambda: migrate_at(connection, catalog),
        )
    )


def _schemas(plan: Plan, files: Files, registry: RegistryClient) -> None:
    wanted: list[tuple[str, dict[str, Any], dict[str, Any] | None]] = [(FEEDBACK_SUBJECT, FEEDBACK_SCHEMA, None)]
    wanted += [
        (dataset.subject_name, dataset.avro_schema, contract_rule_set(files.rule_set.dataset(dataset.code)))
        for dataset in files.release.catalog
    ]
    subjects = set(registry.subjects())
    contracts_kept = True
    for subject, schema, contract in wanted:
        found, kept = look_up_contract(registry, subject, schema, contract)
        contracts_kept = contracts_kept and kept
        if found is not None:
            continue
        answer = registry.compatible(subject, schema)
        if not answer:
            reasons = "; ".join(answer.messages) or "incompatible"
            plan.refused.append(
                (f"{subject} 与已注册的模式不兼容：{reasons}", f"{subject} is not compatible: {reasons}")
            )
            continue
        known = subject in subjects and registry.look_up(subject, schema) is not None
        zh, en = (
            ("更新数据契约中的规则", "renew the rules in the contract")
            if known
            else ("注册模式", "register the schema")
        )
        plan.steps.append(
            Step(
                "schema",
                subject,
                zh,
                en,
                # Nobody may send a new field before everybody can store it.
                stage="complete" if subject in subjects else "prepare",
                run=lambda subject=subject, schema=schema, contract=contract: register_contract(  # type: ignore[misc]
                    registry, subject, schema, contract
                ),
            )
        )
    if not contracts_kept:
        plan.notes.append(NOT_KEPT)


def _announcements(plan: Plan, settings: Settings, files: Files, known: Known, now_ms: int) -> None:
    kafka = settings.kafka()
    try:
        rules, release = rules_to_announce(files, known), release_to_announce(files, known)
        catalog = release.number if release is not None else plan.before[0]
        number = rules.number if rules is not None else known.highest_rules
        for document in (rules, release):
            if document is not None:
                document.encode()
    except NumberTakenError as error:
        zh = f"规则与已发布的第 {error.highest} 号不同，而编号仍为 {error.number}"
        plan.refused.append((f"{zh}；请把 _library.yaml 中的 number 改为 {error.highest + 1}", str(error)))
        return
    except NumberedError as error:
        plan.refused.append((f"内容过大：{error}", str(error)))
        return
    plan.after = (catalog, number)
    if rules is not None:
        plan.steps.append(
            Step(
                "rules",
                f"{plan.before[1]} → {rules.number}",
                f"发布规则库 {files.rule_set.version}，{len(files.rule_set)} 条规则",
                f"announce rule set {files.rule_set.version}, {len(files.rule_set)} rules",
                stage="announce",
                run=lambda: announce_rules(kafka, rules, catalog, known, now_ms),
            )
        )
    if release is not None:
        plan.steps.append(
            Step(
                "catalog",
                f"{plan.before[0]} → {release.number}",
                f"发布目录，{len(release.catalog)} 个数据集，{len(release.units)} 个单位",
                f"announce the catalog, {len(release.catalog)} datasets, {len(release.units)} units",
                stage="announce",
                run=lambda: announce_release(kafka, release, known, now_ms),
            )
        )
