"""The ladder: the language models of the course side by side, and the one the student has just trained."""

from dataclasses import asdict

import matplotlib.pyplot as plt

from torchgrade import plots
from torchgrade.progress import record
from torchgrade.progress.reference import Row, reference_rows

HEADER = f"{'':<30}{'parameters':>11}{'bits':>7}{'CPU-s':>8}{'characters/s':>14}{'KiB':>7}"


def ladder(
    lesson: str,
    name: str,
    *,
    parameters: int,
    bits: float,
    seconds: float,
    characters_per_second: float,
    memory: int,
    title: str = "The ladder: bits per held-out character",
) -> list[Row]:
    """Show the rows up to this lesson and the student's own, and keep the latter.

    lesson: "07"; bits: per held-out character; seconds: spent on training, on one CPU thread; memory: bytes of the
    parameters; title: the finding that the picture shows

    A row states what it cost: reference rows had ten CPU-minutes each, the student's own run had `seconds`. Returns the
    rows shown, the student's last.
    """
    own = Row(lesson, name, parameters, bits, seconds, characters_per_second, memory)
    known = record.read()
    others = (row for row in known["rungs"] if isinstance(row, dict))
    known["rungs"] = [row for row in others if (row.get("lesson"), row.get("name")) != (lesson, name)]
    known["rungs"].append(asdict(own))
    record.write(known)
    rows = [row for row in reference_rows() if row.lesson <= lesson]
    print(HEADER)
    for row in rows:
        print(_line(f"{row.lesson} {row.name}", row))
    print(_line(f"{lesson} yours: {name}", own))
    _draw([*rows, own], title)
    return [*rows, own]


def _line(label: str, row: Row) -> str:
    speed = f"{row.characters_per_second:,.0f}" if row.seconds >= 1 else ""
    return f"{label:<30}{row.parameters:>11,}{row.bits:>7.2f}{row.seconds:>8.1f}{speed:>14}{row.memory / 1024:>7.0f}"


def _draw(rows: list[Row], title: str) -> None:
    labels = [f"{row.lesson} {row.name}{_cost(row)}" for row in rows[:-1]]
    labels.append(f"{rows[-1].lesson} yours{_cost(rows[-1])}")
    fig, ax = plt.subplots(figsize=(7.5, 0.9 + 0.34 * len(rows)))
    bars = ax.barh(labels, [row.bits for row in rows], color=[*[plots.BLUE] * (len(rows) - 1), plots.ORANGE])
    ax.bar_label(bars, fmt="%.2f", padding=3)
    ax.set(title=title, xlabel="bits per held-out character (in brackets: time of training)")
    ax.set_xlim(0, 1.12 * max(row.bits for row in rows))
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    plots.finish(fig)


def _cost(row: Row) -> str:
    """The time of training, where there was any to speak of."""
    if row.seconds < 1:
        return ""
    return f" ({row.seconds:.0f} s)" if row.seconds < 90 else f" ({row.seconds / 60:.0f} min)"
