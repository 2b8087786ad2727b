"""The class as JupyterHub's settings on one machine: plain values by class and trait, nothing started, nothing read."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from torchgrade.hub import access
from torchgrade.hub.description import ClassDescription, Isolation
from torchgrade.hub.place import Place

Settings = dict[str, dict[str, Any]]
PROGRAMS = Path(sys.executable).parent
ISOLATES_NOBODY = "Demonstration: this hub isolates nobody. Everyone is the same unix user and can read everything."
SERVICE_SECONDS = 120  # for the formgrader to start; the hub ends if it takes longer
SERVER_SECONDS = 300  # for a server to start when a whole class comes at once
CULL_EVERY = 300


@dataclass(frozen=True)
class Ports:
    """All but the first listen on this machine only."""

    public: int
    proxy_api: int
    hub: int
    formgrader: int

    @classmethod
    def of(cls, address: str) -> "Ports":
        parts = urlsplit(address)
        public = parts.port or (443 if parts.scheme == "https" else 80)
        first = public if public > 1023 else 8000
        return cls(public, first + 1, first + 2, first + 3)


def settings(description: ClassDescription, place: Place, *, as_root: bool, grading_cards: tuple[int, ...]) -> Settings:
    """as_root: whether the hub runs as root; grading_cards: the GPUs of the formgrader"""
    machine, ports = description.machine, Ports.of(description.machine.address)
    host = "127.0.0.1" if machine.isolation is Isolation.NONE or machine.address.startswith("http:") else ""
    hub: dict[str, Any] = {
        "bind_url": f"{urlsplit(machine.address).scheme}://{host}:{ports.public}",
        "hub_bind_url": f"http://127.0.0.1:{ports.hub}",
        "db_url": f"sqlite:///{place.database}",
        "cookie_secret_file": str(place.private / "cookie-secret"),
        "load_groups": access.groups(description),
        "load_roles": access.roles(description),
        "services": _services(description, place, ports, as_root, grading_cards),
        "active_server_limit": description.limits.servers,
        # In real use servers outlive the hub: a restart costs nobody a running kernel.
        "cleanup_servers": description.is_demonstration,
        "ssl_cert": machine.certificate,
        "ssl_key": machine.key,
    }
    if machine.subdomains:
        hub |= {"subdomain_host": machine.address, "cookie_host_prefix_enabled": True}
    if description.is_demonstration:
        hub["template_vars"] = {"announcement": ISOLATES_NOBODY}
    made: Settings = {
        "JupyterHub": hub,
        "ConfigurableHTTPProxy": {
            "api_url": f"http://127.0.0.1:{ports.proxy_api}",
            "pid_file": str(place.private / "proxy.pid"),
        },
        "Spawner": _spawner(description, as_root),
    }
    if description.is_demonstration:
        hub["spawner_class"] = "simple"
        made["SimpleLocalProcessSpawner"] = {"home_dir_template": f"{place.homes}/{{username}}"}
    elif machine.spawner == "systemd":
        hub["spawner_class"] = "systemdspawner.SystemdSpawner"
        made["SystemdSpawner"] = {"isolate_tmp": True, "disable_user_sudo": True}
    else:
        hub["spawner_class"] = "jupyterhub.spawner.LocalProcessSpawner"
    return made


def _spawner(description: ClassDescription, as_root: bool) -> dict[str, Any]:
    return {
        "cmd": [str(PROGRAMS / "jupyterhub-singleuser")],
        "args": _allow_root(description, as_root),
        "default_url": "/lab",
        "disable_user_config": True,
        "server_token_scopes": access.SERVER_SCOPES,
        "mem_limit": description.limits.memory,
        "cpu_limit": description.limits.cores,
        "start_timeout": SERVER_SECONDS,
        "http_timeout": SERVER_SECONDS,
    }


def _services(
    description: ClassDescription, place: Place, ports: Ports, as_root: bool, cards: tuple[int, ...]
) -> list[dict[str, Any]]:
    idle = description.idle
    culler = [sys.executable, "-m", "jupyterhub_idle_culler", f"--cull-every={CULL_EVERY}"]
    return [
        {
            "name": description.course,
            "url": f"http://127.0.0.1:{ports.formgrader}",
            "command": [str(PROGRAMS / "jupyterhub-singleuser"), *_allow_root(description, as_root)],
            "cwd": str(place.course),
            "oauth_no_confirm": True,
            "timeout": SERVICE_SECONDS,
            "environment": {
                "JUPYTERHUB_DEFAULT_URL": "/formgrader/manage_assignments",
                "JUPYTER_CONFIG_PATH": str(place.jupyter / "grader"),
                "CUDA_VISIBLE_DEVICES": ",".join(map(str, cards)),
                **_grader_account(description, place),
            },
            **({} if description.is_demonstration else {"user": description.grader}),
        },
        {"name": "roster-sync", "display": False},
        {
            "name": "idle-culler",
            "display": False,
            "command": [*culler, f"--timeout={idle.minutes * 60}", f"--max-age={idle.hours * 3600}"],
        },
    ]


def _grader_account(description: ClassDescription, place: Place) -> dict[str, str]:
    if not description.is_demonstration:
        return {}
    # The service has no unix user of its own here, and nbgrader answers 500 to everything without a name.
    return {"JUPYTERHUB_USER": description.grader, "HOME": str(place.homes / description.grader)}


def _allow_root(description: ClassDescription, as_root: bool) -> list[str]:
    return ["--allow-root"] if as_root and description.is_demonstration else []
