"""Where the grader has its files is nothing that a student's page should tell: a warning of torch names its own."""

import re
import sys
from typing import Any

# Bounded, because a student's output may be a megabyte without a space. Packages may be those of another machine.
PACKAGES = re.compile(r"(?:/[\w.+@-]{1,100}){1,30}?/(?=(?:site|dist)-packages/)")
PYTHONS = tuple(sorted({f"{place}/" for place in (sys.prefix, sys.base_prefix) if place.count("/") > 1}, key=len))[::-1]


def without_places(value: Any) -> Any:
    """`value` (text, or lists and dicts of it) with "site-packages/torch/..." for paths of the grader's packages."""
    if isinstance(value, str):
        value = PACKAGES.sub("", value)
        for place in PYTHONS:
            value = value.replace(place, "")
        return value
    if isinstance(value, list):
        return [without_places(one) for one in value]
    return value


def hide_places(output: Any) -> None:
    """In everything that an output of a student's code shows as text."""
    for name in ("text", "evalue", "traceback"):
        if name in output:
            output[name] = without_places(output[name])
    for kind, shown in output.get("data", {}).items():
        if kind.startswith("text/"):
            output.data[kind] = without_places(shown)
