"""Passwords that the machine chooses, kept as scrypt hashes in one file that only the hub can read.

Chosen by people they would be guessed; of these there are 10^15, and a guess costs 0.05 s.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from pathlib import Path

from torchgrade.errors import CourseError
from torchgrade.hub.class_file import read_class
from torchgrade.hub.place import Place, private_folder, write_private

COST = {"n": 1 << 14, "r": 8, "p": 1}
NOBODY = (b"\0" * 16, b"\0" * 32)  # checked for an unknown name, so that it takes as long as a known one


def new_password() -> str:
    """As `bapo-kize-luda-mero`: easy to type, easy to read out."""
    syllables = [secrets.choice("bdfghjklmnprstz") + secrets.choice("aeiou") for _ in range(8)]
    return "-".join(a + b for a, b in zip(syllables[::2], syllables[1::2], strict=True))


def give_passwords(path: Path, names: Iterable[str]) -> dict[str, str]:
    """New passwords for `names`, in plain text: this is the only time that they are known. Others' stay."""
    given = {name: new_password() for name in names}
    records = _read(path) if path.exists() else {}
    for name, password in given.items():
        salt = secrets.token_bytes(16)
        records[name] = salt, _hash(password, salt)
    private_folder(path.parent)
    write_private(path, "".join(f"{name}:{salt.hex()}:{key.hex()}\n" for name, (salt, key) in records.items()))
    return given


def names_with_password(path: Path) -> set[str]:
    return set(_read(path)) if path.exists() else set()


def is_right(path: Path, name: str, password: str) -> bool:
    """Takes 0.05 s of a core, whoever is asked for: call it in a thread."""
    salt, key = (_read(path) if path.exists() else {}).get(name, NOBODY)
    return hmac.compare_digest(_hash(password, salt), key)


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode("utf8", "surrogatepass"), salt=salt, dklen=32, **COST)


def _read(path: Path) -> dict[str, tuple[bytes, bytes]]:
    records = {}
    for number, line in enumerate(path.read_text(encoding="utf8").splitlines(), 1):
        try:
            name, salt, key = line.split(":")
            records[name] = bytes.fromhex(salt), bytes.fromhex(key)
        except ValueError:
            raise CourseError(
                "this line is no password.",
                where=f"{path}:{number}",
                remedy="Remove it, then give new ones: torchgrade hub passwords",
            ) from None
    return records


def run(course: Path, names: list[str]) -> int:
    description = read_class(course / "hub_config")
    path = Place.of(course, description).passwords
    everybody = {person.name for person in description.people}
    if strangers := set(names) - everybody:
        raise CourseError(
            f"{', '.join(sorted(strangers))}: not in the roster.", remedy="Add a line to roster.csv first."
        )
    if not path.parent.is_dir():
        raise CourseError("there is no hub yet.", where=path.parent, remedy="Run as root: torchgrade hub prepare")
    given = give_passwords(path, sorted(names or everybody - names_with_password(path)))
    for name, password in given.items():
        print(f"{name:<31} {password}")
    if not given:
        print("Everybody has a password. Name those who need a new one.")
    return 0
