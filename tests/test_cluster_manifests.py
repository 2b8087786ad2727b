"""Our own manifests: Kubernetes' schemas take them, and they say what we mean. None was ever sent to a cluster."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from cluster_class import described
from torchgrade.hub.cluster import render
from torchgrade.hub.cluster.dask import SANDBOX_CONTAINER, SANDBOX_POD, gateway_values

OLDEST, NEWEST = "1.32", "1.37"


@pytest.fixture
def manifests(tmp_path: Path) -> list[dict[str, Any]]:
    return render.manifests(*described(tmp_path), tmp_path / "hub_config")


def of_kind(manifests: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] == kind}


def pods(manifests: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    jobs = {"roster": next(iter(of_kind(manifests, "Job").values()))["spec"]}
    jobs["backup"] = of_kind(manifests, "CronJob")["backup"]["spec"]["jobTemplate"]["spec"]
    return {name: job["template"] for name, job in jobs.items()}


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_takes_every_manifest(manifests, version):
    assert len(manifests) == 12
    for one in manifests:
        kubernetes_validate.validate(one, version, strict=True)


def test_what_kubernetes_would_not_take_is_found(manifests):
    manifests[0]["spec"]["accesModes"] = manifests[0]["spec"].pop("accessModes")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifests[0], NEWEST, strict=True)


def test_a_worker_of_the_gateway_is_a_pod_that_kubernetes_takes(tmp_path):
    """As the gateway makes it: these settings are laid over its own."""
    worker = gateway_values(*described(tmp_path))["gateway"]["backend"]["worker"]
    container = {"name": "dask-worker", "image": "x", **worker["extraContainerConfig"]}
    spec = {**worker["extraPodConfig"], "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec}
    kubernetes_validate.validate(pod, NEWEST, strict=True)


def test_a_worker_that_may_make_sandboxes_is_nobody_on_its_node_and_mounts_nothing(tmp_path):
    worker = gateway_values(*described(tmp_path))["gateway"]["backend"]["worker"]
    assert worker["extraPodConfig"]["hostUsers"] is False
    assert SANDBOX_POD["automountServiceAccountToken"] is False
    assert SANDBOX_CONTAINER["securityContext"]["runAsNonRoot"] is True
    assert "volume" not in str(worker).lower()


def test_volumes_are_written_from_many_nodes(manifests):
    claims = of_kind(manifests, "PersistentVolumeClaim")
    assert claims.keys() == {"exchange", "homes", "backups"}
    assert {str(claim["spec"]["accessModes"]) for claim in claims.values()} == {"['ReadWriteMany']"}


def test_the_backup_reads_everything_writes_backups_alone_and_talks_to_nobody(manifests):
    template = pods(manifests)["backup"]
    (container,) = template["spec"]["containers"]
    writable = [mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["backups"]
    policy = of_kind(manifests, "NetworkPolicy")["backup-stays-inside"]["spec"]
    assert policy["podSelector"]["matchLabels"] == template["metadata"]["labels"]
    assert (policy["policyTypes"], policy["ingress"], policy["egress"]) == (["Ingress", "Egress"], [], [])


def test_the_roster_job_makes_each_folder_that_a_pod_mounts(manifests, tmp_path):
    (folders,) = pods(manifests)["roster"]["spec"]["initContainers"]
    made = set(folders["command"][4:])
    assert made == {
        "/srv/volumes/exchange/pytorch/outbound",
        *(
            f"/srv/volumes/exchange/pytorch/{kind}/{name}"
            for kind in ("inbound", "feedback")
            for name in ("instructor", "ta", "student-01", "student-02")
        ),
        *(f"/srv/volumes/homes/{name}" for name in ("grader-pytorch", "instructor", "ta", "student-01", "student-02")),
    }


def test_no_pod_of_ours_has_a_token_for_kubernetes_or_more_rights_than_it_needs(manifests):
    for template in pods(manifests).values():
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False and context["capabilities"]["drop"] == ["ALL"]
            assert container["resources"]["limits"]


def test_only_the_grader_reaches_the_gateway(manifests):
    policies = of_kind(manifests, "NetworkPolicy")
    (rule,) = policies["gateway-from-grader"]["spec"]["ingress"]
    allowed = [peer["podSelector"]["matchLabels"] for peer in rule["from"]]
    assert allowed == [{"app.kubernetes.io/name": "dask-gateway"}, {"torchgrade/kind": "grader"}]


def test_whole_cards_are_counted(manifests):
    assert of_kind(manifests, "ResourceQuota")["whole-cards"]["spec"]["hard"] == {"requests.nvidia.com/gpu": "3"}
