"""The exchange of a cluster, end to end, on folders of this machine.

A student's nbgrader runs in a sandbox that mounts exactly what the pod of this student would mount, read-only where
the pod has it read-only. The grader's runs with the whole volume, as its pod does.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cluster_class import described
from small_course import LESSON, make_course, released, solved, write
from torchgrade.demo.grading import Grading
from torchgrade.hub.cluster import folders, layout
from torchgrade.hub.cluster.values import nbgrader_config
from torchgrade.hub.description import ClassDescription
from torchgrade.hub.role_folders import Kind
from torchgrade.sandbox.bubblewrap import program

pytestmark = [pytest.mark.course, pytest.mark.xdist_group("cluster exchange")]
ADA, BEN = "student-01", "student-02"
TIME = "2026-11-25 10:00:00.000000 UTC"


class Cluster:
    """The two volumes, and pods that mount parts of them."""

    def __init__(self, root: Path):
        self.root, self.volumes = root, root / "volumes"
        self.description: ClassDescription = described(root / "class")[0]
        wanted = layout.folders(self.description)
        paths = [self.volumes / volume / folder for volume, names in wanted.items() for folder in names]
        for volume in wanted:
            (self.volumes / volume).mkdir(parents=True)
        folders.make(self.volumes, paths, owner=None)
        self.course = make_course(root / "course")
        self._configure(self.course, Kind.GRADER, self.exchange)

    @property
    def exchange(self) -> Path:
        return self.volumes / layout.EXCHANGE

    @property
    def inbound(self) -> Path:
        return self.exchange / "pytorch" / "inbound"

    def home(self, name: str) -> Path:
        return self.volumes / layout.HOMES / name

    def pod(self, name: str, *command: str, fails: bool = False) -> str:
        """Run a command in the home of `name`, with the mounts of the pod of `name`; returns what it says."""
        settings = self.root / "settings"
        settings.mkdir(exist_ok=True)
        self._configure(settings, Kind.STUDENT, Path(layout.EXCHANGE_ROOT))
        arguments = [program(), "--die-with-parent", "--unshare-pid", "--proc", "/proc", "--dev", "/dev"]
        arguments += ["--tmpfs", "/tmp"]  # first: the code may lie below it
        for place in ("/usr", "/bin", "/lib", "/lib64", "/etc", sys.prefix, sys.base_prefix, str(folders_of_code())):
            if os.path.exists(place):
                arguments += ["--ro-bind", place, place]
        arguments += ["--ro-bind", str(settings), "/settings"]
        for mount in layout.mounts(self.description, name):
            if mount["name"] == layout.SHARED_MEMORY:
                continue
            how = "--ro-bind" if mount.get("readOnly") else "--bind"
            source = self.volumes / mount["name"] / mount.get("subPath", "")
            arguments += [how, str(source), mount["mountPath"]]
        environment = {
            "HOME": layout.HOME,
            "PATH": "/usr/bin:/bin",
            "JUPYTER_CONFIG_PATH": "/settings",
            "JUPYTERHUB_USER": name,
        }
        done = subprocess.run(
            [*arguments, "--chdir", layout.HOME, *command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def nbgrader(self, name: str, *command: str, fails: bool = False) -> str:
        return self.pod(name, sys.executable, "-m", "nbgrader", *command, fails=fails)

    def python(self, name: str, program: str, fails: bool = False) -> str:
        return self.pod(name, sys.executable, "-c", program, fails=fails)

    def at_the_grader(self, *command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", *command], cwd=self.course, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def collect(self) -> str:
        """As the formgrader does; returns what nbgrader says about it."""
        log = self.course / "nbgrader.log"
        log.unlink(missing_ok=True)
        Grading(self.course, LESSON).collect()
        return log.read_text(encoding="utf8")

    def hand_in(self, folder: str, name: str, text: str = "{}") -> Path:
        """What a student can leave in the own folder without nbgrader."""
        made = self.inbound / folder / name
        made.mkdir()
        (made / f"{LESSON}.ipynb").write_text(text)
        (made / "timestamp.txt").write_text(TIME)
        return made

    def write_feedback(self, name: str) -> None:
        """What `nbgrader generate_feedback` would write; grading is tested elsewhere."""
        handed_in, target = self.course / "submitted" / name / LESSON, self.course / "feedback" / name / LESSON
        target.mkdir(parents=True)
        for kept in ("timestamp.txt", "submission_secret.txt"):
            shutil.copy(handed_in / kept, target)
        (target / f"{LESSON}.html").write_text(f"<p>Feedback for {name}.</p>")

    def _configure(self, folder: Path, kind: Kind, exchange: Path) -> None:
        text = nbgrader_config(self.description, kind).replace(layout.EXCHANGE_ROOT, str(exchange))
        with (folder / "nbgrader_config.py").open("a", encoding="utf8") as config:
            config.write(text)


def folders_of_code() -> Path:
    import torchgrade

    return Path(torchgrade.__file__).parents[1]


@pytest.fixture(scope="module")
def released_lesson(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    grading = Grading(cluster.course, LESSON)
    grading.generate()
    grading.release()
    return cluster


@pytest.fixture
def cluster(released_lesson: Cluster) -> Cluster:
    """With nothing handed in yet."""
    for folder in released_lesson.inbound.iterdir():
        for left in folder.iterdir():
            left.unlink() if left.is_symlink() else shutil.rmtree(left)
    shutil.rmtree(released_lesson.course / "submitted", ignore_errors=True)
    return released_lesson


def submissions(cluster: Cluster) -> dict[str, str]:
    """The notebook collected of each student."""
    found = (cluster.course / "submitted").glob(f"*/{LESSON}/{LESSON}.ipynb")
    return {path.parts[-3]: path.read_text(encoding="utf8") for path in found}


def test_a_lesson_goes_round_for_two_students(cluster: Cluster):
    assert LESSON in cluster.nbgrader(ADA, "list")
    right, untouched = solved(cluster.course), released(cluster.course)
    for name, notebook in ((ADA, right), (BEN, untouched)):
        cluster.nbgrader(name, "fetch_assignment", LESSON)
        write(cluster.home(name) / LESSON / f"{LESSON}.ipynb", notebook)
        cluster.nbgrader(name, "submit", LESSON)
    listed = cluster.at_the_grader("list", "--inbound")
    assert f"pytorch {ADA} {LESSON}" in listed and f"pytorch {BEN} {LESSON}" in listed
    cluster.collect()
    assert submissions(cluster).keys() == {ADA, BEN}
    for name in (ADA, BEN):
        cluster.write_feedback(name)
    cluster.at_the_grader("release_feedback", LESSON)
    pages = {name: list((cluster.exchange / "pytorch" / "feedback" / name).glob("*.html")) for name in (ADA, BEN)}
    assert [len(found) for found in pages.values()] == [1, 1]
    assert "feedback ready to be fetched" in cluster.nbgrader(ADA, "list", "--cached")
    for name in (ADA, BEN):
        cluster.nbgrader(name, "fetch_feedback", LESSON)
        (page,) = (cluster.home(name) / LESSON / "feedback").glob("*/*.html")
        assert page.read_bytes() == pages[name][0].read_bytes()
    assert pages[ADA][0].read_bytes() != pages[BEN][0].read_bytes()


def test_a_newer_submission_replaces_the_older_one(cluster: Cluster):
    cluster.hand_in(ADA, f"{ADA}+{LESSON}+2026-11-25 10:00:00.000000 UTC+x", '{"old": 1}')
    cluster.collect()
    cluster.hand_in(ADA, f"{ADA}+{LESSON}+2026-11-25 11:00:00.000000 UTC+y", '{"new": 1}')
    cluster.collect()
    assert json.loads(submissions(cluster)[ADA]) == {"new": 1}


def test_an_attackers_pod_holds_nothing_of_anybody_else(cluster: Cluster):
    """Ada has handed in, and has feedback; Ben looks for it."""
    cluster.hand_in(ADA, f"{ADA}+{LESSON}+{TIME}+x", "the answer")
    (cluster.exchange / "pytorch" / "feedback" / ADA / "secret.html").write_text("the answer")
    (cluster.home(ADA) / "secret.txt").write_text("the answer")
    said = cluster.python(
        BEN,
        "import os\n"
        "for top in ('/srv', '/home'):\n"
        "    for folder, _, files in os.walk(top):\n"
        "        print(folder, *files)\n"
        "        for name in files:\n"
        "            assert 'the answer' not in open(os.path.join(folder, name), errors='ignore').read()\n",
    )
    print(said)
    assert ADA not in said and "secret.html" not in said
    assert "/srv/exchange/pytorch/inbound" in said and LESSON in said


@pytest.mark.parametrize(
    "program",
    [
        f"open('/srv/exchange/pytorch/outbound/{LESSON}/{LESSON}.ipynb', 'a')",
        "open('/srv/exchange/pytorch/feedback/forged.html', 'w')",
        "import os; os.rename('/srv/exchange/pytorch/outbound', '/srv/exchange/pytorch/old')",
    ],
)
def test_releases_and_feedback_cannot_be_changed(cluster: Cluster, program: str):
    said = cluster.python(BEN, program, fails=True)
    assert "Read-only file system" in said or "Device or resource busy" in said


def test_a_forged_name_is_collected_as_its_authors(cluster: Cluster):
    """By Ben, in Ada's name, however he writes it, and whoever he says he is."""
    (cluster.home(BEN) / LESSON).mkdir(exist_ok=True)
    write(cluster.home(BEN) / LESSON / f"{LESSON}.ipynb", released(cluster.course))
    cluster.pod(BEN, "/usr/bin/env", f"JUPYTERHUB_USER={ADA}", sys.executable, "-m", "nbgrader", "submit", LESSON)
    cluster.hand_in(BEN, f"..+{LESSON}+2000-01-01 10:00:00.000000 UTC+x")
    cluster.hand_in(BEN, f"{ADA}+x+{LESSON}+2000-01-01 10:00:00.000000 UTC+x")
    assert any(path.name.startswith(f"{ADA}+") for path in (cluster.inbound / BEN).iterdir())
    cluster.collect()
    assert submissions(cluster).keys() == {BEN}


