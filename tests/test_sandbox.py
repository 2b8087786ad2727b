"""The sandbox: what must not be possible is not, what a lesson needs is, and nothing stays behind."""

import contextlib
import functools
import os
import subprocess
import sys
import time

import psutil
import pytest
from torchgrade.errors import CourseError
from torchgrade.kernels.warm import Parent, WarmSandbox
from torchgrade.sandbox import Limits, Sandbox, bubblewrap, cgroup, memory, require_tier, selftest, tier

pytestmark = [pytest.mark.course, pytest.mark.xdist_group("sandbox")]

PYTHON = sys.executable


def program(code: str) -> list[str]:
    return [PYTHON, "-c", code]


def said(code: str, start=Sandbox, **options) -> str:
    """What `code` writes to a descriptor that it is given."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as answer:
        options = {"limits": Limits()} | options
        before = f"import os\nos.dup2({writer}, 1)\n"
        with start(argv=program(before + code), pass_fds=[writer], **options) as sandbox:
            os.close(writer)
            sandbox.wait(120)
            assert sandbox.program_ended() == 0, sandbox.errors()
        return answer.read().decode()


@pytest.fixture(scope="module")
def parent():
    with contextlib.closing(Parent()) as parent:
        yield parent


@pytest.fixture(params=["cold", "warm"])
def start(request, parent):
    """Both kinds of sandbox: a new process, and a fork of the warm parent."""
    return Sandbox if request.param == "cold" else functools.partial(WarmSandbox, parent)


@pytest.mark.parametrize("what", selftest.ATTEMPTS)
def test_it_holds(what, start):
    held, words = selftest.ATTEMPTS[what](start)
    assert held, words


def test_the_selftest_can_see_a_sandbox_with_a_network(monkeypatch):
    real = bubblewrap.arguments
    leaky = lambda *args, **kwargs: [word for word in real(*args, **kwargs) if word != "--unshare-net"]  # noqa: E731
    monkeypatch.setattr(bubblewrap, "arguments", leaky)
    held, words = selftest.ATTEMPTS["reach the network"](Sandbox)
    assert not held, words


def test_files_are_in_the_work_folder_and_the_program_may_write_there(start):
    code = "open('new', 'w').write('x')\nprint(open('a/b.txt').read(), sorted(os.listdir('.')))"
    assert said(code, start, files={"a/b.txt": b"hello"}) == "hello ['a', 'new']\n"


@pytest.mark.parametrize("name", ["/etc/passwd", "../out", "a/../../b", "", "a\0b"])
def test_a_file_name_that_leads_elsewhere_is_refused(name, start):
    with pytest.raises(ValueError, match="work folder"):
        start(argv=program("pass"), limits=Limits(), files={name: b""})


def test_what_lessons_use_works_inside(start):
    code = """
