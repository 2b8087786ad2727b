"""Real use, with a unix user for everybody, in a mount namespace with an /etc, /home and /srv of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SECONDS = 900
# $1: a scratch folder; $2: where to go; the lines of CLOSED: a folder that others may not enter (/root, say) and one in
# it that they need. Those are shown again at the same place, in an open folder. There may be none: an empty line.
ENTER = """
set -e
mount --make-rprivate /
cp -a /etc "$1/etc" && mount --bind "$1/etc" /etc
for folder in /home /srv; do mount -t tmpfs -o mode=755 tmpfs $folder; done
number=0
while IFS=: read -r closed needed && [ "$closed" ]; do
    number=$((number + 1)) && mkdir -p /srv/kept/$number && mount --bind "$needed" /srv/kept/$number
done <<<"$CLOSED"
cut -d: -f1 <<<"$CLOSED" | sort -u | while read -r closed && [ "$closed" ]; do
    mount -t tmpfs -o mode=755 tmpfs "$closed"
done
number=0
while IFS=: read -r closed needed && [ "$closed" ]; do
    number=$((number + 1)) && mkdir -p "$needed" && mount --bind /srv/kept/$number "$needed"
done <<<"$CLOSED"
cd "$2" && shift 2 && exec "$@"
"""


def closed(*needed: Path) -> str:
    """A line for each that others cannot reach: the first folder on its way that they may not pass, and itself."""
    found = [(parent, path) for path in needed for parent in reversed(path.parents) if not is_open(parent)]
    first = {path: parent for parent, path in reversed(found)}
    return "\n".join(f"{parent}:{path}" for path, parent in first.items())


def is_open(folder: Path) -> bool:
    return bool(folder.stat().st_mode & 0o001)


@pytest.mark.course
@pytest.mark.xdist_group("hub real use")
@pytest.mark.skipif(os.geteuid() != 0, reason="unix users are made and tried out by root only")
def test_real_use(tmp_path: Path):
    """Its promises are those of hub_real_use.py, which runs inside."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("no mount namespace of our own here (a container without CAP_SYS_ADMIN): users are not tried out")
    assert shutil.which("useradd", path="/usr/sbin:/usr/bin")
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "tests/hub_real_use.py"]
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", ENTER, "enter", str(tmp_path), str(ROOT), *tests],
        env={**os.environ, "TMPDIR": "/srv", "CLOSED": closed(ROOT, Path(sys.base_prefix).resolve())},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
