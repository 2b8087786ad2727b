"""`python -m torchgrade.hub.cluster.folders ROOT PATH...`: make folders on volumes, for the one user of all pods.

What lies on the way is made too. A folder that is there keeps its content and gets its owner back.
"""

import os
import sys
from pathlib import Path

from torchgrade.hub.cluster.layout import GID, UID


def make(root: Path, folders: list[Path], owner: tuple[int, int] | None) -> list[Path]:
    """Returns what was not there. owner: its numbers of user and group, which only root can give; None: ourselves.
    Raises ValueError for a folder that is not below a volume in `root`."""
    made = []
    for folder in folders:
        inside = folder.relative_to(root)
        if len(inside.parts) < 2 or ".." in inside.parts:
            raise ValueError(f"{folder} is no folder on a volume of {root}")
        for depth in range(2, len(inside.parts) + 1):
            path = root.joinpath(*inside.parts[:depth])
            if not path.is_dir():
                path.mkdir(mode=0o755)
                made.append(path)
            if owner:
                os.chown(path, *owner, follow_symlinks=False)
    return made


if __name__ == "__main__":
    new = make(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]], (UID, GID))
    print("\n".join(f"new: {path}" for path in new) or "All folders are there.")
