"""Who may log in: whoever stands in roster.csv now, with a password of ours."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from jupyterhub.auth import Authenticator

from torchgrade.errors import CourseError
from torchgrade.hub.passwords import is_right
from torchgrade.hub.roster_file import read_roster

# Hashing in the hub's own loop would hold up everybody: some four logins a second. A few threads also slow down
# whoever tries passwords.
HASHING = ThreadPoolExecutor(max_workers=2, thread_name_prefix="passwords")


class RosterAuthenticator(Authenticator):
    """`roster` and `passwords` are read at each login: a person who left is refused without a restart."""

    roster: Path
    passwords: Path

    async def authenticate(self, handler: Any, data: dict[str, str]) -> str | None:
        name, password = data["username"], data["password"]
        right = await asyncio.get_running_loop().run_in_executor(HASHING, is_right, self.passwords, name, password)
        return name if right else None

    def check_allowed(self, username: str, authentication: Any = None) -> bool:
        try:
            return username in {person.name for person in read_roster(self.roster)}
        except CourseError as error:
            self.log.error("%s Nobody can log in until then.", error)
            return False


def authenticator(roster: Path, passwords: Path) -> type[RosterAuthenticator]:
    """The class that JupyterHub makes its authenticator from."""
    return type("RosterAuthenticator", (RosterAuthenticator,), {"roster": roster, "passwords": passwords})
