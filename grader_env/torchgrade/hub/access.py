"""Who may do what on the hub: groups, roles and scopes, as the plain dicts that JupyterHub reads.

Only what JupyterHub 5 knows too, since a cluster runs that. Names of roles have at least three characters.
"""

from typing import Any

from torchgrade.hub.description import ClassDescription

# What the token of a person's own server may do, of what that person may: nothing about others.
SERVER_SCOPES = [
    "users:activity!user",
    "access:servers!server",
    "read:users:groups!user",
    "list:services",
    "read:services",
]
CULLER_SCOPES = ["list:users", "read:users:activity", "read:servers", "delete:servers"]


def staff_group(course: str) -> str:
    return f"formgrade-{course}"


def student_group(course: str) -> str:
    return f"nbgrader-{course}"


def instructor_group(course: str) -> str:
    return f"instructor-{course}"


def groups(description: ClassDescription) -> dict[str, dict[str, Any]]:
    """For `JupyterHub.load_groups`, which only ever adds: `torchgrade hub sync` removes."""
    course = description.course
    members = {
        staff_group(course): [*description.staff, description.grader],
        instructor_group(course): description.instructors,
        student_group(course): description.students,
    }
    return {name: {"users": users, "properties": {}} for name, users in members.items()}


def roles(description: ClassDescription) -> list[dict[str, Any]]:
    """For `JupyterHub.load_roles`.

    Nobody is given both `groups` and `access:servers` of one group: with these two, whoever is put into the group would
    lay open their server.
    """
    course = description.course
    return [
        {
            "name": f"staff-{course}",
            "description": "Reach the formgrader, and find it in the list of courses.",
            "scopes": [
                f"access:services!service={course}",
                "list:services",
                f"read:services!service={course}",
            ],
            "groups": [staff_group(course)],
        },
        {
            "name": f"instructor-{course}",
            "description": "See who is in the class, change it, and start or stop students' servers.",
            "scopes": [
                "admin-ui",
                f"list:users!group={student_group(course)}",
                f"groups!group={student_group(course)}",
                f"servers!group={student_group(course)}",
            ],
            "groups": [instructor_group(course)],
        },
        {
            "name": f"formgrader-{course}",
            "description": "The formgrader: members of the class, and nothing else.",
            "scopes": [
                f"groups!group={student_group(course)}",
                f"read:users:groups!user={description.grader}",
                "list:services",
            ],
            "services": [course],
        },
        {
            "name": "roster-sync",
            "description": "Bring users and groups in line with roster.csv.",
            # It makes and removes users and members, and stops servers; it reaches none.
            "scopes": ["admin:users", "delete:servers", *(f"groups!group={name}" for name in groups(description))],
            "services": ["roster-sync"],
        },
        {
            "name": "idle-culler",
            "description": "Stop servers that nobody uses.",
            "scopes": CULLER_SCOPES,
            "services": ["idle-culler"],
        },
    ]
