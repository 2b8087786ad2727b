"""NVIDIA cards of a cluster: nodes whose cards students share, and nodes whose cards are for one speed check each.

A card's time cannot be shared and measured: the two pools never mix. Nodes are told apart by a label that the operator
gives them; those for grading also carry a taint, so that nothing else is placed there.
"""

import yaml

from torchgrade.hub import access
from torchgrade.hub.cluster.layout import Json
from torchgrade.hub.description import ClassDescription, Gpu

POOL = "torchgrade/pool"
STUDENTS, SPEED = "students", "speed"
SHARED_CARD, WHOLE_CARD = "nvidia.com/gpu.shared", "nvidia.com/gpu"
TAINT = {"key": POOL, "value": SPEED, "effect": "NoSchedule"}
TOLERATION = {**TAINT, "operator": "Equal"}
# What clouds and the chart put on nodes with cards, and on nodes for servers. A profile's list replaces the chart's.
CARDS = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
SERVERS = {"key": "hub.jupyter.org/dedicated", "operator": "Equal", "value": "user", "effect": "NoSchedule"}
DRIVER = {"NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}


def profiles(description: ClassDescription) -> list[Json]:
    """What a person may start with: `profile` is KubeSpawner's, for members of `groups`."""
    course, gpu = description.course, description.gpu
    everybody = [access.student_group(course), access.staff_group(course)]
    offered = [{"groups": everybody, "profile": {"slug": "cpu", "display_name": "CPU", "default": True}}]
    if gpu is not None:
        override = {
            "extra_resource_limits": {SHARED_CARD: "1"},
            "node_selector": {POOL: STUDENTS},
            "tolerations": [CARDS, SERVERS],
            "environment": DRIVER,
        }
        name = f"GPU ({gpu.kind}, shared by {gpu.students_per_card})"
        offered.append(
            {"groups": everybody, "profile": {"slug": "gpu", "display_name": name, "kubespawner_override": override}}
        )
    return offered


def device_plugin(gpu: Gpu) -> Json:
    """NVIDIA's device plugin, a configuration for each pool; a node's label nvidia.com/device-plugin.config chooses.

    Shared cards have another name, and nobody can ask for two: that would only be a larger part of the same time.
    """
    sharing = {
        "renameByDefault": True,
        "failRequestsGreaterThanOne": True,
        "resources": [{"name": WHOLE_CARD, "replicas": gpu.students_per_card}],
    }
    return {
        "config": {
            "default": SPEED,
            "map": {
                SPEED: "version: v1\n",
                STUDENTS: yaml.safe_dump({"version": "v1", "sharing": {"timeSlicing": sharing}}, sort_keys=False),
            },
        },
        "tolerations": [TOLERATION, CARDS],
    }


def speed_pod() -> Json:
    """Of a pod that measures: alone on a whole card."""
    return {"nodeSelector": {POOL: SPEED}, "tolerations": [TOLERATION, CARDS]}
