"""NVIDIA cards on one machine: which ones students share, and which ones grading keeps for itself.

A card is either for students or for grading, never both: a server that runs cannot be told to let go of a card when a
speed check begins. CUDA_VISIBLE_DEVICES is a convention, not a fence: a student who resets it sees every card, unless
the operator closes the devices (pages/hub.md).
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from torchgrade.errors import CourseError
from torchgrade.hub.description import Gpu

# kind -> (memory in GB, students who may share a card). Up to two for 16 GB is what other classes do; the rest follows
# from the memory, with a card of 80 GB serving eight.
KINDS = {
    "T4": (16, 2),
    "V100": (16, 2),
    "L4": (24, 4),
    "A10G": (24, 4),
    "A30": (24, 4),
    "A100-40": (40, 6),
    "A100-80": (80, 8),
    "H100": (80, 8),
}


@dataclass(frozen=True)
class Cards:
    """Numbers as CUDA counts them."""

    students: tuple[int, ...] = ()
    grading: tuple[int, ...] = ()


@dataclass(frozen=True)
class Profile:
    key: str
    label: str
    cards: tuple[int, ...]


def split(gpu: Gpu | None, cards: int) -> Cards:
    """The last cards grade, the others are the students'. cards: how many the machine has"""
    if gpu is None:
        return Cards()
    for_students = max(cards - gpu.cards_for_grading, 0)
    return Cards(tuple(range(for_students)), tuple(range(for_students, cards)))


def profiles(gpu: Gpu | None, cards: Cards) -> list[Profile]:
    """What a person may choose when starting a server; a single one means that there is nothing to choose."""
    offered = [Profile("cpu", "CPU", ())]
    if gpu is not None and cards.students:
        offered.append(Profile("gpu", f"GPU ({gpu.kind}, shared by {gpu.students_per_card})", cards.students))
    return offered


def card_for(profile: Profile, in_use: Sequence[int], per_card: int) -> int:
    """The least used card. in_use: a card's number for each server that has it. Raises CourseError if all are full."""
    card = min(profile.cards, key=in_use.count)
    if in_use.count(card) >= per_card:
        raise CourseError(
            f"all {len(profile.cards)} cards are in use.",
            remedy="Start with the CPU, or try again when a server stops.",
        )
    return card


def count_cards() -> int:
    """How many cards this machine has; 0 without NVIDIA's driver."""
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return 0
    return len(listed.stdout.splitlines())
