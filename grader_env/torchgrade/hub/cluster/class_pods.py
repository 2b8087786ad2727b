"""What the hub does when a server starts: the mounts of this person, the profiles of their groups, and a last look.

This file itself is put into the hub's pod, which has no torchgrade: standard library alone. `path` is the JSON that
`values.class_data` makes.
"""

import json
from typing import Any

HARMLESS = {"secret", "configMap", "emptyDir", "downwardAPI"}  # of the chart's own, such as Jupyter's settings
SHARING = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace")


class Refused(Exception):
    """The hub shows `jupyterhub_message` to the person."""

    def __init__(self, what: str):
        super().__init__(what)
        self.jupyterhub_message = what


class Pods:
    def __init__(self, described: dict[str, Any]):
        self._people, self._kinds = described["people"], described["kinds"]
        self._volumes, self._profiles = described["volumes"], described["profiles"]

    def before(self, spawner: Any) -> None:
        """The hub's pre_spawn_hook. Raises Refused for whoever is not in the roster."""
        person = self._person(spawner)
        mine = {volume["name"] for volume in self._volumes}
        spawner.volumes = _replaced(spawner.volumes, self._volumes, mine)
        spawner.volume_mounts = _replaced(spawner.volume_mounts, person["mounts"], mine)
        for trait, value in self._kinds[person["kind"]].items():
            known = getattr(spawner, trait)
            setattr(spawner, trait, {**known, **value} if isinstance(known, dict) else value)

    def profiles(self, spawner: Any) -> list[dict[str, Any]]:
        """KubeSpawner's profile_list; empty if there is nothing to choose, and then there is no form."""
        groups = {group.name for group in spawner.user.groups}
        offered = [profile["profile"] for profile in self._profiles if groups & set(profile["groups"])]
        return offered if len(offered) > 1 else []

    def check(self, spawner: Any, pod: Any) -> Any:
        """KubeSpawner's modify_pod_hook: the pod as it goes to Kubernetes. Raises Refused if it could reach more."""
        plain = spawner.api.api_client.sanitize_for_serialization(pod)
        if wrong := excess(plain, self._volumes, self._person(spawner)["mounts"]):
            raise Refused(f"This server would mount what it must not: {'; '.join(wrong)}. Tell your instructor.")
        return pod

    def _person(self, spawner: Any) -> Any:
        name = spawner.user.name
        if name not in self._people:
            raise Refused(f"{name} is not in this class. Ask your instructor to put you into the roster.")
        return self._people[name]


def excess(pod: dict[str, Any], volumes: list[dict[str, Any]], mounts: list[dict[str, Any]]) -> list[str]:
    """Where the pod differs from exactly these volumes and mounts, in words. pod: as Kubernetes' JSON"""
    spec = pod["spec"]
    wrong = [f"{key} is on" for key in SHARING if spec.get(key)]
    if spec.get("automountServiceAccountToken") is not False:
        wrong.append("a token for Kubernetes itself")
    others = [volume for volume in spec.get("volumes") or [] if volume not in volumes]
    wrong += [f"the volume {volume['name']}" for volume in others if not set(volume) - {"name"} <= HARMLESS]
    ours = {volume["name"] for volume in volumes}
    containers = [*(spec.get("initContainers") or []), *spec["containers"]]
    found = [mount for container in containers for mount in container.get("volumeMounts") or []]
    found = [mount for mount in found if mount["name"] in ours]
    for mount in found:
        if _plain(mount) not in map(_plain, mounts):
            wrong.append(f"{mount['name']}/{mount.get('subPath', '')} at {mount['mountPath']}")
    for mount in mounts:
        if sum(_plain(mount) == _plain(other) for other in found) != 1:
            wrong.append(f"not once: {mount['mountPath']}")
    return wrong


def configure(c: Any, path: str) -> None:
    """c: JupyterHub's configuration object"""
    with open(path, encoding="utf8") as stream:
        pods = Pods(json.load(stream))
    c.KubeSpawner.pre_spawn_hook = pods.before
    c.KubeSpawner.modify_pod_hook = pods.check
    c.KubeSpawner.profile_list = pods.profiles


def _plain(mount: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in mount.items() if value not in (False, None, "")}


def _replaced(known: Any, new: list[dict[str, Any]], names: set[str]) -> list[dict[str, Any]]:
    """`known` (the chart's, a list or a dict of them) with `new` in place of what an earlier start has put there."""
    items = known.values() if isinstance(known, dict) else known
    return [*(item for item in items if item["name"] not in names), *new]
