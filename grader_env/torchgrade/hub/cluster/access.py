"""Roles on a cluster: those of one machine, but for the formgrader, which is a server of its own there.

On one machine the formgrader is a service of the hub. A service would run in the hub's pod, next to the hub's database
and tokens; so here it is the server of the account grader-COURSE, which staff may start and open.
"""

from torchgrade.hub import access
from torchgrade.hub.cluster.layout import Json
from torchgrade.hub.description import ClassDescription

GATEWAY = "dask-gateway"  # the hub's service of this name, whose token the gateway asks the hub with
USES_GATEWAY = f"access:services!service={GATEWAY}"
# A server's token may do of this what its owner may: students have no use of the gateway.
SERVER_SCOPES = [*access.SERVER_SCOPES, USES_GATEWAY]


def services() -> Json:
    """The hub's services: each has a token, which the chart makes, and no process of the hub's."""
    return {name: {"display": False} for name in ("roster-sync", GATEWAY, "prometheus")}


def roles(description: ClassDescription) -> dict[str, Json]:
    """For the chart's hub.loadRoles: by name."""
    course, grader = description.course, description.grader
    kept = {role["name"]: role for role in access.roles(description)}
    made = [
        {
            "name": f"staff-{course}",
            "description": "Start the formgrader, and reach it.",
            "scopes": [
                f"access:servers!user={grader}",
                f"servers!user={grader}",
                f"list:users!user={grader}",
                "admin-ui",
            ],
            "groups": [access.staff_group(course)],
        },
        kept[f"instructor-{course}"],
        kept["roster-sync"],
        {
            "name": f"grading-{course}",
            "description": "Grade with many workers.",
            "scopes": [USES_GATEWAY],
            "users": [grader],
        },
        {
            "name": "metrics",
            "description": "Read how the hub is doing.",
            "scopes": ["read:metrics"],
            "services": ["prometheus"],
        },
    ]
    return {role["name"]: {key: value for key, value in role.items() if key != "name"} for role in made}
