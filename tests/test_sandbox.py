"""The sandbox: what must not be possible is not, what a lesson needs is, and nothing stays behind."""

import os
import subprocess
import sys
import time

import psutil
import pytest
from torchgrade.errors import CourseError
from torchgrade.sandbox import Limits, Sandbox, bubblewrap, require_tier, selftest, tier

pytestmark = [pytest.mark.course, pytest.mark.xdist_group("sandbox")]

PYTHON = sys.executable


def program(code: str) -> list[str]:
    return [PYTHON, "-c", code]


def said(code: str, **options) -> str:
    """What `code` writes to a descriptor that it is given."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as answer:
        options = {"limits": Limits()} | options
        start = f"import os\nos.dup2({writer}, 1)\n"
        with Sandbox(program(start + code), pass_fds=[writer], **options) as sandbox:
            os.close(writer)
            sandbox.wait(120)
            assert sandbox.program_ended() == 0, sandbox.errors()
        return answer.read().decode()


@pytest.mark.parametrize("what", selftest.ATTEMPTS)
def test_it_holds(what):
    held, words = selftest.ATTEMPTS[what]()
    assert held, words


def test_the_selftest_can_see_a_sandbox_with_a_network(monkeypatch):
    real = bubblewrap.arguments
    leaky = lambda *args, **kwargs: [word for word in real(*args, **kwargs) if word != "--unshare-net"]  # noqa: E731
    monkeypatch.setattr(bubblewrap, "arguments", leaky)
    held, words = selftest.ATTEMPTS["reach the network"]()
    assert not held, words


def test_files_are_in_the_work_folder_and_the_program_may_write_there():
    code = "open('new', 'w').write('x')\nprint(open('a/b.txt').read(), sorted(os.listdir('.')))"
    assert said(code, files={"a/b.txt": b"hello"}) == "hello ['a', 'new']\n"


@pytest.mark.parametrize("name", ["/etc/passwd", "../out", "a/../../b", "", "a\0b"])
def test_a_file_name_that_leads_elsewhere_is_refused(name):
    with pytest.raises(ValueError, match="work folder"):
        Sandbox(program("pass"), limits=Limits(), files={name: b""})


def test_what_lessons_use_works_inside():
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
    assert said(code) == "torch.Size([64, 64]) 28 True\n2.0\n"


def test_what_the_program_started_lives_on_until_the_end():
    reader, writer = os.pipe()
    later = f"import time; time.sleep(1); os.write({writer}, b'still here'); os._exit(0)"
    code = f"import os\nif os.fork() == 0:\n    {later}\nos._exit(3)"
    with os.fdopen(reader, "rb") as answer, Sandbox(program(code), limits=Limits(), pass_fds=[writer]) as sandbox:
        os.close(writer)
        sandbox.wait(20)
        assert sandbox.program_ended() == 3
        assert answer.read() == b"still here"


def test_the_program_can_be_ended_alone():
    with Sandbox(program("import time; time.sleep(60)"), limits=Limits()) as sandbox:
        sandbox.end_program()
        assert sandbox.program_ended() == -9


def test_many_sandboxes_leave_no_process_and_no_descriptor():
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    with Sandbox(program("pass"), limits=Limits()) as sandbox:
        sandbox.wait(20)
    before = descriptors(), len(psutil.Process().children(recursive=True))
    for _ in range(20):
        with Sandbox(program("import time; time.sleep(60)"), limits=Limits()):
            pass
    assert (descriptors(), len(psutil.Process().children(recursive=True))) == before


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
    inside = psutil.Process(grader.pid).children(recursive=True)
    assert len(inside) >= 2
    grader.kill()
    grader.wait()
    _, alive = psutil.wait_procs(inside, timeout=10)
    assert not alive


def test_the_machine_answers_while_a_sandbox_forks_without_end():
    bomb = "while True:\n    try: os.fork()\n    except OSError: pass"
    with Sandbox(program(f"import os\n{bomb}"), limits=Limits(processes=32)):
        time.sleep(1)
        assert said("print('here')") == "here\n"


def test_without_bubblewrap_grading_is_refused_and_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr(bubblewrap, "_from_pypi", lambda: None)
    monkeypatch.setenv("PATH", "")
    tier.why_not.cache_clear()
    try:
        with pytest.raises(CourseError, match=r"bubblewrap is missing.*apt install bubblewrap"):
            require_tier("T2")
    finally:
        tier.why_not.cache_clear()


def test_where_user_namespaces_are_forbidden_the_doctor_says_what_to_allow():
    doctor = f"echo 0 > /proc/sys/user/max_user_namespaces; exec {PYTHON} -m torchgrade.cli doctor"
    done = subprocess.run(["unshare", "--user", "--map-root-user", "sh", "-c", doctor], capture_output=True, text=True)
    assert done.returncode == 1 and "User namespaces are not allowed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("minimum", ["T0", "T9", ""])
def test_a_tier_that_is_none_is_refused(minimum):
    with pytest.raises(CourseError, match="minimum_tier"):
        require_tier(minimum)
