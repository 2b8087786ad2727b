"""Draw loop.svg, the picture in the README: what happens to a lesson, and what never crosses to the students' side.

.venv/bin/python grader_env/pages/draw_loop.py
"""

import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch
from torchgrade.plots import BLUE, ORANGE, RED

HERE = Path(__file__).parent
WIDTH = 4.1
LEFT, RIGHT = 0.0, 5.9  # where the boxes of the two sides begin
SECRET, OPEN = "#DCEBF5", "#FBEBCB"

# (side, height of the middle, name, two lines below it)
BOXES = (
    (LEFT, 9.0, "source/", "the lesson with solutions\nand hidden tests"),
    (RIGHT, 9.0, "release/", "the same without them"),
    (RIGHT, 6.6, "submitted/", "what a student\nhands in"),
    (LEFT, 3.9, "judge", "asks, compares,\ngives points"),
    (RIGHT, 3.9, "sandbox", "runs the student's code,\nreaches nothing else"),
    (LEFT, 0.9, "autograded/", "results; the grades are\nin gradebook.db"),
    (RIGHT, 0.9, "feedback/", "what a student reads"),
)
# (from, to, what it says, where that stands)
ARROWS = (
    ((WIDTH, 9.0), (RIGHT, 9.0), "generate\nassignment", (5.0, 9.7)),
    ((RIGHT + 2, 8.2), (RIGHT + 2, 7.4), "work", (RIGHT + 2.15, 7.8)),
    ((RIGHT + 2, 5.8), (RIGHT + 2, 4.7), "answers", (RIGHT + 2.15, 5.3)),
    ((2.0, 8.2), (2.0, 4.7), "tests", (2.15, 6.6)),
    ((WIDTH, 4.2), (RIGHT, 4.2), "a call", (5.0, 4.45)),
    ((RIGHT, 3.6), (WIDTH, 3.6), "plain data", (5.0, 3.3)),
    ((2.0, 3.1), (2.0, 1.7), "points", (2.15, 2.4)),
    ((WIDTH, 0.9), (RIGHT, 0.9), "generate\nfeedback", (5.0, 1.6)),
)


def draw() -> plt.Figure:
    fig, ax = plt.subplots(figsize=(7.2, 7.4))
    ax.set(xlim=(-0.15, 10.15), ylim=(-0.1, 11.2))
    ax.set_axis_off()
    ax.plot([5.0, 5.0], [-0.1, 11.0], linestyle=(0, (4, 4)), color=RED, linewidth=1.5, zorder=0)
    ax.text(2.05, 10.75, "only the course sees", ha="center", color=BLUE, fontsize=14, fontweight="bold")
    ax.text(RIGHT + 2.05, 10.75, "students see", ha="center", color="#8A5A00", fontsize=14, fontweight="bold")
    for side, middle, name, lines in BOXES:
        _box(ax, side, middle, name, lines)
    for start, end, label, place in ARROWS:
        ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "black", "lw": 1.6, "shrinkA": 3})
        sideways = start[1] == end[1]
        patch = {"facecolor": "white", "edgecolor": "none", "pad": 1.5} if sideways else None
        ax.text(*place, label, ha="center" if sideways else "left", va="center", fontsize=12, bbox=patch)
    fig.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.99)
    return fig


def _box(ax: Axes, left: float, middle: float, name: str, lines: str) -> None:
    face, edge = (SECRET, BLUE) if left == LEFT else (OPEN, ORANGE)
    shape = "round,pad=0,rounding_size=0.15"
    ax.add_patch(FancyBboxPatch((left, middle - 0.8), WIDTH, 1.6, boxstyle=shape, facecolor=face, edgecolor=edge))
    ax.text(left + WIDTH / 2, middle + 0.42, name, ha="center", va="center", fontsize=15, fontweight="bold")
    ax.text(left + WIDTH / 2, middle - 0.28, lines, ha="center", va="center", fontsize=12, linespacing=1.1)


def save(path: Path) -> None:
    """The same bytes every time: no date, and names of parts that do not come from a random number."""
    mpl.rcParams.update({"svg.hashsalt": "loop", "svg.fonttype": "path"})
    fig = draw()
    fig.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(fig)


if __name__ == "__main__":
    save(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "loop.svg")
