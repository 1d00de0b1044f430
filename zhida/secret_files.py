"""Secrets in files: read one, or make one once with mode 0600."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


class SecretFileError(Exception):
    """A secret file cannot be read or made; the message names the file and never its content."""


def read_secret(path: Path) -> str:
    """The text of *path* without surrounding white space; raises SecretFileError where it is missing or empty."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretFileError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'not text'}") from None
    if not text:
        raise SecretFileError(f"{path} is empty")
    return text


def create_secret(path: Path) -> str:
    """The secret in *path*; the first caller makes it (32 random bytes in hex), whoever else calls at that moment."""
    if path.exists():
        return read_secret(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            # A link never replaces: of several processes at once exactly one makes the secret.
            path.hardlink_to(temporary)
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    except OSError as error:
        raise SecretFileError(f"{path} cannot be made: {error.strerror}") from None
    return read_secret(path)
