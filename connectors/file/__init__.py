"""The file reporter: CSV or JSON lines → Avro → ``zhida.report.<dataset>``.

It sends each row that the catalog's types can hold, whole and in order, and waits for the broker to confirm it; a row
that they cannot hold is not sent but listed with line, column, value and reason. It does not judge content (that is
govern's work) and does not read Excel workbooks.
"""

from __future__ import annotations

from dataclasses import asdict

from connectors.base import Connector, Emit, Wiring
from connectors.file.config import FileReport
from connectors.file.report import Counts, Watch, report_file
from connectors.file.rows import Problem, Refusal

__all__ = ["CONNECTOR", "Counts", "FileReport", "Problem", "Refusal", "Watch", "report_file"]


def _run(config: FileReport, wiring: Wiring, emit: Emit) -> bool:
    def refused(refusal: Refusal) -> None:
        emit(
            {
                "event": "refused",
                "line": refusal.line,
                "problems": [asdict(problem) for problem in refusal.problems],
            }
        )

    counts = report_file(config, wiring, Watch(refused=refused))
    emit({"event": "summary", **asdict(counts)})
    return counts.refused == 0


CONNECTOR = Connector(
    name="file",
    direction="in",
    zh="报送 CSV 或 JSON Lines 文件",
    en="Reports a file of CSV or JSON lines.",
    config=FileReport,
    run=_run,
)
