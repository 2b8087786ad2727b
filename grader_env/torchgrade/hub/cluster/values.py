"""Values for the chart Zero to JupyterHub 4.4.0. Its hub is JupyterHub 5.5.0: nothing here that only 6 knows."""

from pathlib import Path
from urllib.parse import urlsplit

from torchgrade.hub import access as one_machine
from torchgrade.hub.cluster import access, class_pods, gpu, layout
from torchgrade.hub.cluster.layout import EXCHANGE_ROOT, GID, HOME, SETTINGS, UID, Json
from torchgrade.hub.description import ClassDescription, Cluster
from torchgrade.hub.role_folders import Kind, lab_plugins, server_extensions

CHART = "4.4.0"
HUB_FOLDER = "/usr/local/etc/jupyterhub"  # the chart's; its Python files can be imported there
CULL_EVERY, SERVER_SECONDS = 300, 600  # a node of the pool may have to start first
PLUGIN = "torchgrade.hub.cluster.exchange"
NBGRADER = """\
# Made by `torchgrade hub cluster`.
import os

c = get_config()
c.CourseDirectory.course_id = {course!r}
c.Exchange.root = {exchange!r}
c.ExchangeCollect.check_owner = False  # all files have one owner; who handed in is told by the folder
"""
IN_PEOPLES_SERVERS = """\
c.CourseDirectory.student_id = os.environ["JUPYTERHUB_USER"]  # a label for people: collecting does not believe it
c.ExchangeFactory.fetch_assignment = "{plugin}.MountedFetchAssignment"
c.ExchangeFactory.fetch_feedback = "{plugin}.MountedFetchFeedback"
c.ExchangeFactory.submit = "{plugin}.MountedSubmit"
c.ExchangeFactory.list = "{plugin}.MountedList"
"""
AT_THE_GRADER = """\
c.ExchangeFactory.release_assignment = "{plugin}.FolderReleaseAssignment"
c.ExchangeFactory.release_feedback = "{plugin}.FolderReleaseFeedback"
c.ExchangeFactory.collect = "{plugin}.FolderCollect"
c.ExchangeFactory.list = "{plugin}.FolderList"
"""


def values(description: ClassDescription, cluster: Cluster) -> Json:
    return {
        "hub": _hub(description, cluster),
        "singleuser": _servers(description, cluster),
        "cull": {
            "enabled": True,
            "timeout": description.idle.minutes * 60,
            "maxAge": description.idle.hours * 3600,
            "every": CULL_EVERY,
        },
        "prePuller": {"extraImages": {"grader": name_and_tag(cluster.grader_image)}},
        **_way_in(cluster),
    }


def class_data(description: ClassDescription, cluster: Cluster) -> Json:
    """What class_pods needs to know. A person of the roster is one entry of `people`, and nothing else here."""
    people = {person.name: Kind.STAFF if person.role.is_staff else Kind.STUDENT for person in description.people}
    people[description.grader] = Kind.GRADER
    return {
        "people": {
            name: {"kind": str(kind), "mounts": layout.mounts(description, name)} for name, kind in people.items()
        },
        "kinds": {str(kind): _traits(cluster, kind) for kind in Kind},
        "volumes": layout.volumes(description),
        "profiles": gpu.profiles(description),
    }


def nbgrader_config(description: ClassDescription, kind: Kind) -> str:
    more = AT_THE_GRADER if kind is Kind.GRADER else IN_PEOPLES_SERVERS
    return NBGRADER.format(course=description.course, exchange=EXCHANGE_ROOT) + more.format(plugin=PLUGIN)


