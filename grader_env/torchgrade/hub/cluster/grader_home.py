"""`python -m torchgrade.hub.cluster.grader_home`: what the grader's pod runs: makes its course folder, then the server.

The image holds the course in /opt/course. Masters are copied once into the grader's home, where they may be changed.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from torchgrade.hub.cluster.layout import HOME, SETTINGS
from torchgrade.hub.course_folder import make_course_folder
from torchgrade.hub.place import Place

INSTALLATION = Path("/opt/course")


@dataclass(frozen=True)
class GraderPlace(Place):
    """settings: where the chart puts Jupyter's configuration, a folder for each kind of server"""

    settings: Path

    @property
    def jupyter(self) -> Path:
        return self.settings


def main() -> None:
    place = GraderPlace(INSTALLATION, Path(HOME), Path(SETTINGS))
    make_course_folder(place)
    os.chdir(place.course)
    os.execvp("jupyterhub-singleuser", ["jupyterhub-singleuser", *sys.argv[1:]])


if __name__ == "__main__":
    main()
