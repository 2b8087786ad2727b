"""A person's pod, as KubeSpawner would send it to Kubernetes, mounts what is theirs and nothing else.

KubeSpawner runs in its mock mode: it makes the manifest, and no cluster is asked.
"""

import asyncio
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from cluster_class import GPU_TOML, described
from jupyterhub.utils import maybe_future
from kubespawner import KubeSpawner
from torchgrade.hub.cluster import values
from torchgrade.hub.cluster.class_pods import Pods, Refused, configure, excess
from torchgrade.hub.description import ClassDescription
from traitlets.config import Config

STUDENTS = ("student-01", "student-02")
GROUPS = {"ta": "formgrade-pytorch", "instructor": "formgrade-pytorch", "grader-pytorch": "formgrade-pytorch"}
CHART_FILES = {"name": "files", "secret": {"secretName": "singleuser"}}  # as the chart mounts singleuser.extraFiles
CHART_MOUNT = {"name": "files", "mountPath": "/etc/torchgrade/student/nbgrader_config.py", "subPath": "x"}


class Class:
    """The hub of a class, as far as it makes pods."""

    def __init__(self, root: Path, more: str = GPU_TOML):
        self.description, cluster = described(root, more)
        self.data = values.class_data(self.description, cluster)
        (root / "class.json").write_text(json.dumps(self.data), encoding="utf8")
        self.config = Config()
        self.config.KubeSpawner.automount_service_account_token = False
        self.config.KubeSpawner.volumes = [CHART_FILES]
        self.config.KubeSpawner.volume_mounts = [CHART_MOUNT]
        self.config.KubeSpawner.extra_labels = {"hub.jupyter.org/network-access-hub": "true"}
        configure(self.config, str(root / "class.json"))
        self.runner = asyncio.Runner()

    def spawner(self, name: str, **options: str) -> KubeSpawner:
        return self.runner.run(self._spawner(name, options))

    async def _spawner(self, name: str, options: dict[str, str]) -> KubeSpawner:
        spawner = KubeSpawner(_mock=True, config=self.config, user_options=options)
        group = SimpleNamespace(name=GROUPS.get(name, "nbgrader-pytorch"))
        spawner.user = SimpleNamespace(name=name, escaped_name=name, id=1, url="/", groups=[group])
        return spawner

    def start(self, spawner: KubeSpawner) -> dict[str, Any]:
        """What JupyterHub and KubeSpawner do up to the request to Kubernetes."""

        async def steps() -> Any:
            await maybe_future(spawner.run_pre_spawn_hook())
            await spawner.load_user_options()
            pod = await spawner.get_pod_manifest()
            return spawner.api.api_client.sanitize_for_serialization(spawner.modify_pod_hook(spawner, pod))

        return self.runner.run(steps())

    def pod(self, name: str, **options: str) -> dict[str, Any]:
        return self.start(self.spawner(name, **options))


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a cluster that is never asked."""
    cluster = {"name": "none", "cluster": {"server": "https://127.0.0.1:9"}}
    context = {"name": "none", "context": {"cluster": "none", "user": "none"}}
    content = {"clusters": [cluster], "contexts": [context], "users": [{"name": "none", "user": {}}]}
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(content | {"current-context": "none"}))
    monkeypatch.setattr(
        "kubernetes_asyncio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig")
    )


@pytest.fixture
def small(tmp_path: Path, kubeconfig: None) -> Iterator[Class]:
    made = Class(tmp_path)
    yield made
    made.runner.close()


def mounts(pod: dict[str, Any]) -> set[tuple[str, str, str, str]]:
    """(volume, where in it, where in the pod, rw or ro) of all that is in a claim."""
    claims = {volume["name"] for volume in pod["spec"]["volumes"] if "persistentVolumeClaim" in volume}
    return {
        (mount["name"], mount.get("subPath", ""), mount["mountPath"], "ro" if mount.get("readOnly") else "rw")
        for container in pod["spec"]["containers"]
        for mount in container["volumeMounts"]
        if mount["name"] in claims
    }


@pytest.mark.parametrize("name", [*STUDENTS, "ta"])
def test_a_pod_mounts_exactly_what_is_its_owners(small: Class, name: str):
    assert mounts(small.pod(name)) == {
        ("homes", name, "/home/jovyan", "rw"),
        ("exchange", "pytorch/outbound", "/srv/exchange/pytorch/outbound", "ro"),
        ("exchange", f"pytorch/inbound/{name}", "/srv/exchange/pytorch/inbound", "rw"),
        ("exchange", f"pytorch/feedback/{name}", "/srv/exchange/pytorch/feedback", "ro"),
    }


def test_the_grader_sees_the_whole_exchange_and_no_home_but_its_own(small: Class):
    pod = small.pod("grader-pytorch")
    assert mounts(pod) == {
        ("homes", "grader-pytorch", "/home/jovyan", "rw"),
        ("exchange", "", "/srv/exchange", "rw"),
    }
    assert pod["spec"]["containers"][0]["image"].endswith("/grader:2026-09-01")
    assert pod["metadata"]["labels"]["torchgrade/kind"] == "grader"


def test_what_the_chart_mounts_and_labels_stays(small: Class):
    pod = small.pod("student-01")
    assert {volume["name"] for volume in pod["spec"]["volumes"]} == {"files", "exchange", "homes", "shared-memory"}
    assert pod["metadata"]["labels"]["hub.jupyter.org/network-access-hub"] == "true"


def test_a_second_start_mounts_nothing_twice(small: Class):
    spawner = small.spawner("student-01")
    assert small.start(spawner)["spec"] == small.start(spawner)["spec"]


def test_whoever_is_not_in_the_roster_gets_no_pod(small: Class):
    with pytest.raises(Refused) as error:
        small.pod("mallory")
    assert error.value.jupyterhub_message.startswith("mallory is not in this class.")


def other_home(pod: dict[str, Any]) -> None:
    pod["spec"]["containers"][0]["volumeMounts"][-1]["subPath"] = "pytorch/feedback/student-02"


def whole_exchange(pod: dict[str, Any]) -> None:
    pod["spec"]["containers"][0]["volumeMounts"].append({"name": "exchange", "mountPath": "/all"})


def writable_releases(pod: dict[str, Any]) -> None:
    (mount,) = [m for m in pod["spec"]["containers"][0]["volumeMounts"] if m.get("subPath") == "pytorch/outbound"]
    mount["readOnly"] = False


def computed_place(pod: dict[str, Any]) -> None:
    pod["spec"]["containers"][0]["volumeMounts"][-1]["subPathExpr"] = "$(EVERYBODY)"


def second_container(pod: dict[str, Any]) -> None:
    mount = {"name": "homes", "mountPath": "/homes"}
    pod["spec"]["initContainers"] = [{"name": "other", "image": "other", "volumeMounts": [mount]}]


def own_claim(pod: dict[str, Any]) -> None:
    pod["spec"]["volumes"].append({"name": "x", "persistentVolumeClaim": {"claimName": "homes"}})


def files_of_the_node(pod: dict[str, Any]) -> None:
    pod["spec"]["volumes"].append({"name": "x", "hostPath": {"path": "/"}})


def nothing_to_submit_to(pod: dict[str, Any]) -> None:
    kept = [m for m in pod["spec"]["containers"][0]["volumeMounts"] if "inbound" not in m.get("subPath", "")]
    pod["spec"]["containers"][0]["volumeMounts"] = kept


def kubernetes_token(pod: dict[str, Any]) -> None:
    pod["spec"]["automountServiceAccountToken"] = True


def processes_of_the_node(pod: dict[str, Any]) -> None:
    pod["spec"]["hostPID"] = True


FAULTS = [
    other_home,
    whole_exchange,
    writable_releases,
    computed_place,
    second_container,
    own_claim,
    files_of_the_node,
    nothing_to_submit_to,
    kubernetes_token,
    processes_of_the_node,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_pod_that_could_reach_more_is_refused(small: Class, fault: Any):
    pod = small.pod("student-01")
    expected = (small.data["volumes"], small.data["people"]["student-01"]["mounts"])
    assert excess(pod, *expected) == []
    spoiled = copy.deepcopy(pod)
    fault(spoiled)
    assert excess(spoiled, *expected) != []


def test_the_hub_itself_refuses_to_send_such_a_pod(small: Class):
    small.config.KubeSpawner.volumes = [CHART_FILES, {"name": "node", "hostPath": {"path": "/"}}]
    with pytest.raises(Refused, match="the volume node"):
        small.pod("student-01")


def test_every_setting_of_a_server_is_one_that_kubespawner_has(small: Class):
    """The chart's schema does not look into these."""
    known = set(KubeSpawner.class_trait_names())
    used = {trait for traits in small.data["kinds"].values() for trait in traits}
    for profile in small.data["profiles"]:
        used |= set(profile["profile"].get("kubespawner_override", {}))
    used |= set(small.config.KubeSpawner) | {"volumes", "volume_mounts"}
    assert used - known == set()
    assert len(used) > 8


