"""Where the hub keeps what: the folder of class.toml, with the same things in it in a demonstration and in real use."""

import os
import pwd
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from torchgrade.hub.description import ClassDescription, Isolation


@dataclass(frozen=True)
class Place:
    """`installation`: the course's repository, with .venv, which people run and nobody but its owner writes"""

    installation: Path
    folder: Path

    @classmethod
    def of(cls, installation: Path, description: ClassDescription) -> "Place":
        return cls(installation.resolve(), description.machine.folder.resolve())

    @property
    def hub_config(self) -> Path:
        return self.installation / "hub_config"

    @property
    def course(self) -> Path:
        """nbgrader's course root, the grader's alone: masters, gradebook, what was handed in."""
        return self.folder / "course"

    @property
    def exchange(self) -> Path:
        return self.folder / "exchange"

    @property
    def homes(self) -> Path:
        """Of a demonstration; unix users have their own."""
        return self.folder / "homes"

    @property
    def jupyter(self) -> Path:
        """Jupyter's configuration for each kind of server: a folder for students, one for staff, one for the grader."""
        return self.folder / "jupyter"

    @property
    def private(self) -> Path:
        """For the hub alone: database, passwords, tokens, logs."""
        return self.folder / "private"

    @property
    def database(self) -> Path:
        return self.private / "hub.sqlite"

    @property
    def passwords(self) -> Path:
        return self.private / "passwords"

    @property
    def sync_token(self) -> Path:
        return self.private / "sync-token"

    @property
    def log(self) -> Path:
        return self.private / "hub.log"

    def home(self, description: ClassDescription, name: str) -> Path | None:
        """None if there is no such unix user."""
        if description.machine.isolation is Isolation.NONE:
            return self.homes / name
        with suppress(KeyError):
            return Path(pwd.getpwnam(name).pw_dir)
        return None


def private_folder(path: Path) -> None:
    """Make `path` a folder that nobody else can enter."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else can read, at once or not at all."""
    part = path.with_name(f".{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf8") as stream:
        stream.write(text)
    os.replace(part, path)
