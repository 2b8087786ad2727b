"""What Prometheus needs to read the hub's metrics, and the alarms that a class wants: Prometheus' own files."""

from torchgrade.hub.cluster.layout import Json
from torchgrade.hub.description import ClassDescription

TOKEN_FILE = "/etc/prometheus/hub-token"  # hub.services.prometheus.apiToken of the secret `hub`
CLAIM = '{{persistentvolumeclaim="{claim}"}}'
FULL = f"kubelet_volume_stats_available_bytes{CLAIM} / kubelet_volume_stats_capacity_bytes{CLAIM} < 0.1"


def scraping() -> Json:
    return {
        "scrape_configs": [
            {
                "job_name": "hub",
                "metrics_path": "/hub/metrics",
                "authorization": {"type": "token", "credentials_file": TOKEN_FILE},
                "static_configs": [{"targets": ["hub:8081"]}],
            }
        ]
    }


def alarms(description: ClassDescription) -> Json:
    rules = [
        _alarm("HubDown", 'up{job="hub"} == 0', "5m", "The hub answers nobody; servers that run go on."),
        _alarm(
            "ServersFailToStart",
            'increase(jupyterhub_server_spawn_duration_seconds_count{status!="success"}[15m]) > 3',
            "0m",
            "kubectl get events: an image, a full pool, a folder that is missing?",
        ),
        _alarm(
            "NearlyFull",
            f"jupyterhub_running_servers > {int(description.limits.servers * 0.9)}",
            "10m",
            "Soon nobody else can start: raise servers in class.toml, or shorten idle.",
        ),
        *(
            _alarm(f"{claim.title()}Full", FULL.format(claim=claim), "10m", f"Enlarge the claim {claim}.")
            for claim in CLAIMS
        ),
        _alarm(
            "NoBackup",
            'time() - kube_cronjob_status_last_successful_time{cronjob="backup"} > 36 * 3600',
            "0m",
            "kubectl logs of the last job of backup says why.",
        ),
    ]
    return {"groups": [{"name": "class", "rules": rules}]}


CLAIMS = ("exchange", "homes", "backups")


def _alarm(name: str, when: str, lasting: str, then: str) -> Json:
    return {"alert": name, "expr": when, "for": lasting, "annotations": {"summary": then}}
