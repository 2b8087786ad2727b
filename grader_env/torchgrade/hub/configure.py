"""Give JupyterHub the class: what hub_config/jupyterhub_config.py calls."""

import os
import secrets
import sys
from pathlib import Path
from typing import Any

from jupyterhub.handlers import BaseHandler
from jupyterhub.utils import url_path_join

from torchgrade.errors import CourseError
from torchgrade.hub import access, gpu, proxy
from torchgrade.hub.authenticator import authenticator
from torchgrade.hub.class_file import ROSTER, read_class
from torchgrade.hub.description import ClassDescription
from torchgrade.hub.place import Place, private_folder, write_private
from torchgrade.hub.role_folders import write_role_folders
from torchgrade.hub.settings import settings
from torchgrade.hub.single_user import StartOfServers


def configure(c: Any, hub_config: Path) -> None:
    """c: JupyterHub's configuration object. What cannot work ends the hub with one line."""
    try:
        _configure(c, hub_config)
    except CourseError as error:
        sys.exit(f"hub: {error}")


def _configure(c: Any, hub_config: Path) -> None:
    description = read_class(hub_config)
    place = Place.of(hub_config.parent, description)
    roster = hub_config / ROSTER
    private_folder(place.private)
    write_role_folders(description, place)
    cards = gpu.split(description.gpu, gpu.count_cards() if description.gpu else 0)
    made = settings(description, place, as_root=os.geteuid() == 0, grading_cards=cards.grading)
    for name, traits in made.items():
        c[name].update(traits)
    starting = StartOfServers(description, place, roster, cards)
    c.Spawner.pre_spawn_hook = starting.before
    c.Spawner.options_form = starting.form()
    c.Spawner.options_from_form = starting.options
    c.ConfigurableHTTPProxy.command = proxy.command(place.installation)
    c.JupyterHub.authenticator_class = authenticator(roster, place.passwords)
    c.JupyterHub.default_url = _first_page(description)
    c.JupyterHub.extra_handlers = [(r"/(?:tree|notebooks|edit)/(.*)", _course_files(description.course))]
    c.Authenticator.allowed_users = {person.name for person in description.people}
    for service in c.JupyterHub.services:
        if service["name"] == "roster-sync":
            service["api_token"] = sync_token(place)


def sync_token(place: Place) -> str:
    """By which `torchgrade hub sync` shows the hub that it is us. Made when first asked for."""
    if not place.sync_token.exists():
        write_private(place.sync_token, secrets.token_hex(32))
    return place.sync_token.read_text(encoding="utf8")


def _first_page(description: ClassDescription) -> Any:
    """Staff begin at the formgrader, as a page of its own: the hub forbids frames. Students begin in their server."""
    group = access.staff_group(description.course)

    def first_page(handler: Any) -> str:
        user = handler.current_user
        if user is None:  # asked again after the log-in
            return url_path_join(handler.hub.base_url, "login")
        if any(found.name == group for found in user.groups):
            return url_path_join(handler.base_url, "services", description.course, "formgrader/manage_assignments")
        return url_path_join(handler.hub.base_url, "spawn")

    return first_page


def _course_files(course: str) -> type[BaseHandler]:
    """The formgrader, as a page of its own, links to files at the site's root, where nothing is."""

    class CourseFiles(BaseHandler):
        def get(self, path: str) -> None:
            self.redirect(url_path_join(self.base_url, "services", course, "lab/tree", path.removeprefix("./")))

    return CourseFiles
