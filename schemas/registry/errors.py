"""The protocol's errors: HTTP status, five-digit code and message, as Confluent's registry gives them."""

from __future__ import annotations


class RegistryError(Exception):
    """An answer that is not a success: *status* is the HTTP status, *code* the protocol's ``error_code``."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def subject_not_found(subject: str) -> RegistryError:
    """40401."""
    return RegistryError(404, 40401, f"Subject '{subject}' not found.")


def version_not_found(version: int | str) -> RegistryError:
    """40402."""
    return RegistryError(404, 40402, f"Version {version} not found.")


def schema_not_found(schema_id: int | None = None) -> RegistryError:
    """40403."""
    return RegistryError(404, 40403, "Schema not found" if schema_id is None else f"Schema {schema_id} not found")


def subject_soft_deleted(subject: str) -> RegistryError:
    """40404."""
    return RegistryError(404, 40404, f"Subject '{subject}' was soft deleted. Set permanent=true to delete permanently")


def subject_not_soft_deleted(subject: str) -> RegistryError:
    """40405."""
    return RegistryError(404, 40405, f"Subject '{subject}' was not deleted first before being permanently deleted")


def version_soft_deleted(subject: str, version: int) -> RegistryError:
    """40406."""
    return RegistryError(
        404, 40406, f"Subject '{subject}' Version {version} was soft deleted. Set permanent=true to delete permanently"
    )


def version_not_soft_deleted(subject: str, version: int) -> RegistryError:
    """40407."""
    return RegistryError(
        404, 40407, f"Subject '{subject}' Version {version} was not deleted first before being permanently deleted"
    )


def compatibility_not_configured(subject: str) -> RegistryError:
    """40408."""
    return RegistryError(404, 40408, f"Subject '{subject}' does not have subject-level compatibility configured")


def mode_not_configured(subject: str) -> RegistryError:
    """40409."""
    return RegistryError(404, 40409, f"Subject '{subject}' does not have subject-level mode configured")


def incompatible(message: str) -> RegistryError:
    """409."""
    return RegistryError(409, 409, message)


def malformed(message: str) -> RegistryError:
    """400: the body is not what the protocol sends."""
    return RegistryError(400, 400, message)


def unprocessable(message: str) -> RegistryError:
    """422: JSON of the wrong shape, such as an unknown field."""
    return RegistryError(422, 422, message)


def invalid_schema(message: str) -> RegistryError:
    """42201."""
    return RegistryError(422, 42201, message)


def invalid_version(version: str) -> RegistryError:
    """42202."""
    return RegistryError(
        422,
        42202,
        f"The specified version '{version[:64]}' is not a valid version id. "
        'Allowed values are between [1, 2^31-1] and the string "latest"',
    )


def invalid_level(level: object) -> RegistryError:
    """42203."""
    return RegistryError(
        422,
        42203,
        f"Invalid compatibility level {str(level)[:64]!r}. Valid values are none, backward, forward, full, "
        "backward_transitive, forward_transitive, and full_transitive",
    )


def invalid_mode(mode: object) -> RegistryError:
    """42204."""
    return RegistryError(
        422,
        42204,
        f"Invalid mode {str(mode)[:64]!r}. Valid values are READWRITE, READONLY, READONLY_OVERRIDE and IMPORT",
    )


def not_permitted(message: str) -> RegistryError:
    """42205."""
    return RegistryError(422, 42205, message)


def reference_exists(message: str) -> RegistryError:
    """42206."""
    return RegistryError(422, 42206, message)


def id_does_not_match(message: str) -> RegistryError:
    """42207."""
    return RegistryError(422, 42207, message)


def invalid_subject(subject: str) -> RegistryError:
    """42208."""
    return RegistryError(422, 42208, f"The specified subject '{subject[:64]}' is not a valid subject.")


def too_large(message: str) -> RegistryError:
    """42209."""
    return RegistryError(422, 42209, message)


def invalid_rule_set(message: str) -> RegistryError:
    """42210."""
    return RegistryError(422, 42210, message)


def store_failed(message: str) -> RegistryError:
    """50001: the log could not be written."""
    return RegistryError(500, 50001, message)


def timed_out(message: str) -> RegistryError:
    """50002: the log was not written, or not read back, in time."""
    return RegistryError(500, 50002, message)
