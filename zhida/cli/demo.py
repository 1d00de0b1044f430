"""演示：报送样例省、核对全部结果、继续服务。The whole way of a sample province's records, checked to the last field."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zhida.cli._console import console, print_json, table
from zhida.cli._wiring import load_settings
from zhida.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from zhida.platform import Platform
    from zhida.sample.verify import VerificationReport

_LOOK_SECONDS = 0.3


def command(
    records: Annotated[int, typer.Option("--records", "-n", min=1, help="消息数。Messages.")] = 100_000,
    seed: Annotated[int, typer.Option(help="随机种子。Seed of the sample.")] = 1,
    rate: Annotated[float | None, typer.Option(min=1, help="每秒条数，缺省为全速。Messages a second.")] = None,
    real: Annotated[bool, typer.Option("--real", help="Apache Kafka 4、ClickHouse 服务端、Redis。")] = False,
    brokers: Annotated[int, typer.Option(help="Kafka 节点数：1 或 3（需 --real）。1 or 3 nodes.")] = 1,
    exit_after: Annotated[bool, typer.Option("--exit", help="核对后退出。End after the summary.")] = False,
    json: Annotated[bool, typer.Option("--json", help="结果输出为 JSON。The result as JSON.")] = False,
) -> None:
    """启动平台，报送样例，逐条核对，然后继续服务直到 Ctrl-C。Start, report, compare with the oracle, keep serving.

    例 Examples: zhida demo; zhida demo --exit --records 20000; zhida demo --real --brokers 3

    退出码 Exit codes: 0 全部一致 all as the oracle says; 1 有差异或启动失败 something differs, or it did not start;
    130 中途取消 cancelled.
    """
    from zhida.stack.errors import StartInterrupted
    from zhida.stack.signals import stop_signals

    with stop_signals() as stop_asked:
        try:
            report = _run(records, seed, rate, real, brokers, exit_after, json, stop_asked)
        except StartInterrupted:
            console(stderr=True).print("已取消，没有留下任何进程。Cancelled; nothing is left running.")
            raise typer.Exit(ExitCode.INTERRUPTED) from None
    raise typer.Exit(ExitCode.OK if report.ok else ExitCode.FAILED)


def _run(
    records: int, seed: int, rate: float | None, real: bool, brokers: int, exit_after: bool, json: bool, stop_asked: Any
) -> VerificationReport:
    from contextlib import closing
    from datetime import UTC, datetime, timedelta

    from streams.state.due import DueList
    from zhida.demo import LiveFigures, check, drain, fresh_folder, prepare, report_sample
    from zhida.platform import start_platform
    from zhida.stack.errors import StartInterrupted

    out = console(stderr=True)
    settings = fresh_folder(load_settings())
    today = (datetime.now(UTC) + timedelta(hours=8)).date()
    began = time.monotonic()
    with _bar(out, "生成样例 making the sample", records) as advance:

        def made(count: int) -> None:
            if stop_asked():
                raise StartInterrupted("stopped while making the sample")
            advance(count)

        prepared = prepare(settings, records, seed, today, made)
    out.print(f"样例 sample: {len(prepared.messages):,} 条消息 messages, {len(prepared.units):,} 个单位 units")

    def say(line: str) -> None:
        out.print(line, soft_wrap=True)

    platform = start_platform(
        settings, real=real, brokers=brokers, units=prepared.units, report=say, interrupted=stop_asked
    )
    with platform:
        started = time.monotonic()
        figures = LiveFigures(platform.settings)
        figures.start()
        due = DueList(platform.settings.redis())
        with closing(due), _Progress(out, figures, len(prepared.messages), due.size) as progress:

            def tick(*_: int) -> None:
                if stop_asked():
                    raise StartInterrupted("stopped while reporting")
                platform.watch()
                progress.refresh()

            placements = report_sample(platform.settings, prepared.messages, rate, progress.reported(tick))
            drain(platform.settings, tick)
            drained = time.monotonic()
        figures.stop()
        report = check(platform, prepared, placements)
        _summary(report, json, out, len(prepared.messages), started - began, drained - started)
        if not exit_after:
            _serve(platform, say, stop_asked)
    return report


def _bar(out: Any, title: str, total: int) -> Any:
    from contextlib import contextmanager

    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    @contextmanager
    def shown() -> Any:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,}"), TimeElapsedColumn())
        with Progress(*columns, console=out) as bar:
            task = bar.add_task(title, total=total)
            yield lambda done: bar.update(task, completed=done)
            bar.update(task, completed=total)

    return shown()


class _Progress:
    """The live figures: reported, verdicts, what waits to be judged again, records a second, latency."""

    def __init__(self, out: Any, figures: Any, total: int, due: Callable[[], int]) -> None:
        from rich.live import Live

        self._figures = figures
        self._due = due
        self._total = total
        self._sent = 0
        self._live = Live(console=out, refresh_per_second=4)

    def __enter__(self) -> _Progress:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.refresh()
        self._live.stop()

    def reported(self, tick: Any) -> Any:
        """A progress callback of the reporter."""

        def told(sent: int, delivered: int) -> None:
            self._sent = delivered
            tick()

        return told

    def refresh(self) -> None:
        """Show the newest figures."""
        latest = self._figures.latest
        totals = latest.get("totals") or {}
        rates = (latest.get("rate") or {}).get("values") or [0]
        latency = latest.get("latency") or {}
        view = table("", ">", title=None)
        view.show_header = False
        view.add_row("已报送 reported", f"{self._sent:,} / {self._total:,}")
        for verdict, label in (
            ("accepted", "通过 accepted"),
            ("suspect", "其中疑问 of them suspect"),
            ("rejected", "退回 rejected"),
            ("quarantined", "隔离 quarantined"),
        ):
            view.add_row(label, f"{totals.get(verdict, 0):,}")
        view.add_row("待复核 to be judged again", self._waiting())
        view.add_row("每秒治理 records/s", f"{max(rates[-5:]):,}")
        view.add_row("反馈时延 feedback latency p50 / p99", f"{_last(latency, 'p50')} / {_last(latency, 'p99')}")
        self._live.update(view)

    def _waiting(self) -> str:
        from streams.state.errors import StateError

        try:
            return f"{self._due():,}"
        except StateError:
            return "–"


def _last(latency: dict[str, Any], name: str) -> str:
    values = [value for value in latency.get(name) or [] if value is not None]
    return f"{values[-1]:,.0f} ms" if values else "–"


def _summary(
    report: VerificationReport, json: bool, out: Any, messages: int, start_seconds: float, way_seconds: float
) -> None:
    if json:
        figures = {"messages": messages, "start_seconds": start_seconds, "way_seconds": way_seconds}
        print_json(report.as_dict() | figures)
        return
    view = table(
        "核对 check",
        ">应有 expected",
        ">实有 actual",
        ">差异 differences",
        "结果 result",
        title="与标准答案核对 Compared with the oracle",
    )
    for item in report.checks:
        result = "一致 ok" if item.ok else "不一致 differs"
        name = f"{item.name_zh}\n{item.name_en}"
        view.add_row(
            name,
            f"{item.expected:,}",
            f"{item.actual:,}",
            f"{item.differences:,}",
            result,
            style="" if item.ok else "red",
        )
    shown = console()
    shown.print(view)
    for item in report.checks:
        for sample in item.samples:
            shown.print(f"{item.code}: {sample}", style="red", soft_wrap=True)
    out.print(f"{messages:,} 条消息从报送到可查询用时 seconds from report to query: {way_seconds:.1f}")


def _serve(platform: Platform, say: Any, stop_asked: Any) -> None:
    settings = platform.settings
    say(f"看板 Live page: {settings.api_url}/live?token={settings.api_token()}")
    say(f"查询 Query: ZHIDA_DATA_DIR={settings.data_dir} zhida subject show <统一社会信用代码 USCC>")
    say("按 Ctrl-C 停止。Ctrl-C stops everything.")
    while not stop_asked():
        platform.watch()
        time.sleep(_LOOK_SECONDS)
