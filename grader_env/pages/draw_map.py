"""Draw map.svg, the picture in COURSE_SUMMARY: the lessons, and which of them each one builds on.

What a lesson needs is read from its first cell ("**You need** lessons 01 (...), ..."); an arrow that follows from two
others is left out.

.venv/bin/python grader_env/pages/draw_map.py
"""

import re
import sys
import textwrap
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch
from torchgrade.lessons.master import lesson_names, read_master
from torchgrade.plots import BLUE, GREEN, ORANGE

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LEVELS = (("Beginner", "#DCEBF5", BLUE), ("Intermediate", "#FBEBCB", ORANGE), ("Advanced", "#D6EFE6", GREEN))
PER_LEVEL = 5
WIDTH, HEIGHT, ACROSS, DOWN = 2.25, 1.0, 2.75, 2.3  # of a box, and from one to the next


def needs() -> dict[str, set[str]]:
    """Lesson ("07") -> the lessons that its first cell asks for."""
    found = {}
    for name in lesson_names(ROOT):
        text = read_master(ROOT, name).notebook.cells[0].source
        asked = re.search(r"^\*\*You need\*\*.*?(?=\n\n|\Z)", text, flags=re.MULTILINE | re.DOTALL)
        numbers = re.findall(r"\b\d\d\b(?!_)", asked[0] if asked else "")
        found[name[:2]] = {number for number in numbers if number < name[:2]}
    return found


def titles() -> dict[str, str]:
    """Lesson ("07") -> its title up to the colon."""
    found = {}
    for name in lesson_names(ROOT):
        heading = read_master(ROOT, name).notebook.cells[0].source.split("\n", 1)[0]
        found[name[:2]] = heading.split("·", 1)[-1].split(":", 1)[0].strip()
    return found


def direct(needed: dict[str, set[str]]) -> list[tuple[str, str]]:
    """(earlier, later), without what another lesson on the way needs already."""
    behind: dict[str, set[str]] = {}
    for name in sorted(needed):
        behind[name] = needed[name].union(*(behind[one] for one in needed[name]))
    return [
        (earlier, later)
        for later, ones in sorted(needed.items())
        for earlier in sorted(ones)
        if not any(earlier in behind[other] for other in ones)
    ]


def draw() -> plt.Figure:
    fig, ax = plt.subplots(figsize=(11, 6.4))
    ax.set(xlim=(-0.3, PER_LEVEL * ACROSS - 0.2), ylim=(-2 * DOWN - 2.0, 1.1))
    ax.set_axis_off()
    names = titles()
    place = {
        number: ((int(number) - 1) % PER_LEVEL * ACROSS, -((int(number) - 1) // PER_LEVEL) * DOWN) for number in names
    }
    for level, (title, _, edge) in enumerate(LEVELS):
        ax.text(0, -level * DOWN + 0.62, title, color=edge, fontsize=12, fontweight="bold", va="bottom")
    for earlier, later in direct(needs()):
        _arrow(ax, place[earlier], place[later])
    for number, (x, y) in place.items():
        _, face, edge = LEVELS[(int(number) - 1) // PER_LEVEL]
        shape = FancyBboxPatch((x, y - HEIGHT / 2), WIDTH, HEIGHT, boxstyle="round,pad=0,rounding_size=0.12")
        shape.set(facecolor=face, edgecolor=edge, zorder=2)
        ax.add_patch(shape)
        text = "\n".join(textwrap.wrap(f"{number} {names[number]}", 18))
        ax.text(x + WIDTH / 2, y, text, ha="center", va="center", fontsize=11, zorder=3)
    fig.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.99)
    return fig


def _arrow(ax: plt.Axes, one: tuple[float, float], other: tuple[float, float]) -> None:
    """Sideways within a level (above the boxes between, if there are any), downwards between levels."""
    bend = 0.0
    if one[1] == other[1]:
        neighbors = other[0] - one[0] < 1.5 * ACROSS
        start = (one[0] + WIDTH, one[1]) if neighbors else (one[0] + WIDTH * 0.75, one[1] - HEIGHT / 2)
        end = (other[0], other[1]) if neighbors else (other[0] + WIDTH * 0.25, other[1] - HEIGHT / 2)
        bend = 0.0 if neighbors else 0.2
    else:
        lean = 0.5 + 0.12 * max(-3, min(3, round((other[0] - one[0]) / ACROSS)))
        start, end = (
            (one[0] + WIDTH * lean, one[1] - HEIGHT / 2),
            (other[0] + WIDTH * (1 - lean), other[1] + HEIGHT / 2),
        )
    style = {"arrowstyle": "-|>", "color": "#555555", "lw": 1.3, "connectionstyle": f"arc3,rad={bend}"}
    ax.annotate("", end, start, arrowprops={**style, "shrinkA": 1, "shrinkB": 1}, zorder=1)


def save(path: Path) -> None:
    """The same bytes every time: no date, and names of parts that do not come from a random number."""
    mpl.rcParams.update({"svg.hashsalt": "map", "svg.fonttype": "path"})
    fig = draw()
    fig.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(fig)


if __name__ == "__main__":
    save(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "map.svg")