def test_a_student_with_a_card_shares_it_on_nodes_for_students(small: Class):
    spec = small.pod("student-01", profile="gpu")["spec"]
    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu.shared"] == "1"
    assert spec["nodeSelector"] == {"torchgrade/pool": "students"}
    assert "torchgrade/pool" not in {toleration.get("key") for toleration in spec["tolerations"]}


def test_nobody_is_offered_a_whole_card(small: Class):
    overrides = [profile["profile"].get("kubespawner_override", {}) for profile in small.data["profiles"]]
    assert [override.get("extra_resource_limits") for override in overrides] == [None, {"nvidia.com/gpu.shared": "1"}]
    with pytest.raises(ValueError, match="No such profile"):
        small.pod("student-01", profile="whole-gpu")


def test_without_cards_there_is_nothing_to_choose(tmp_path: Path, kubeconfig: None):
    plain = Class(tmp_path, more="")
    assert Pods(plain.data).profiles(plain.spawner("student-01")) == []
    assert "nvidia" not in str(plain.pod("student-01"))


def test_profiles_are_for_groups(small: Class):
    stranger = small.spawner("student-01")
    stranger.user.groups = []
    assert Pods(small.data).profiles(stranger) == []


def test_everybody_of_the_class_has_a_pod_that_passes(small: Class):
    description: ClassDescription = small.description
    for name in [*(person.name for person in description.people), description.grader]:
        small.pod(name)
