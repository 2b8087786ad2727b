"""Warm kernels: a fork of a process that has imported everything behaves like a kernel of its own, and nothing else."""

import contextlib
import logging

import psutil
import pytest
from torchgrade.kernels import warm
from torchgrade.kernels.kernel import Ended, Kernel, OutputLimit
from torchgrade.kernels.warm import NoParent, Parent
from torchgrade.sandbox import Limits
from traitlets.log import get_logger

pytestmark = [pytest.mark.course, pytest.mark.xdist_group("warm")]


@pytest.fixture(scope="module")
def parent():
    with contextlib.closing(Parent()) as parent:
        yield parent


def printed(kernel, source, seconds=60.0):
    """What a cell prints, and its errors."""
    found = []
    ended = kernel.run(source, seconds=seconds, limit=OutputLimit(), on_output=lambda message: found.append(message))
    assert ended in (Ended.DONE, Ended.FAILED)
    contents = [message["content"] for message in found]
    return "".join(str(content.get("text", "")) + str(content.get("evalue", "")) for content in contents)


def said(parent, source):
    with Kernel(limits=Limits(), parent=parent) as kernel:
        return printed(kernel, source)


def forks_parent(parent):
    """The process that has imported everything."""
    family = psutil.Process(parent._sandbox._pid).children(recursive=True)
    return next(one for one in family if "torchgrade.kernels.parent" in one.cmdline() and "-I" not in one.cmdline())


@pytest.mark.parametrize(
    "source",
    [
        "import random, numpy, torch\nprint(random.random(), numpy.random.rand(), torch.rand(2))",
        "import os, tempfile\nprint(os.getcwd(), os.environ['HOME'], tempfile.gettempdir(), os.getpid())",
        "import os\nprint(sorted(os.environ), sorted(os.listdir('.')), os.getuid() == 0)",
        "import sys\nprint(__name__, 'history' in dir(get_ipython()), In, Out)",
        "import warnings\nwarnings.warn('once')\n1 / 0",
        "import threading, signal\nprint(threading.current_thread().name, signal.getsignal(signal.SIGCHLD))",
        "import torch\nprint(hash('text'), torch.get_num_threads(), torch.is_grad_enabled())",
    ],
)
def test_a_warm_kernel_says_what_a_cold_one_says(parent, source):
    assert said(parent, source) == said(None, source)


def test_matrix_products_training_pictures_and_workers_do_not_hang_in_a_fork(parent):
    source = """
import torch, matplotlib.pyplot as plt
torch.set_num_threads(2)
x = torch.randn(800, 800, requires_grad=True)
(x @ x).sum().backward()
optimizer = torch.optim.AdamW([x])
optimizer.step()
loader = torch.utils.data.DataLoader(torch.arange(8), batch_size=2, num_workers=2)
print(sum(batch.sum().item() for batch in loader))
print(torch.compile(lambda v: v + 1, backend="eager")(torch.ones(1)).item())
plt.plot([1, 2]); plt.savefig("p.png")
"""
    assert said(parent, source) == "28\n2.0\n"


def test_two_kernels_share_no_file_no_process_and_no_name(parent):
    with Kernel(limits=Limits(), parent=parent) as one, Kernel(limits=Limits(), parent=parent) as other:
        printed(one, "secret = 1\nfor name in ('/tmp/work/x', '/dev/shm/x', '/tmp/y'): open(name, 'w').write('x')")
        looks = "import os\nprint(os.listdir('/tmp/work'), os.listdir('/dev/shm'), os.path.exists('/tmp/y'))"
        assert printed(other, looks) == "[] [] False\n"
        assert "secret" in printed(other, "secret")
        assert printed(other, "print(len([n for n in os.listdir('/proc') if n.isdigit()]))") == "2\n"


def test_the_parent_has_one_thread_and_no_student_can_write_to_it(parent):
    said(parent, "import sys\nsys.modules['torch'].forged = True")
    assert forks_parent(parent).num_threads() == 1
    assert "False" in said(parent, "import torch\nprint(hasattr(torch, 'forged'))")


def test_a_parent_that_died_is_replaced(monkeypatch):
    shared = warm._Shared()
    with contextlib.closing(shared):
        first = shared.get()
        first.wait_until_ready()
        forks_parent(first).kill()
        first._sandbox.wait(10)
        assert shared.get() is not first
        assert said(shared.get(), "print(1)") == "1\n"


def test_a_parent_that_has_forked_often_is_replaced(monkeypatch):
    monkeypatch.setattr(warm, "FORKS", 1)
    shared = warm._Shared()
    with contextlib.closing(shared):
        first = shared.get()
        assert said(first, "print(1)") == "1\n"
        assert shared.get() is not first


def test_a_kernel_outlives_its_killed_parent_but_not_the_end_of_grading():
    with contextlib.closing(Parent()) as parent, Kernel(limits=Limits(), parent=parent) as kernel:
        forks_parent(parent).kill()
        assert printed(kernel, "print(1)") == "1\n"
        processes = psutil.Process(parent._sandbox._pid).children(recursive=True)
    assert len(processes) > 1 and not psutil.wait_procs(processes, timeout=10)[1]


def test_without_a_parent_a_kernel_starts_cold_and_says_so(caplog, monkeypatch):
    class Gone:
        def wait_until_ready(self):
            raise NoParent("no namespaces here")

    monkeypatch.setattr(get_logger(), "propagate", True)
    with caplog.at_level(logging.WARNING):
        assert said(Gone(), "print(1)") == "1\n"
    assert "A kernel starts cold, which costs seconds: no namespaces here." in caplog.text
