"""A link in a submission may point to any file of this machine: none is followed."""

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from nbgrader.converters import Autograde


def ignore_links(converter: Autograde) -> None:
    """Have nbgrader leave the links out when it copies what was handed in beside the notebooks."""
    links = [link for folder in converter.assignments for link in links_in(folder)]
    for link in links:
        converter.log.warning("%s is a link, which is not followed.", link)
    converter.coursedir.ignore = [*converter.coursedir.ignore, *map(glob.escape, links)]


def links_in(folder: str) -> Iterator[str]:
    """The paths below `folder`, as nbgrader spells them. A notebook that is a link is refused where it is read."""
    for base, _, names in os.walk(folder):
        for name in names:
            if Path(base, name).is_symlink() and not name.endswith(".ipynb"):
                yield os.path.join(base, name)
