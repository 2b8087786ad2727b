"""Who may talk to whom, beside what the charts say: a policy only ever adds to what a pod that has one may do.

They hold only where the cluster's network enforces policies; a cluster without says nothing and lets everything pass.
"""

from typing import Any

from torchgrade.hub.cluster.layout import Json

GRADER = {"torchgrade/kind": "grader"}
GATEWAY = {"app.kubernetes.io/name": "dask-gateway"}  # of all its pods
WORKERS = {**GATEWAY, "app.kubernetes.io/component": "dask-worker"}
HUB = {"app": "jupyterhub", "component": "hub"}
BACKUP = {"torchgrade/job": "backup"}
RUN_CODE = ["dask-scheduler", "dask-worker"]
HUB_PORT = {"protocol": "TCP", "port": 8081}
DNS = {"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]}


def policies() -> list[Json]:
    return [
        # The chart keeps people's servers away from private addresses. The formgrader's must reach the gateway.
        _policy("grader-to-gateway", GRADER, egress=[{"to": [_pods(GATEWAY)]}]),
        # Whoever reaches a scheduler of Dask runs code on its workers.
        _policy("gateway-from-grader", GATEWAY, ingress=[{"from": [_pods(GATEWAY), _pods(GRADER)]}]),
        # The chart lets in only pods with a label of its own. The gateway asks the hub whose a token is; what runs
        # submissions asks it nothing.
        _policy("gateway-to-hub", HUB, ingress=[{"from": [_pods(GATEWAY, but=RUN_CODE)], "ports": [HUB_PORT]}]),
        # Submissions run in a sandbox without network; what breaks out of it gets no further than to its scheduler.
        _policy("workers-stay-inside", WORKERS, egress=[{"to": [_pods(GATEWAY)]}, DNS]),
        # It reads everything that the class has.
        _policy("backup-stays-inside", BACKUP, ingress=[], egress=[]),
    ]


def _policy(name: str, pods: dict[str, str], **rules: list[Any]) -> Json:
    kinds = {"ingress": "Ingress", "egress": "Egress"}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {"podSelector": {"matchLabels": pods}, "policyTypes": [kinds[rule] for rule in rules], **rules},
    }


def _pods(labels: dict[str, str], but: list[str] | None = None) -> Json:
    """but: components that are left out"""
    selector: Json = {"matchLabels": labels}
    if but:
        selector["matchExpressions"] = [{"key": "app.kubernetes.io/component", "operator": "NotIn", "values": but}]
    return {"podSelector": selector}
