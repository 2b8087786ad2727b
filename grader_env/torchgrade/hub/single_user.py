"""What happens when a person's server starts: the settings of their role, and a card if they chose one."""

import html
from pathlib import Path
from typing import Any

from jupyterhub import orm

from torchgrade.errors import CourseError
from torchgrade.hub import gpu
from torchgrade.hub.description import ClassDescription
from torchgrade.hub.place import Place
from torchgrade.hub.role_folders import Kind
from torchgrade.hub.roster_file import read_roster

CARD = "card"  # in the options that the hub keeps of a server, so that a restarted hub still counts it


class StartOfServers:
    """`before` and the form are given to JupyterHub."""

    def __init__(self, description: ClassDescription, place: Place, roster: Path, cards: gpu.Cards):
        self._description, self._place, self._roster = description, place, roster
        self._profiles = {profile.key: profile for profile in gpu.profiles(description.gpu, cards)}

    def before(self, spawner: Any) -> None:
        """Raises CourseError if the card that they chose is not free; the hub shows its text to the person."""
        try:
            self._prepare(spawner)
        except CourseError as error:
            # The hub shows nothing of an error but what it finds under this name.
            error.jupyterhub_message = str(error)  # type: ignore[attr-defined]
            raise

    def _prepare(self, spawner: Any) -> None:
        staff = {person.name for person in read_roster(self._roster) if person.role.is_staff}
        kind = Kind.STAFF if spawner.user.name in staff else Kind.STUDENT
        spawner.environment |= {
            "JUPYTER_CONFIG_PATH": str(self._place.jupyter / kind),
            "OMP_NUM_THREADS": str(max(1, int(self._description.limits.cores))),
            "CUDA_VISIBLE_DEVICES": self._card(spawner),
        }

    def form(self) -> str:
        """Empty if there is nothing to choose; then the server starts at once."""
        if len(self._profiles) < 2:
            return ""
        options = "".join(
            f'<option value="{profile.key}">{html.escape(profile.label)}</option>'
            for profile in self._profiles.values()
        )
        return f'<label for="profile">Start with</label> <select name="profile" id="profile">{options}</select>'

    @staticmethod
    def options(form: dict[str, list[str]], *_: Any) -> dict[str, str]:
        return {"profile": form.get("profile", ["cpu"])[0]}

    def _card(self, spawner: Any) -> str:
        wanted = spawner.user_options.get("profile", "cpu")
        if wanted not in self._profiles:
            raise CourseError(f"there is no profile {wanted!r}.", remedy=f"Use one of {', '.join(self._profiles)}.")
        profile = self._profiles[wanted]
        if not profile.cards or self._description.gpu is None:
            return ""
        running = spawner.db.query(orm.Spawner).filter(orm.Spawner.server != None)  # noqa: E711  for SQL
        others = [server.user_options or {} for server in running if server is not spawner.orm_spawner]
        in_use = [options[CARD] for options in others if CARD in options]
        card = gpu.card_for(profile, in_use, self._description.gpu.students_per_card)
        spawner.user_options = spawner.orm_spawner.user_options = {"profile": wanted, CARD: card}
        return str(card)