def _hub(description: ClassDescription, cluster: Cluster) -> Json:
    people = sorted(person.name for person in description.people)
    return {
        "activeServerLimit": description.limits.servers,
        "authenticatePrometheus": True,
        "config": {
            # Lets nobody in; the operator's own values name how people log in. The chart's default would let in
            # whoever types a name of the class.
            "JupyterHub": {"authenticator_class": "null", "load_groups": one_machine.groups(description)},
            "Authenticator": {"allowed_users": people, "allow_all": False, "allow_existing_users": False},
            "Spawner": {"disable_user_config": True, "server_token_scopes": access.SERVER_SCOPES},
            "KubeSpawner": {"automount_service_account_token": False},
        },
        "services": access.services(),
        "loadRoles": access.roles(description),
        "extraFiles": {
            "class-pods": {
                "mountPath": f"{HUB_FOLDER}/class_pods.py",
                "stringData": Path(class_pods.__file__).read_text(encoding="utf8"),
            },
            "class": {"mountPath": f"{HUB_FOLDER}/class.json", "data": class_data(description, cluster)},
        },
        "extraConfig": {"class": f"from class_pods import configure\n\nconfigure(c, {HUB_FOLDER + '/class.json'!r})\n"},
    }


def _servers(description: ClassDescription, cluster: Cluster) -> Json:
    limits = description.limits
    return {
        "image": name_and_tag(cluster.student_image),
        "cmd": "jupyterhub-singleuser",
        "defaultUrl": "/lab",
        "startTimeout": SERVER_SECONDS,
        "uid": UID,
        "fsGid": GID,
        "allowPrivilegeEscalation": False,
        # A fair part is kept for each; the rest is shared as long as nobody needs it.
        "memory": {"limit": limits.memory, "guarantee": limits.memory},
        "cpu": {"limit": limits.cores, "guarantee": limits.cores / 4},
        "storage": {"type": "none"},  # class_pods mounts
        "networkPolicy": {"enabled": True, "egressAllowRules": {"privateIPs": False, "cloudMetadataServer": False}},
        "extraEnv": {"OMP_NUM_THREADS": str(max(1, int(limits.cores))), "JUPYTERHUB_ACTIVITY_INTERVAL": "900"},
        "extraFiles": _settings(description),
    }


def _settings(description: ClassDescription) -> Json:
    files: Json = {}
    for kind in Kind:
        folder = f"{SETTINGS}/{kind}"
        files |= {
            f"{kind}-nbgrader": {
                "mountPath": f"{folder}/nbgrader_config.py",
                "stringData": nbgrader_config(description, kind),
            },
            f"{kind}-server": {
                "mountPath": f"{folder}/jupyter_server_config.d/nbgrader.json",
                "data": server_extensions(kind),
            },
            f"{kind}-lab": {"mountPath": f"{folder}/labconfig/page_config.json", "data": lab_plugins(kind)},
        }
    return files


def _traits(cluster: Cluster, kind: Kind) -> Json:
    """Of KubeSpawner, for servers of this kind."""
    traits: Json = {
        "environment": {"JUPYTER_CONFIG_PATH": f"{SETTINGS}/{kind}", "HOME": HOME},
        "extra_labels": {"torchgrade/kind": str(kind)},
        "working_dir": HOME,
    }
    if kind is Kind.GRADER:
        traits |= {
            "image": cluster.grader_image,
            "cmd": ["python", "-m", "torchgrade.hub.cluster.grader_home"],
            "default_url": "/formgrader/manage_assignments",
        }
    return traits


def _way_in(cluster: Cluster) -> Json:
    host = urlsplit(cluster.address).hostname
    return {
        "proxy": {"service": {"type": "ClusterIP"}},
        "ingress": {"enabled": True, "hosts": [host], "tls": [{"hosts": [host], "secretName": "hub-tls"}]},
    }


def name_and_tag(image: str) -> Json:
    name, separator, digest = image.partition("@")
    if separator:  # the chart writes NAME:TAG, and NAME@sha256:DIGEST is the same with a colon
        algorithm, _, number = digest.partition(":")
        return {"name": f"{name}@{algorithm}", "tag": number}
    name, _, tag = image.rpartition(":")
    return {"name": name, "tag": tag}
