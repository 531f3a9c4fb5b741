"""A module of hardware made of software (Debian's package softhsm2), for the tests of keys that never leave one.

A process initialises a PKCS#11 library once, so all tests of a process share one token, each with keys of its own
label.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from execlayer import Key
from execlayer._core import keccak256

FOLDERS = ("/usr/lib/softhsm", "/usr/lib64", "/usr/local/lib/softhsm", "/opt/homebrew/lib/softhsm")
"""Where .ci/softhsm finds or puts it."""

TOKEN, PIN = "execlayer", "123456"
SECP256K1 = bytes.fromhex("06052b8104000a")
"""The curve's object identifier, 1.3.132.0.10, as EC_PARAMS has it."""


@dataclass(frozen=True)
class Module:
    """The library, with its token and who opens it."""

    library: str

    def _session(self) -> Any:
        import pkcs11

        token = pkcs11.lib(self.library).get_token(token_label=TOKEN)
        try:
            return token.open(rw=True, user_pin=PIN)
        except pkcs11.UserAlreadyLoggedIn:
            return token.open(rw=True)

    def make(self, label: str) -> str:
        """Has it make a key; the key's address."""
        from pkcs11 import Attribute, KeyType

        with self._session() as session:
            curve = session.create_domain_parameters(KeyType.EC, {Attribute.EC_PARAMS: SECP256K1}, local=True)
            public, _ = curve.generate_keypair(store=True, label=label)
            # An octet string of the uncompressed point.
            point = bytes(public[Attribute.EC_POINT])[-64:]
        return "0x" + keccak256(point)[-20:].hex()

    def take(self, label: str, key: Key) -> None:
        """Gives it a key that others know too."""
        from pkcs11 import Attribute, KeyType, ObjectClass

        with self._session() as session:
            session.create_object(
                {
                    Attribute.CLASS: ObjectClass.PRIVATE_KEY,
                    Attribute.KEY_TYPE: KeyType.EC,
                    Attribute.EC_PARAMS: SECP256K1,
                    Attribute.VALUE: key.secret,
                    Attribute.LABEL: label,
                    Attribute.TOKEN: True,
                    Attribute.SIGN: True,
                }
            )


@cache
def _made() -> Module | str:
    """The module, or what is missing."""
    try:
        import pkcs11  # noqa: F401
    except ImportError:
        return "python-pkcs11"
    libraries = (Path(folder) / "libsofthsm2.so" for folder in FOLDERS)
    library = next((str(path) for path in libraries if path.exists()), None)
    if library is None:
        return "SoftHSM (Debian and Ubuntu: apt install softhsm2)"
    # It stays until the process ends: the library goes on using it.
    folder = Path(tempfile.mkdtemp(prefix="execlayer-softhsm-"))
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    command = ["softhsm2-util", "--init-token", "--free", "--label", TOKEN, "--so-pin", PIN, "--pin", PIN]
    subprocess.run(command, check=True, capture_output=True)
    return Module(library)


def module() -> Module:
    """It. Skips where there is none, or fails where CI wants there to be one."""
    made = _made()
    if isinstance(made, str):
        if os.environ.get("CI") == "true":
            pytest.fail(f"keys in hardware are not tested: {made} is missing")
        pytest.skip(f"keys in hardware are not tested: {made} is missing")
    return made
