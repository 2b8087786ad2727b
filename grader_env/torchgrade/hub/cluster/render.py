"""`torchgrade hub cluster`: write everything that helm and kubectl need into a folder of its own."""

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlencode

import yaml

from torchgrade.errors import CourseError
from torchgrade.hub.class_file import CLASS, ROSTER, read_class
from torchgrade.hub.cluster import dask, gpu, jobs, monitoring, network, storage, values
from torchgrade.hub.cluster.layout import Json
from torchgrade.hub.description import ClassDescription, Cluster

MADE = "# Made by `torchgrade hub cluster` from class.toml and roster.csv. Do not edit.\n"
NEXT = """\
{target}: {names}
Nothing was sent to a cluster. grader_env/pages/cluster.md says what comes first; then, with your log-in in login.yaml:
  kubectl apply -f {target}/manifests.yaml
  helm upgrade --install hub jupyterhub/jupyterhub --version {hub} -f {target}/hub.yaml -f login.yaml
  helm upgrade --install dask-gateway dask/dask-gateway --version {dask} -f {target}/dask-gateway.yaml
To grade, in a terminal of the grader's server: torchgrade autograde --scheduler {address}"""


def run(course: Path, target: Path) -> int:
    folder = course / "hub_config"
    description = read_class(folder)
    if description.cluster is None:
        raise CourseError("it describes no cluster.", where=folder / CLASS, remedy="Add the table [cluster].")
    files = {
        name: MADE + yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
        for name, documents in contents(description, description.cluster, folder).items()
    }
    target.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        part = target / f".{name}.part"
        part.touch(mode=0o600)  # names and mail addresses are in it
        part.write_text(text, encoding="utf8")
        part.rename(target / name)
    print(NEXT.format(target=target, names=", ".join(files), hub=values.CHART, dask=dask.CHART, address=dask.ADDRESS))
    if link := pull_link(description.cluster):
        print(f"For students who want the published tree in their home: {link}")
    return 0


def contents(description: ClassDescription, cluster: Cluster, folder: Path) -> dict[str, Iterable[Json]]:
    """All documents, by file. folder: where class.toml and roster.csv are"""
    files: dict[str, Iterable[Json]] = {
        "hub.yaml": [values.values(description, cluster)],
        "dask-gateway.yaml": [dask.gateway_values(description, cluster)],
        "manifests.yaml": manifests(description, cluster, folder),
        "prometheus-scrape.yaml": [monitoring.scraping()],
        "prometheus-alarms.yaml": [monitoring.alarms(description)],
    }
    if description.gpu is not None:
        files["device-plugin.yaml"] = [gpu.device_plugin(description.gpu)]
    return files


def manifests(description: ClassDescription, cluster: Cluster, folder: Path) -> list[Json]:
    toml, roster = ((folder / name).read_text(encoding="utf-8-sig") for name in (CLASS, ROSTER))
    return [
        *storage.claims(cluster),
        storage.class_secret(toml, roster),
        *storage.quota(description),
        *network.policies(),
        jobs.roster_job(description, cluster),
        jobs.backup_job(cluster),
    ]


def pull_link(cluster: Cluster) -> str:
    """An nbgitpuller link to the published tree: a click brings it into one's home, and later clicks update it."""
    if not cluster.releases:
        return ""
    name = cluster.releases.rstrip("/").rpartition("/")[2].removesuffix(".git")
    asked = {"repo": cluster.releases, "branch": "main", "urlpath": f"lab/tree/{name}/README.md"}
    return f"{cluster.address}/hub/user-redirect/git-pull?{urlencode(asked)}"


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks; nothing by reference."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
