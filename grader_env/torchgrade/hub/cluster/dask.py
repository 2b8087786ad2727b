"""Values for the chart Dask Gateway 2026.3.0, whose workers grade what was handed in."""

from torchgrade.hub.cluster import gpu
from torchgrade.hub.cluster.access import GATEWAY
from torchgrade.hub.cluster.layout import Json
from torchgrade.hub.cluster.values import name_and_tag
from torchgrade.hub.description import ClassDescription, Cluster

CHART = "2026.3.0"
# For `torchgrade autograde --scheduler`, in the grader's server: the service that a release named dask-gateway makes.
ADDRESS = f"gateway+http://traefik-{GATEWAY}/services/{GATEWAY}"
CPU_WORKERS = 8  # at a time, where no card limits them
# A worker makes a sandbox for each submission (bubblewrap), for which it needs namespaces and an unmasked /proc. The
# pod has a user namespace of its own instead: even its root is nobody on the node. It mounts nothing.
SANDBOX_POD = {"hostUsers": False, "automountServiceAccountToken": False}
SANDBOX_CONTAINER = {
    "securityContext": {
        "procMount": "Unmasked",
        "seccompProfile": {"type": "Unconfined"},
        "appArmorProfile": {"type": "Unconfined"},
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "runAsUser": 1000,
    }
}
CONFIG = """\
# Without the name, any token of the hub would be let in, a student's too.
c.JupyterHubAuthenticator.jupyterhub_service_name = {service!r}
c.ClusterConfig.scheduler_cmd = ["dask", "scheduler"]
c.ClusterConfig.worker_cmd = ["dask", "worker"]
c.ClusterConfig.cluster_max_workers = {workers}
c.ClusterConfig.idle_timeout = 600
"""


def gateway_values(description: ClassDescription, cluster: Cluster) -> Json:
    """A worker per card where there are cards for grading, each alone on its card; else some on the CPU."""
    cards = description.gpu.cards_for_grading if description.gpu else 0
    whole_card = {"resources": {"limits": {gpu.WHOLE_CARD: "1"}}} if cards else {}
    return {
        "gateway": {
            "prefix": f"/services/{GATEWAY}",
            "auth": {"type": "jupyterhub"},
            "backend": {
                "image": {**name_and_tag(cluster.grader_image), "pullPolicy": "IfNotPresent"},
                "scheduler": {"cores": {"request": 0.5, "limit": 1}, "memory": {"request": "1G", "limit": "2G"}},
                "worker": {
                    "cores": {"request": 2, "limit": 2},
                    "memory": {"request": "4G", "limit": "8G"},
                    "threads": 1,  # a submission at a time, as its limits assume
                    "extraPodConfig": {**SANDBOX_POD, **(gpu.speed_pod() if cards else {})},
                    "extraContainerConfig": {**SANDBOX_CONTAINER, **whole_card},
                },
            },
            "extraConfig": {"torchgrade": CONFIG.format(service=GATEWAY, workers=cards or CPU_WORKERS)},
        },
        "traefik": {"service": {"type": "ClusterIP"}},
    }
