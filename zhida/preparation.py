"""What must be there before records flow: topics, registered schemas, and something in force. Idempotent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from rules.contract import contract_rule_set
from rules.document import RuleDocument
from rules.errors import RuleError
from rules.ruleset import LIBRARY_DIR, RuleSet
from schemas.catalog import Catalog, Dataset
from schemas.registry.client import RegistryClient
from schemas.topics import QUARANTINE_TOPIC, REJECTED_TOPIC, feedback_topic
from schemas.verdict import FEEDBACK_SCHEMA, FEEDBACK_SUBJECT
from streams.topic_admin import TopicAdmin, TopicSpec
from zhida.contracts import NOT_KEPT, register_contract
from zhida.errors import UserError
from zhida.in_force import InForce, Known, read_known
from zhida.publishing.announce import (
    ConflictError,
    NumberTakenError,
    announce,
    release_to_announce,
    rules_to_announce,
)
from zhida.settings import Settings
from zhida.source import Files, FilesError, load_catalog, load_files, load_release

#: Schemas that are registered side by side: the registry writes what waits together in one transaction.
_AT_ONCE = 16


def topic_specs(settings: Settings, catalog: Catalog, units: Iterable[str] = ()) -> list[TopicSpec]:
    """Every topic that *catalog* needs, and the feedback topics of *units*."""
    partitions = settings.partitions
    report, accepted = settings.topic_config("report"), settings.topic_config("accepted")
    specs = [TopicSpec(dataset.report_topic, partitions, report) for dataset in catalog]
    specs += [TopicSpec(dataset.accepted_topic, partitions, accepted) for dataset in catalog]
    specs.append(TopicSpec(REJECTED_TOPIC, partitions, settings.topic_config("rejected")))
    specs.append(TopicSpec(QUARANTINE_TOPIC, partitions, settings.topic_config("quarantine")))
    feedback = settings.topic_config("feedback")
    return specs + [TopicSpec(feedback_topic(unit), 1, feedback) for unit in units]


def create_topics(settings: Settings, units: Iterable[str] = (), catalog: Catalog | None = None) -> None:
    """Create every topic of *catalog* (default: as the files say) and of *units* that does not exist yet."""
    specs = topic_specs(settings, catalog or load_catalog(settings), units)
    TopicAdmin(settings.kafka(), replication=settings.replication_factor).create(specs)


def register_schemas(
    settings: Settings,
    catalog: Catalog | None = None,
    rules: RuleSet | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, int]:
    """Register the schemas of all datasets and of feedback; the schema ids by dataset code.

    With *rules* each dataset's rules go into the contract that clients read beside the schema; *report* is told when
    the registry keeps no such thing. Raises RegistryClientError.
    """
    datasets = list(catalog or load_catalog(settings))

    with RegistryClient(settings.registry()) as registry, ThreadPoolExecutor(_AT_ONCE) as pool:

        def register(dataset: Dataset) -> int:
            contract = contract_rule_set(rules.dataset(dataset.code)) if rules else None
            return register_contract(registry, dataset.subject_name, dataset.avro_schema, contract)

        registry.register(FEEDBACK_SUBJECT, FEEDBACK_SCHEMA)
        ids = list(pool.map(register, datasets))
        if rules and datasets and registry.latest(datasets[0].subject_name).rule_set is None:
            report("。".join(NOT_KEPT))
        return {dataset.code: schema_id for dataset, schema_id in zip(datasets, ids, strict=True)}


def register_in_force(settings: Settings, in_force: InForce, report: Callable[[str], None] = lambda _: None) -> None:
    """Register what a catalog in force needs; one whose publisher died in between gets what it lacks."""
    catalog = in_force.release.catalog
    register_schemas(settings, catalog, RuleSet.from_document(in_force.rules, catalog), report)


def ensure_in_force(settings: Settings, report: Callable[[str], None] = lambda _: None) -> InForce:
    """What is in force; where nothing has ever been published, the files are, as number 1, with their topics.

    Says through *report* when the files differ from what is in force. Raises AnnouncementError, and UserError for
    files that cannot be published.
    """
    known = read_known(settings.kafka())
    in_force = known.in_force()
    if in_force is not None:
        _tell_difference(settings, known, in_force.release.number, report)
        return in_force
    if known.highest_release:
        raise UserError(
            "已发布的目录都不能使用：" + "；".join(known.broken.values()),
            "no announced catalog can be used: " + "; ".join(known.broken.values()),
            "zhida catalog publish",
        )
    files = _files(settings)
    create_topics(settings, catalog=files.release.catalog)
    first = _publish_first(settings, files, known)
    report(f"目录 catalog 1，规则库 rule set {first.rules.number}：由文件首次发布 published from the files")
    return first


def _publish_first(settings: Settings, files: Files, known: Known) -> InForce:
    try:
        return announce(settings.kafka(), files, known, time.time_ns() // 1_000_000)
    except ConflictError:
        # Another process that starts at the same moment was faster: what it published is in force.
        in_force = read_known(settings.kafka()).in_force()
        if in_force is None:
            raise
        return in_force


def _files(settings: Settings) -> Files:
    try:
        return load_files(settings)
    except FilesError as error:
        raise files_refused(error) from error


def files_refused(error: FilesError) -> UserError:
    """For people: the files cannot be published, and every reason."""
    shown = "\n".join(error.problems)
    return UserError(
        f"目录或规则文件有误：\n{shown}", "the files of the catalog or the rules are wrong", "zhida rules lint"
    )


def compare_files(settings: Settings, known: Known) -> tuple[Literal["same", "differ", "wrong"], str]:
    """Whether the files say what is in force, and what is wrong with them where they say nothing."""
    in_force = known.in_force()
    try:
        if in_force is not None:
            rules = RuleDocument.read(settings.rules_dir or LIBRARY_DIR)
            same = load_release(settings).digest == in_force.release.digest and rules.digest == in_force.rules.digest
            if same:
                return "same", ""
        files = load_files(settings)
        changed = rules_to_announce(files, known) or release_to_announce(files, known)
    except FilesError as error:
        return "wrong", error.problems[0]
    except RuleError as error:
        return "wrong", error.problems[0]
    except NumberTakenError:
        return "differ", ""
    return ("same" if changed is None else "differ"), ""


def _tell_difference(settings: Settings, known: Known, number: int, report: Callable[[str], None]) -> None:
    state, reason = compare_files(settings, known)
    if state == "wrong":
        report(f"生效目录 catalog {number}；文件有误 the files are wrong: {reason}")
    elif state == "differ":
        report(
            f"文件与生效目录 {number} 不同，发布用 files differ from catalog {number} in force: zhida catalog publish"
        )
