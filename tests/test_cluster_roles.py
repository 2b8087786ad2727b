"""Who may do what, asked of JupyterHub itself: its database, roles and scopes, without its server.

The hub of the chart is 5.5.0 and this one is 6; the roles name nothing that only one of them knows.
"""

import asyncio
from pathlib import Path

import pytest
from cluster_class import described
from jupyterhub import orm
from jupyterhub.app import JupyterHub
from jupyterhub.scopes import parse_scopes
from torchgrade.hub.cluster import values
from traitlets.config import Config

GRADER = "grader-pytorch"
EVERYBODY = {"instructor", "ta", "student-01", "student-02", GRADER}


class Hub:
    def __init__(self, root: Path):
        made = values.values(*described(root))["hub"]
        config = Config(made["config"])
        config.JupyterHub.db_url = "sqlite:///:memory:"
        config.JupyterHub.load_roles = [{"name": name, **role} for name, role in made["loadRoles"].items()]
        config.JupyterHub.services = [{"name": name, **service} for name, service in made["services"].items()]
        config.JupyterHub.authenticator_class = "dummy"
        self.app = JupyterHub(config=config)
        asyncio.run(self._load())

    async def _load(self) -> None:
        self.app.init_db()
        self.app.init_hub()
        await self.app.init_role_creation()
        await self.app.init_users()
        await self.app.init_groups()
        self.app.init_services()
        await self.app.init_role_assignment()

    def may(self, scope: str, *, server_of: str) -> set[str]:
        """Of EVERYBODY, who may do this with the server of a user."""
        return {name for name in EVERYBODY if self._holds(name, scope, server_of)}

    def may_use(self, service: str) -> set[str]:
        return {name for name in EVERYBODY if service in self._filters(name, "access:services").get("service", ())}

    def _holds(self, name: str, scope: str, user: str) -> bool:
        found = self._filters(name, scope)
        groups = {group.name for group in orm.User.find(self.app.db, user).groups}
        servers = {server.split("/")[0] for server in found.get("server", ())}
        return user in found.get("user", set()) | servers or bool(groups & set(found.get("group", ())))

    def _filters(self, name: str, scope: str) -> dict[str, set[str]]:
        from jupyterhub import scopes

        expanded = parse_scopes(scopes.get_scopes_for(orm.User.find(self.app.db, name)))
        found = expanded.get(scope, {})
        assert found is not scopes.Scope.ALL, f"{name} may {scope} everywhere"
        return dict(found)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Hub:
    return Hub(tmp_path_factory.mktemp("hub"))


def test_staff_open_and_start_the_formgrader_and_students_do_not(hub: Hub):
    assert hub.may("access:servers", server_of=GRADER) == {"instructor", "ta", GRADER}
    assert hub.may("servers", server_of=GRADER) == {"instructor", "ta", GRADER}


def test_nobody_opens_anybody_elses_server_and_instructors_stop_them(hub: Hub):
    for student in ("student-01", "student-02"):
        assert hub.may("access:servers", server_of=student) == {student}
        assert hub.may("servers", server_of=student) == {student, "instructor"}


def test_only_the_grader_may_use_the_gateway(hub: Hub):
    assert hub.may_use("dask-gateway") == {GRADER}
