"""Resolve dev.in afresh and print lock.txt: one set of versions for Python 3.11 to 3.13 on Linux.

Run it as `make lock`. The oldest Python decides, since pip picks for the Python it runs on; then every version found
must admit all of them. Left out are the libraries of torch's CUDA build (torch pins those itself, and its CPU build
has none).
"""

import json
import subprocess
import sys
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import Version

HERE = Path(__file__).parent
PYTHONS = ("3.11.0", "3.12.0", "3.13.0")
MARKERS = {"triton": '; sys_platform == "linux"'}

HEADER = """\
# Written by `make lock` from dev.in. Do not edit: change a .in file and run it again.
"""


def resolve() -> list[dict]:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    report = subprocess.run([*command, "-r", HERE / "dev.in"], check=True, stdout=subprocess.PIPE).stdout
    return [package["metadata"] for package in json.loads(report)["install"]]


def main() -> None:
    if sys.version_info[:2] != (3, 11):
        sys.exit("lock: needs Python 3.11, the oldest that the lock serves. Run: make PYTHON=python3.11 lock")
    lines = []
    for package in resolve():
        name, version = package["name"].lower().replace("_", "-"), Version(package["version"])
        admitted = SpecifierSet(package.get("requires_python", ""))
        if refused := [python for python in PYTHONS if python not in admitted]:
            sys.exit(f"lock: {name} {version} refuses Python {', '.join(refused)}. Bound its version in a .in file.")
        if not name.startswith(("nvidia-", "cuda-")):
            lines.append(f"{name}=={version.public}{MARKERS.get(name, '')}")
    print(HEADER + "\n".join(sorted(lines)))


if __name__ == "__main__":
    main()
