"""`python -m torchgrade.hub.cluster.sync_roster DIR`: tell the hub who is in the class of DIR, and who no longer is.

JupyterHub's own configuration only ever adds members. The token is in the environment, as HUB_TOKEN.
"""

import os
import sys
from pathlib import Path

from torchgrade.errors import CourseError
from torchgrade.hub.class_file import read_class
from torchgrade.hub.hub_api import HubApi, NotRunning
from torchgrade.hub.sync import sync_hub

HOST, PORT = "hub", 8081  # the chart's service


def main(folder: Path, host: str = HOST, port: int = PORT) -> int:
    said: list[str] = []
    try:
        sync_hub(read_class(folder), HubApi(port, os.environ["HUB_TOKEN"], host), said.append)
    except (CourseError, NotRunning) as error:
        print(f"sync_roster: {error}", file=sys.stderr)
        return 2  # Kubernetes tries again
    print("\n".join(said) or "The hub agrees with the roster.")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
