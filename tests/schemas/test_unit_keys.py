"""Principals and public keys of units: which are usable, in which form they are kept, and that lint looks at them."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from catalog_folder import make_folder
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from schemas.documents import FaultError
from schemas.lint import lint
from schemas.unit_keys import is_principal, public_key_text

#: Of fixed secrets, as workers that run tests side by side must name them alike.
KEY = Ed25519PrivateKey.from_private_bytes(b"a secret of thirty-two bytes 123").public_key()
KEPT = base64.b64encode(KEY.public_bytes_raw()).decode()
FORM = PublicFormat.SubjectPublicKeyInfo
PEM = KEY.public_bytes(Encoding.PEM, FORM).decode()
DER = base64.b64encode(KEY.public_bytes(Encoding.DER, FORM)).decode()
ELLIPTIC = derive_private_key(7, SECP256R1()).public_key().public_bytes(Encoding.PEM, FORM).decode()


@pytest.mark.parametrize("text", [KEPT, DER, PEM, PEM.replace("\n", "\r\n"), f"  {KEPT[:20]}\n{KEPT[20:]} "])
def test_a_key_in_any_form_is_kept_in_one(text: str) -> None:
    assert public_key_text(text) == KEPT


@pytest.mark.parametrize(
    "text", ["", "密钥", KEPT[:-4], KEPT + "AAAA", PEM.replace("MC", "MD", 1), "-----BEGIN", ELLIPTIC]
)
def test_what_is_no_ed25519_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(FaultError) as caught:
        public_key_text(text)
    assert not text or text not in str(caught.value) + caught.value.zh


@pytest.mark.parametrize(("text", "usable"), [
    ("User:u-1132", True), ("User:CN=unit,O=x", True),
    ("u-1132", False), ("User:", False), ("User:*", False), ("User:ANONYMOUS", False), ("User:a b", False), ("", False),
])  # fmt: skip
def test_a_principal_is_one_client_by_name(text: str, usable: bool) -> None:
    assert is_principal(text) is usable


def test_lint_looks_at_the_principals_and_keys_of_units(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    (folder / "data" / "units.csv").write_text(
        "code,name,region,level,line,principal,public_key\n"
        f"11320000014000028X,江苏省甲厅,320000,province,甲,User:same,{KEPT}\n"
        f"11320100014001004U,苏州市甲局,320500,city,甲,User:same,{KEPT}\n"
        "11320500014205015N,苏州市乙局,320500,city,甲,User:*,abc\n"
        "11320506014000018L,吴中区甲局,320506,county,甲,,\n",
        encoding="utf-8",
    )
    found = [(one.line, one.en.partition(" ")[0]) for one in lint(folder).problems if one.file.endswith("units.csv")]
    assert sorted(found) == [(3, "principal"), (3, "public_key"), (4, "a"), (4, "public")]