import torch, matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
x = torch.randn(64, 64, requires_grad=True)
(x @ x).sum().backward()
loader = torch.utils.data.DataLoader(torch.arange(8), batch_size=2, num_workers=2)
plt.plot([1, 2]); plt.savefig("p.png")
print(x.grad.shape, sum(batch.sum().item() for batch in loader), os.path.getsize("p.png") > 1000)
print(torch.compile(lambda v: v + 1, backend="eager")(torch.ones(1)).item())
"""
    assert said(code, start) == "torch.Size([64, 64]) 28 True\n2.0\n"


def test_what_the_program_started_lives_on_until_the_end(start):
    reader, writer = os.pipe()
    later = f"import time; time.sleep(1); os.write({writer}, b'still here'); os._exit(0)"
    code = f"import os\nif os.fork() == 0:\n    {later}\nos._exit(3)"
    with os.fdopen(reader, "rb") as answer, start(argv=program(code), limits=Limits(), pass_fds=[writer]) as sandbox:
        os.close(writer)
        sandbox.wait(20)
        assert sandbox.program_ended() == 3
        assert answer.read() == b"still here"


def test_the_program_can_be_ended_alone(start):
    with start(argv=program("import time; time.sleep(60)"), limits=Limits()) as sandbox:
        sandbox.end_program()
        assert sandbox.program_ended() == -9


def test_many_sandboxes_leave_no_process_and_no_descriptor(start):
    def held() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), len(psutil.Process().children(recursive=True))

    with start(argv=program("pass"), limits=Limits()) as sandbox:
        sandbox.wait(20)
    descriptors, processes = held()
    for _ in range(20):
        with start(argv=program("import time; time.sleep(60)"), limits=Limits()):
            pass
    assert held()[0] == descriptors and held()[1] <= processes


def test_a_sandbox_ends_with_a_grader_that_is_killed():
    grader = subprocess.Popen(
        [
            PYTHON,
            "-c",
            "import sys, time\nfrom torchgrade.sandbox import Limits, Sandbox\n"
            "s = Sandbox([sys.executable, '-c', 'import time; time.sleep(600)'], limits=Limits())\n"
            "print('started', flush=True)\ntime.sleep(600)",
        ],
        stdout=subprocess.PIPE,
    )
    assert grader.stdout is not None and grader.stdout.readline() == b"started\n"
    deadline = time.monotonic() + 20
    while len(inside := psutil.Process(grader.pid).children(recursive=True)) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(inside) >= 3  # bwrap, process 1, the program
    grader.kill()
    grader.wait()
    _, alive = psutil.wait_procs(inside, timeout=10)
    assert not alive


def test_the_machine_answers_while_a_sandbox_forks_without_end(start):
    bomb = "while True:\n    try: os.fork()\n    except OSError: pass"
    with start(argv=program(f"import os\n{bomb}"), limits=Limits(processes=32)):
        time.sleep(1)
        assert said("print('here')", start) == "here\n"


def test_without_bubblewrap_grading_is_refused_and_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr(bubblewrap, "_from_pypi", lambda: None)
    monkeypatch.setenv("PATH", "")
    tier.why_not.cache_clear()
    try:
        with pytest.raises(CourseError, match=r"bubblewrap is missing.*apt install bubblewrap"):
            require_tier("T2")
    finally:
        tier.why_not.cache_clear()


def test_the_root_of_a_rootless_container_grades_as_the_ordinary_user_it_is():
    """unshare makes what such a container has: a "root" that is the only user there is."""
    attempts = "[selftest.ATTEMPTS[what](Sandbox) for what in ('reach the network', 'make a user namespace')]"
    code = f"from torchgrade.sandbox import Sandbox, selftest, tier\nprint(tier.why_not() or {attempts})"
    done = subprocess.run(["unshare", "--user", "--map-root-user", PYTHON, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("[(True,") and done.stdout.count("True") == 2, done.stdout + done.stderr


def test_where_user_namespaces_are_forbidden_the_doctor_says_what_to_allow():
    doctor = f"echo 0 > /proc/sys/user/max_user_namespaces; exec {PYTHON} -m torchgrade.cli doctor"
    done = subprocess.run(["unshare", "--user", "--map-root-user", "sh", "-c", doctor], capture_output=True, text=True)
    assert done.returncode == 1 and "User namespaces are not allowed" in done.stdout, done.stdout + done.stderr


def test_a_control_group_counts_all_processes_together():
    """Where there is one: without its watch, a sandbox still cannot outgrow its memory."""
    if cgroup.hierarchies() is None:
        pytest.skip(f"no control groups here: {cgroup.REMEDY}")
    hogs = "children = [os.fork() for _ in range(3)]\nif 0 in children: x = b'x' * (150 << 20); time.sleep(60)\n"
    code = f"import time\n{hogs}time.sleep(3)\nprint(sum(os.waitpid(c, os.WNOHANG)[0] == 0 for c in children))"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory.Watch, "is_outgrown", lambda watch: False)
        assert int(said(code, limits=Limits(memory=300 << 20))) <= 2


def test_a_tier_that_this_machine_lacks_is_refused(monkeypatch):
    monkeypatch.setattr(cgroup, "hierarchies", lambda: None)
    with pytest.raises(CourseError, match=r"control groups.*Delegate=yes"):
        require_tier("T3")


@pytest.mark.parametrize("minimum", ["T0", "T9", ""])
def test_a_tier_that_is_none_is_refused(minimum):
    with pytest.raises(CourseError, match="minimum_tier"):
        require_tier(minimum)
