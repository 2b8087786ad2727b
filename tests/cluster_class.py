"""A class for Kubernetes, described in a folder of its own."""

from pathlib import Path

from hub_course import CLASS_TOML, ROSTER_CSV, class_folder
from torchgrade.hub.class_file import read_class
from torchgrade.hub.description import ClassDescription, Cluster

CLUSTER_TOML = """
[cluster]
address = "https://hub.example.org"
student_image = "registry.example.org/pytorch/student:2026-09-01"
grader_image = "registry.example.org/pytorch/grader:2026-09-01"
storage_class = "nfs"
exchange = "20G"
homes = "100G"
backups = "200G"
"""
GPU_TOML = """
[gpu]
kind = "T4"
students_per_card = 2
cards_for_grading = 3
"""


def described(root: Path, more: str = GPU_TOML, roster: str = ROSTER_CSV) -> tuple[ClassDescription, Cluster]:
    folder = class_folder(root, CLASS_TOML + CLUSTER_TOML + more, roster)
    description = read_class(folder)
    assert description.cluster is not None
    return description, description.cluster
