"""The plots of the class report, as PNGs in base64, each with its description in words."""

import base64
import io
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from torchgrade import plots
from torchgrade.report.results import Result, shares

BINS = 10
LINE = 0.32  # inches per bar


@dataclass(frozen=True)
class Picture:
    data: str
    description: str


def distribution(shares: list[float]) -> Picture:
    """How many students got which share of a lesson's points; `shares` between 0 and 1, one per student."""
    fig, ax = plt.subplots(figsize=(7, 2.6))
    counts, _, _ = ax.hist([100 * share for share in shares], bins=BINS, range=(0, 100), edgecolor="white")
    ax.set(xlabel="points, %", ylabel="students", xlim=(0, 100), title="How many students got how much")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(axis="x", visible=False)
    said = [f"{i * 10} to {i * 10 + 10} %: {count:.0f}" for i, count in enumerate(counts) if count]
    return _picture(fig, f"Students by share of the points: {'; '.join(said)}.")


def difficulty(results: Iterable[Result]) -> Picture:
    """The mean share of its points that each exercise gave, over all students who handed in."""
    percent = {exercise: 100 * share for exercise, share in shares(results, lambda one: one.exercise).items()}
    fig = _bars(percent, "mean points, %", "How hard each exercise was", most=100)
    return _picture(fig, "; ".join(f"{exercise}: {share:.0f} %" for exercise, share in percent.items()) + ".")


def misconceptions(students: Mapping[str, int], of: int) -> Picture:
    """How many of `of` students made each mistake."""
    fig = _bars(dict(students), f"students (of {of})", "Which misconceptions the class shares", most=None)
    return _picture(fig, "; ".join(f"{text}: {count}" for text, count in students.items()) + ".")


def _bars(values: Mapping[str, float], what: str, title: str, most: float | None) -> Figure:
    names = [_lines(name) for name in values]
    fig, ax = plt.subplots(figsize=(9, 1.1 + LINE * sum(1 + name.count("\n") for name in names)))
    places = range(len(values))
    ax.barh(places, list(values.values()), height=0.7, color=plots.BLUE)
    for place, value in zip(places, values.values(), strict=True):
        ax.annotate(f"{value:.0f}", (value, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9)
    ax.set_yticks(places, names)
    ax.invert_yaxis()
    ax.set(xlabel=what, title=title)
    ax.set_xlim(0, most * 1.06 if most else max(values.values(), default=1) * 1.15)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    ax.grid(axis="y", visible=False)
    return fig


def _lines(text: str) -> str:
    """At most two lines, and no formula: an author's text is no TeX."""
    lines = textwrap.wrap(text.replace("$", r"\$"), 58, max_lines=2, placeholder=" …")
    return "\n".join(lines)


def _picture(fig: Figure, description: str) -> Picture:
    stream = io.BytesIO()
    fig.tight_layout()
    fig.savefig(stream, format="png", dpi=100)
    plt.close(fig)
    return Picture(base64.b64encode(stream.getvalue()).decode(), description)
