"""What a unit is known by: the principal of its clients, and its Ed25519 public key.

Keys come as PEM or base64 and are kept as base64 of the 32 bytes of the key itself.
"""

from __future__ import annotations

import base64
import binascii
import re

from schemas.documents import FaultError

_RAW_BYTES = 32
_PRINCIPAL = re.compile(r"User:[!-~]{1,195}")
#: Principals that stand for everybody, or for nobody in particular.
_NOBODYS = frozenset({"User:*", "User:ANONYMOUS"})


def is_principal(text: str) -> bool:
    """True for the principal of one client, such as ``User:u-<code>``."""
    return _PRINCIPAL.fullmatch(text) is not None and text not in _NOBODYS


def public_key_text(text: str) -> str:
    """*text* (PEM, or base64 of the raw key or of its DER form) in the form in which it is kept.

    Raises FaultError, whose text never holds any of the key, for what is no Ed25519 public key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

    if "PRIVATE KEY" in text:
        raise FaultError(
            "这是私钥，绝不能离开本单位；请换用公钥", "this is a private key: it must never leave its unit"
        )
    try:
        if "-----BEGIN" in text:
            key = load_pem_public_key(text.strip().encode("ascii"))
        else:
            content = base64.b64decode("".join(text.split()), validate=True)
            raw = len(content) == _RAW_BYTES
            key = Ed25519PublicKey.from_public_bytes(content) if raw else load_der_public_key(content)
    except (ValueError, binascii.Error, UnicodeEncodeError):
        raise FaultError("不是 PEM 或 base64 形式的公钥", "neither PEM nor base64 of a public key") from None
    except UnsupportedAlgorithm:
        raise FaultError("不是 Ed25519 公钥", "not an Ed25519 key") from None
    if not isinstance(key, Ed25519PublicKey):
        raise FaultError("不是 Ed25519 公钥", "not an Ed25519 key")
    return base64.b64encode(key.public_bytes_raw()).decode("ascii")
