"""Where what is: in the two volumes that the class shares, and in the pods that mount parts of them.

The exchange has a folder for each person, and a pod mounts its owner's alone, in the place where nbgrader looks:

    volume exchange             mounted in a student's pod        in the grader's
    COURSE/outbound             /srv/exchange/COURSE/outbound, ro   all of it, as it is
    COURSE/inbound/NAME         /srv/exchange/COURSE/inbound
    COURSE/feedback/NAME        /srv/exchange/COURSE/feedback, ro
    volume homes, NAME          /home/jovyan                        its own

So who hands in is told by the folder that it lies in, whatever names a student writes.
"""

from typing import Any

from torchgrade.hub.description import ClassDescription

Json = dict[str, Any]

EXCHANGE, HOMES, SHARED_MEMORY = "exchange", "homes", "shared-memory"
EXCHANGE_ROOT = "/srv/exchange"
HOME = "/home/jovyan"
SETTINGS = "/etc/torchgrade"  # Jupyter's configuration for each kind of server
UID, GID = 1000, 100  # everybody's in their pod, and the owner of all files


def volumes(description: ClassDescription) -> list[Json]:
    """What each pod of the class may mount from. /dev/shm counts towards the pod's memory; 64 MB break DataLoaders."""
    return [
        {"name": EXCHANGE, "persistentVolumeClaim": {"claimName": EXCHANGE}},
        {"name": HOMES, "persistentVolumeClaim": {"claimName": HOMES}},
        {"name": SHARED_MEMORY, "emptyDir": {"medium": "Memory", "sizeLimit": description.limits.memory}},
    ]


def mounts(description: ClassDescription, name: str) -> list[Json]:
    """All that the pod of `name` mounts of the class's volumes."""
    course = description.course
    own = [
        {"name": HOMES, "mountPath": HOME, "subPath": name},
        {"name": SHARED_MEMORY, "mountPath": "/dev/shm"},
    ]
    if name == description.grader:
        return [*own, {"name": EXCHANGE, "mountPath": EXCHANGE_ROOT}]

    def part(folder: str, sub_path: str, **more: bool) -> Json:
        place = f"{EXCHANGE_ROOT}/{course}/{folder}"
        return {"name": EXCHANGE, "mountPath": place, "subPath": f"{course}/{sub_path}", **more}

    return [
        *own,
        part("outbound", "outbound", readOnly=True),
        part("inbound", f"inbound/{name}"),
        part("feedback", f"feedback/{name}", readOnly=True),
    ]


def folders(description: ClassDescription) -> dict[str, list[str]]:
    """The folders that must be there before a pod can mount them, by volume."""
    course, names = description.course, [person.name for person in description.people]
    return {
        EXCHANGE: [
            f"{course}/outbound",
            *(f"{course}/{kind}/{name}" for kind in ("inbound", "feedback") for name in names),
        ],
        HOMES: [description.grader, *names],
    }
