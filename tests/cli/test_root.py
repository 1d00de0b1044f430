"""The command line itself: how commands are found, how errors are told, and what each command says of itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import zhida.cli
from zhida.cli import main
from zhida.cli._errors import report_error
from zhida.cli._root import Found, build_root, discover, load
from zhida.errors import ExitCode, UserError

CLI = Path(zhida.cli.__file__).parent
MODULES = discover(CLI)
#: Loaded in a service only: none of them may be needed to print help.
HEAVY = {"faust", "polars", "pyarrow", "fastapi", "confluent_kafka", "redis", "clickhouse_connect", "chdb", "httpx"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "zhida", *arguments]
    return subprocess.run(command, text=True, capture_output=True, timeout=60, cwd=CLI.parent.parent)


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    script = (
        "import sys; from zhida.cli import main\ntry: main(['--help'])\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, timeout=60)
    assert done.returncode == 0
    assert {found.name for found in MODULES} <= set(re.findall(r"\w+", done.stdout))
    assert not HEAVY & set(done.stderr.split())


@pytest.mark.parametrize("found", MODULES, ids=lambda found: found.name)
def test_every_command_has_a_line_of_help(found: Found) -> None:
    assert found.help
    load(found)


def verbs() -> list[list[str]]:
    listed = []
    for found in MODULES:
        command = load(found)
        names = getattr(command, "commands", {})
        listed += [[found.name, name] for name, verb in names.items() if not verb.hidden] or [[found.name]]
    return listed


@pytest.mark.parametrize("verb", verbs(), ids=" ".join)
def test_every_command_shows_an_example(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*verb, "--help"])
    assert caught.value.code == 0
    assert f"zhida {' '.join(verb)}" in " ".join(capsys.readouterr().out.split()).partition("Usage:")[2][10:]


def test_a_module_is_a_command_by_its_app_or_its_function_alone(tmp_path: Path) -> None:
    (tmp_path / "noun.py").write_text('"""名词。A noun.\n\nMore."""\nimport typer\napp = typer.Typer()\n')
    (tmp_path / "verb.py").write_text('"""动词。A verb."""\ndef command() -> None: ...\n')
    (tmp_path / "neither.py").write_text("x = 1\n")
    (tmp_path / "_helper.py").write_text("def command() -> None: ...\n")
    assert discover(tmp_path) == [Found("noun", "名词。A noun.", True), Found("verb", "动词。A verb.", False)]


def test_a_slip_in_a_command_s_name_is_answered_with_the_right_one() -> None:
    done = run("reprot")
    assert done.returncode == ExitCode.USAGE
    assert "report" in done.stderr


def test_an_expected_error_is_told_in_both_languages_with_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    code = report_error(UserError("坏了 [red]x[/]", "it broke", "修好它", ExitCode.UNREACHABLE))
    printed = capsys.readouterr().err
    assert code == 3
    assert all(words in printed for words in ("坏了 [red]x[/]", "it broke", "修好它"))


def test_an_unexpected_error_is_called_a_defect(capsys: pytest.CaptureFixture[str]) -> None:
    assert report_error(ZeroDivisionError("x")) == ExitCode.DEFECT
    assert "--debug" in capsys.readouterr().err


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise UserError("坏了", "it broke")

    monkeypatch.setattr("zhida.cli.build_root", lambda: lambda *_args, **_kwargs: broken())
    with pytest.raises(UserError):
        main(["report", "--debug"])
    with pytest.raises(SystemExit) as caught:
        main(["report"])
    assert caught.value.code == ExitCode.FAILED


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_root()(["--version"])
    assert re.fullmatch(r"zhida \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_logs_are_one_json_object_a_line_and_hold_no_secret_fields() -> None:
    script = (
        "import zhida.logging as z, structlog, logging\n"
        "z.configure(json=True)\n"
        "structlog.get_logger('a').info('A batch was sent.', records=3, token='s3cret', record={'a': 's3cret'})\n"
        "logging.getLogger('b').warning('Plain %s.', 'text')\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError: structlog.get_logger('c').exception('It broke.')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, timeout=60)
    import json

    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [event["event"] for event in events] == ["A batch was sent.", "Plain text.", "It broke."]
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["unit", "list", "--find", "南京市"], 0),
        (["unit", "list", "--region", "320100", "--limit", "2", "--json"], 0),
        (["unit", "show", "没有"], 4),
        (["catalog", "list"], 0),
        (["catalog", "show", "行政处罚"], 0),
        (["catalog", "show", "行政处法"], 2),
        (["catalog", "template", "legal_person"], 0),
        (["connector", "list"], 0),
        (["connector", "run", "none"], 2),
        (["connector", "run", "file", "--set", "x=1"], 2),
    ],
)
def test_what_needs_no_platform_works_without_one(
    arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == code
    printed = capsys.readouterr()
    assert printed.out or printed.err


def test_a_template_is_a_valid_header_for_its_own_dataset(tmp_path: Path) -> None:
    from connectors.file.header import Names, check_required, match_header
    from schemas.catalog import Catalog

    for dataset in Catalog.load():
        path = tmp_path / f"{dataset.code}.csv"
        with pytest.raises(SystemExit) as caught:
            main(["catalog", "template", dataset.code, "-o", str(path)])
        assert caught.value.code == 0
        header = match_header(path.read_text(encoding="utf-8-sig").strip().split(","), Names(dataset))
        check_required(header, dataset)
