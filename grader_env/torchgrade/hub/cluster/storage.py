"""What the class keeps: three volumes, the class's own description, and a limit to what the namespace may ask for."""

from torchgrade.hub.class_file import CLASS, ROSTER
from torchgrade.hub.cluster.gpu import WHOLE_CARD
from torchgrade.hub.cluster.layout import EXCHANGE, HOMES, Json
from torchgrade.hub.description import ClassDescription, Cluster

BACKUPS, CLASS_SECRET = "backups", "class"


def claims(cluster: Cluster) -> list[Json]:
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            # helm does not know these: uninstalling the chart leaves people's work alone
            "metadata": {"name": name},
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "storageClassName": cluster.storage_class,
                "resources": {"requests": {"storage": size}},
            },
        }
        for name, size in ((EXCHANGE, cluster.exchange), (HOMES, cluster.homes), (BACKUPS, cluster.backups))
    ]


def class_secret(toml: str, roster: str) -> Json:
    """class.toml and roster.csv, for the job that tells the hub; names and mail addresses are secret."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": CLASS_SECRET},
        "stringData": {CLASS: toml, ROSTER: roster},
    }


def quota(description: ClassDescription) -> list[Json]:
    """Whole cards are for grading; students' pods cannot come by one even if a profile offered it by mistake."""
    if description.gpu is None:
        return []
    return [
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "whole-cards"},
            "spec": {"hard": {f"requests.{WHOLE_CARD}": str(description.gpu.cards_for_grading)}},
        }
    ]
