"""Work in pods of the grader's image: after a change of the roster, and every night a backup."""

import hashlib
import json

from torchgrade.hub.cluster import layout
from torchgrade.hub.cluster.layout import EXCHANGE, GID, HOMES, UID, Json
from torchgrade.hub.cluster.network import BACKUP
from torchgrade.hub.cluster.storage import BACKUPS, CLASS_SECRET
from torchgrade.hub.description import ClassDescription, Cluster

VOLUMES = "/srv/volumes"
BACKUP_FOLDER = "/srv/backups"
NIGHTLY = "17 2 * * *"
KEEP = 14  # backups
SMALL = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
CLOSED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def roster_job(description: ClassDescription, cluster: Cluster) -> Json:
    """Makes the folders that pods mount, then tells the hub who is in the class and who no longer is.

    Its name changes with the roster, since a job that ran does not run again. Kubernetes would make a missing folder
    itself, but for root.
    """
    folders = layout.folders(description)
    roles = [(person.name, person.role) for person in description.people]
    number = hashlib.sha256(json.dumps([folders, roles]).encode()).hexdigest()[:10]
    paths = [f"{VOLUMES}/{volume}/{folder}" for volume, names in folders.items() for folder in names]
    make_folders = {
        "name": "folders",
        "image": cluster.grader_image,
        "command": ["python", "-m", "torchgrade.hub.cluster.folders", VOLUMES, *paths],
        # Only root can give a new folder to the one who is to write in it.
        "securityContext": {
            **CLOSED,
            "runAsUser": 0,
            "runAsNonRoot": False,
            "capabilities": {"drop": ["ALL"], "add": ["CHOWN", "DAC_OVERRIDE", "FOWNER"]},
        },
        "resources": SMALL,
        "volumeMounts": [{"name": name, "mountPath": f"{VOLUMES}/{name}"} for name in folders],
    }
    tell_hub = {
        "name": "hub",
        "image": cluster.grader_image,
        "command": ["python", "-m", "torchgrade.hub.cluster.sync_roster", "/etc/class"],
        "env": [
            {
                "name": "HUB_TOKEN",
                "valueFrom": {"secretKeyRef": {"name": "hub", "key": "hub.services.roster-sync.apiToken"}},
            }
        ],
        "securityContext": CLOSED,
        "resources": SMALL,
        "volumeMounts": [{"name": CLASS_SECRET, "mountPath": "/etc/class", "readOnly": True}],
    }
    spec = {
        **_pod([*map(_claim, folders), {"name": CLASS_SECRET, "secret": {"secretName": CLASS_SECRET}}]),
        "initContainers": [make_folders],
        "containers": [tell_hub],
    }
    labels = {"torchgrade/job": "roster", "hub.jupyter.org/network-access-hub": "true"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"roster-{number}"},
        "spec": {
            "backoffLimit": 6,
            "ttlSecondsAfterFinished": 7 * 24 * 3600,
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def backup_job(cluster: Cluster) -> Json:
    read = [{"name": name, "mountPath": f"{VOLUMES}/{name}", "readOnly": True} for name in (EXCHANGE, HOMES)]
    container = {
        "name": "backup",
        "image": cluster.grader_image,
        "command": ["python", "-m", "torchgrade.hub.cluster.backup", VOLUMES, BACKUP_FOLDER, "--keep", str(KEEP)],
        # Root, which may do nothing but read what students closed to others.
        "securityContext": {
            **CLOSED,
            "runAsUser": 0,
            "runAsNonRoot": False,
            "capabilities": {"drop": ["ALL"], "add": ["DAC_OVERRIDE"]},
        },
        "resources": {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
        "volumeMounts": [*read, {"name": BACKUPS, "mountPath": BACKUP_FOLDER}],
    }
    spec = {**_pod(list(map(_claim, (EXCHANGE, HOMES, BACKUPS)))), "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "backup"},
        "spec": {
            "schedule": NIGHTLY,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {
                "spec": {"backoffLimit": 1, "template": {"metadata": {"labels": BACKUP}, "spec": spec}},
            },
        },
    }


def _pod(volumes: list[Json]) -> Json:
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {"runAsUser": UID, "runAsGroup": GID, "runAsNonRoot": True},
        "volumes": volumes,
    }


def _claim(name: str) -> Json:
    return {"name": name, "persistentVolumeClaim": {"claimName": name}}
