"""`torchgrade lesson ladder`: train the models of the ladder anew and write the rows that every lesson shows."""

import json
import platform
from collections.abc import Collection
from dataclasses import asdict
from typing import Any

import torch

from torchgrade.errors import CourseError
from torchgrade.lessons.rungs import RUNGS, climb
from torchgrade.progress.reference import PATH


def run(names: Collection[str], seconds: float) -> int:
    """Renew the rows `names` (all if none is given); each is written as soon as it is there."""
    known = {rung.name for rung in RUNGS}
    if unknown := sorted(set(names) - known):
        raise CourseError(f"no rung {unknown[0]!r}.", remedy=f"There are: {', '.join(sorted(known))}.")
    torch.set_num_threads(1)
    for rung in RUNGS:
        if names and rung.name not in names:
            continue
        result = climb(rung, seconds)
        _write({"lesson": rung.lesson, "name": rung.name, **_rounded(asdict(result))}, seconds)
        print(
            f"{rung.lesson} {rung.name}: {result.bits:.3f} bits per character after {result.seconds:.0f} s", flush=True
        )
    return 0


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    row |= {"bits": round(row["bits"], 3), "seconds": round(row["seconds"], 2)}
    return row | {"characters_per_second": round(row["characters_per_second"])}


def _write(row: dict[str, Any], seconds: float) -> None:
    rows = json.loads(PATH.read_text(encoding="utf8"))["rows"] if PATH.is_file() else []
    others = [other for other in rows if other["name"] != row["name"]]
    order = [rung.name for rung in RUNGS]
    made_with = {"python": platform.python_version(), "torch": torch.__version__.split("+")[0], "threads": 1, "seed": 0}
    record = {
        "about": f"Written by `torchgrade lesson ladder`: trained rows have {seconds:g} CPU-seconds each.",
        "made_with": made_with,
        "rows": sorted((*others, row), key=lambda row: order.index(row["name"])),
    }
    PATH.write_text(json.dumps(record, indent=1) + "\n", encoding="utf8")