def test_a_link_to_anothers_work_is_not_followed(cluster: Cluster):
    """At the grader, where all folders are, it would lead there."""
    hers = cluster.hand_in(ADA, f"{ADA}+{LESSON}+{TIME}+x", "the answer")
    later = "2026-11-25 12:00:00.000000 UTC"
    cluster.python(
        BEN,
        "import os\n"
        f"os.symlink('../{ADA}/{hers.name}', '/srv/exchange/pytorch/inbound/{BEN}+{LESSON}+{later}+x')\n"
        f"own = '/srv/exchange/pytorch/inbound/{BEN}+{LESSON}+2026-11-25 11:00:00.000000 UTC+x'\n"
        "os.mkdir(own)\n"
        f"os.symlink('../../{ADA}/{hers.name}/{LESSON}.ipynb', own + '/{LESSON}.ipynb')\n"
        "open(own + '/timestamp.txt', 'w').write('2026-11-25 11:00:00.000000 UTC')\n",
    )
    said = cluster.collect()
    assert submissions(cluster).keys() == {ADA}
    assert "is not collected" in said


def test_a_name_that_is_none_keeps_nobody_elses_work_from_being_collected(cluster: Cluster):
    cluster.hand_in(ADA, f"{ADA}+{LESSON}+{TIME}+x")
    cluster.hand_in(BEN, f"x+{LESSON}+not a time+x")
    said = cluster.collect()
    assert "its name says no time" in said
    assert ADA in submissions(cluster)
