"""The verdict history by way of the query API: where the store is embedded, it alone can open it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from zhida.cli._api import ask
from zhida.cli._errors import as_user_error
from zhida.errors import ExitCode, UserError

if TYPE_CHECKING:
    from zhida.tracing import Place, Told

#: One row by its key: a service that takes longer is in trouble.
_SECONDS = 15.0


def stored_verdict(place: Place, purpose: str = "") -> Told | None:
    """What the history has on the message at *place*, None where nothing.

    *purpose* goes to the API's audit log. Raises UserError where the API cannot be asked: it is away, it refuses the
    token, or the token cannot be read here.
    """
    try:
        answer = ask("GET", f"/v1/verdicts/{place.id}", purpose=purpose, timeout=_SECONDS)
        return _told(place, answer)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            "查询接口的应答无法识别", "the answer of the query API makes no sense", "检查 check ZHIDA_API_PORT"
        ) from error
    except Exception as error:
        if isinstance(error, UserError) and error.exit_code == ExitCode.NOT_FOUND:
            return None
        known = as_user_error(error)
        if known is None or known is error:
            raise
        raise known from error


def _told(place: Place, answer: dict[str, Any]) -> Told:
    """The answer as it would be told by a topic; raises KeyError, TypeError or ValueError for anything else."""
    from schemas.verdict import Violation
    from zhida.tracing import VERDICT_HISTORY, Told

    if answer["feedback_id"] != place.id:
        raise ValueError("the answer is on another message")
    violations = tuple(Violation(**violation) for violation in answer["violations"])
    quarantined = answer["verdict"] == "quarantined" and violations
    return Told(
        topic=VERDICT_HISTORY,
        verdict=answer["verdict"],
        rule_set=str(answer["rule_set"]),
        schema_id=answer["schema_id"],
        reported_at=_milliseconds(answer["reported_at"]),
        governed_at=_milliseconds(answer["governed_at"]),
        violations=violations,
        unit=str(answer["unit"]["code"]),
        record_id=answer["record_id"],
        version=answer["version"],
        reason=violations[0].rule if quarantined else "",
        detail=violations[0].value if quarantined else "",
    )


def _milliseconds(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)
