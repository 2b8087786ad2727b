"""`check.triton`: kernels run, count and compile where there is no GPU, the same in a notebook and in the sandbox."""

import contextlib
import signal
import subprocess
import sys
import tempfile
from typing import Any

import pytest
import torch
from check_cells import cell, execute, in_a_notebook, judged
from torchgrade.autograde.notebook_run import NotebookRun, Step
from torchgrade.check import triton
from torchgrade.check.failures import CheckFailed, NotAnswered, Undecided
from torchgrade.check.student import LocalStudent, answering
from torchgrade.judge.question import seconds_from_now
from torchgrade.judge.remote import RemoteStudent
from torchgrade.kernels.warm import Parent
from torchgrade.sandbox import Limits
from torchgrade.triton_lab import answer, own_process, remembered
from torchgrade.triton_lab.report import Compiled, Unreadable, read
from torchgrade.triton_lab.resources import used
from torchgrade.triton_lab.roofline import estimate
from triton_kernels import ADD, FLASH, IMPORTS

pytestmark = pytest.mark.xdist_group("triton")

ASKS_ADD = """
# Check 14.1
import torch
from torchgrade import check
x, y = torch.randn(300), torch.randn(300)
report = check.triton(lambda: add(x, y), targets={targets})
check.close(report.result, x + y, "the sum")
"""
ASKS_FLASH = """
# Check 14.2
import torch, torch.nn.functional as F
from torchgrade import check
q, k, v = (torch.randn(2, {n}, {d}).half() for _ in range(3))
report = check.triton(lambda: flash_forward(q, k, v), targets={targets})
check.close(report.result, F.scaled_dot_product_attention(q, k, v), "matches the reference")
"""
KV = 2 * 40 * 16 * 2  # bytes of one head's keys and values in the question below
ALL = (80, 90, 100)
SUM = "tl.sum(a[:, :, None].to(tl.float32) * b[None, :, :].to(tl.float32), 1)"
TWICE = "".join(
    line + line * (" k = tile(" in line or " v = tile(" in line) for line in FLASH.splitlines(keepends=True)
)


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(remembered, "_answers", {})


def report_on(test: str, *cells: str, who: Any = None) -> Any:
    """The report that a test cell gets from a student with these cells, or from `who`."""
    student: dict[str, Any] = {"__name__": "__main__"}
    for source in () if who else (IMPORTS, *cells):
        execute(cell(source), student)
    space: dict[str, Any] = {}
    with answering(who or LocalStudent(student)):
        execute(cell(test), space)
    return space["report"]


def said(test: str, *cells: str) -> str:
    """The class and the message of the failed check."""
    with pytest.raises(CheckFailed) as failed:
        report_on(test, *cells)
    return f"{type(failed.value).__name__}: {failed.value}"


def add(targets=()):
    return ASKS_ADD.format(targets=targets)


def flash(targets=(), n=40, d=16):
    return ASKS_FLASH.format(targets=targets, n=n, d=d)


@pytest.mark.parametrize("run", [in_a_notebook, judged])
def test_a_sum_of_vectors(run):
    test = add((90,)) + cell("""
        assert (report.loaded, report.stored) == (2 * 300 * 4, 300 * 4), report
        (launch,) = report.launches
        assert (launch.kernel, launch.grid, launch.constants) == ("add_kernel", (3, 1, 1), {"BLOCK": 128}), launch
        code = report.compiled[90]
        assert code.error is None and 0 < code.registers < 100 and code.spills == 0 and not code.tensor_cores, code
        assert report.seconds is None or report.seconds > 0
    """)
    assert str(run(f"{IMPORTS}\n\n{ADD}", test)) == "passed"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The report on a right kernel, with its machine code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("good")))
        return report_on(flash(ALL), FLASH)


def test_flash_attention_moves_each_byte_as_often_as_its_blocks_ask(good):
    queries = outputs = KV  # bytes of two heads, as many as one head's keys and values
    assert (good.loaded, good.stored) == (queries + 2 * 3 * KV, outputs)


def test_a_product_of_bfloat16_is_right_and_a_sum_is_refused_rather_than_wrong():
    rounded = 'reference", tolerance=(2e-2, 1e-2), because="the weights are rounded")'
    test = flash().replace(".half()", ".bfloat16()").replace('reference")', rounded)
    assert report_on(test, FLASH).result.dtype is torch.bfloat16
    message = said(add().replace("(300)", "(300).bfloat16()"), ADD)
    assert message.startswith(
        "StudentRaised: Your code stopped with TypeError: Triton's interpreter cannot compute with"
    )


def test_keys_and_values_loaded_twice_count_exactly_twice(good):
    wasteful = report_on(flash(), TWICE)
    assert wasteful.loaded - KV == 2 * (good.loaded - KV)
    assert wasteful.stored == good.stored


def test_a_dot_runs_on_tensor_cores_and_a_sum_of_products_does_not(good):
    without = report_on(flash(ALL), FLASH.replace("tl.dot(a, b)", SUM))
    assert [(good.compiled[target].error, good.compiled[target].tensor_cores) for target in ALL] == [(None, True)] * 3
    assert [(without.compiled[target].error, without.compiled[target].tensor_cores) for target in ALL] == [
        (None, False)
    ] * 3


def test_a_kernel_that_spills_is_told_from_one_that_does_not(good):
    assert good.compiled[80].spills == 0
    spilling = report_on(
        flash((80,), n=64, d=64), FLASH.replace("BLOCK = 16", "BLOCK = 64").replace("warps=4", "warps=1")
    )
    assert spilling.compiled[80].error is None
    with pytest.raises(AssertionError):
        assert spilling.compiled[80].spills == 0
    assert spilling.compiled[80].registers > good.compiled[80].registers


STUB = "raise NotImplementedError()"
NO_ANSWER = "NotAnswered: Exercise 14.1: not answered yet"


@pytest.mark.parametrize(
    ("line", "run"),
    [("    mask = at < n", in_a_notebook), ("    mask = at < n", judged), ("    out = torch.empty_like(x)", judged)],
)
def test_an_unfilled_stub_is_no_answer_in_launcher_and_kernel(line, run):
    stub = ADD.replace(line, f"    ### BEGIN SOLUTION\n    {STUB}")
    assert stub != ADD
    assert str(run(f"{IMPORTS}\n\n{stub}", add(ALL))) == NO_ANSWER


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("x + y", "x + z", "NameError: name 'z' is not defined\n  in add_kernel, line 7 of its cell: tl.store(out_ptr"),
        (
            "x_ptr + at, mask=mask",
            "x_ptr + at",
            "IndexError: tl.load reads 84 elements outside of every tensor of the launch; is a mask missing or wrong?\n"
            "  in add_kernel, line 5 of its cell: x = tl.load(x_ptr + at)",
        ),
        (
            "BLOCK=128",
            "128, BLOK=128",
            "KeyError: 'Keyword argument BLOK was specified but unrecognised'\n  in add, line",
        ),
    ],
)
def test_an_error_names_the_students_line(right, wrong, message):
    assert ADD.count(right) == 1
    assert said(add(), ADD.replace(right, wrong)).startswith(f"StudentRaised: Your code stopped with {message}")


def test_an_error_in_a_function_that_a_kernel_calls_names_its_line():
    assert said(flash(), FLASH.replace("tl.dot(a, b)", "tl.dot(a, c)")).endswith(
        "NameError: name 'c' is not defined\n  in product, line 13 of its cell: return tl.dot(a, c)"
    )


def test_a_kernel_that_loops_for_ever_is_stopped_and_its_line_is_named(monkeypatch):
    monkeypatch.setattr(answer, "SECONDS", 1.0)
    looping = ADD.replace("    mask = at < n\n", "    mask = at < n\n    while True:\n        pass\n")
    message = said(add(), looping)
    assert message.startswith(
        "StudentRaised: Your code stopped with TimeoutError: it did not end within 1 s\n  in add_"
    )
    assert message.endswith(("line 5 of its cell: while True:", "line 6 of its cell: pass"))


def test_a_launcher_that_does_not_listen_is_killed(monkeypatch):
    monkeypatch.setattr(answer, "SECONDS", 0.5)
    monkeypatch.setattr(own_process, "GRACE", 3.0)
    deaf = (
        "import time\ndef add(x, y):\n    while True:\n        try: time.sleep(9)\n        except BaseException: pass"
    )
    assert said(add(), deaf) == "StudentRaised: Your code stopped with TimeoutError: it did not end within 0.5 s"


def test_an_end_of_the_process_is_told_as_the_codes_own():
    assert said(add(), "import os\ndef add(x, y):\n    os.abort()") == (
        "StudentRaised: Your code stopped with RuntimeError: the process that ran the kernel was ended by SIGABRT"
    )


def test_a_kernel_that_does_not_compile_says_why_and_where():
    spoiled = ADD.replace("x + y, mask", "x + SHIFT, mask")
    report = report_on(add((80,)).replace("x + y", "x + 2"), "SHIFT = 2", spoiled)
    assert report.compiled[80].error.startswith("Cannot access global variable SHIFT from within @jit'ed function.")
    assert report.compiled[80].error.endswith("(in `tl.store(out_ptr + at, x + SHIFT, mask=mask)`)")


def test_an_answer_without_a_kernel_is_refused():
    assert said(add(), "def add(x, y):\n    return x + y").startswith("WrongMethod: No Triton kernel was launched")


def test_only_what_the_probe_needs_runs_again_with_the_values_of_now(capfd):
    cells = ADD.replace("128", "SIZE").replace("triton.cdiv", "blocks").split("\n\n\n")
    kernel = cells[0].replace("@triton.jit\ndef add_kernel", "def plain").replace("BLOCK:", "BLOCK :")
    report = report_on(
        add(),
        "from triton import cdiv as blocks\nSIZE = 256",
        f"{kernel}\n\nadd_kernel = triton.jit(plain)\nassert 'demonstration' not in globals()\nprint('once')",
        f"demonstration = lambda: 1\n{cells[1]}\n    # the end",
        "SIZE = 64",
    )
    assert report.launches[0].grid == (5, 1, 1)
    assert capfd.readouterr().out == "once\n"


def test_an_autotuned_kernel_runs_with_its_first_configuration():
    configurations = "[triton.Config({'BLOCK': 64}, num_warps=2), triton.Config({'BLOCK': 32})]"
    tuned = f"@triton.autotune({configurations}, key=['n'])\n" + ADD.replace(", BLOCK=128", "")
    tuned = tuned.replace("[(triton.cdiv(x.numel(), 128),)]", "[lambda meta: (triton.cdiv(x.numel(), meta['BLOCK']),)]")
    report = report_on(add((80,)), tuned)
    assert report.launches[0].constants == {"BLOCK": 64}
    assert report.compiled[80].error is None


def test_the_same_question_is_answered_once(monkeypatch):
    asked = []
    ask = own_process.ask
    monkeypatch.setattr(
        own_process, "ask", lambda module, *rest, **named: asked.append(module) or ask(module, *rest, **named)
    )
    first = report_on(add((80,)), ADD)
    remembered._answers.clear()  # as in another kernel, where the test draws other numbers
    second = report_on(add((80,)), ADD)
    assert [module.rsplit(".")[-1] for module in asked] == ["interpret", "compile", "interpret"]
    assert first.launches == second.launches


@pytest.fixture(scope="module")
def parent():
    with contextlib.closing(Parent()) as parent:
        yield parent


@pytest.mark.course
@pytest.mark.parametrize("start", ["warm", "cold"])
def test_the_sandbox_gives_the_same_report_and_the_same_no_answer(start, good, request):
    sources = [IMPORTS, FLASH, None, ADD.replace("    mask = at < n", f"    {STUB}"), None]
    steps = [Step(source or "", judged=source is None) for source in sources]
    warm = request.getfixturevalue("parent") if start == "warm" else None
    limits = {"cell_seconds": 30.0, "notebook_seconds": 90.0, "files": {}, "limits": Limits()}
    with NotebookRun(steps, **limits, parent=warm) as notebook:
        notebook.run()
        assert [step.stopped for step in steps] == [None] * len(steps)
        asked, after = (RemoteStudent(steps[place].connection, deadline=seconds_from_now(90.0)) for place in (2, 4))
        report = report_on(flash(ALL), who=asked)
        with pytest.raises(NotAnswered):
            report_on(add(), who=after)
        assert after.heard[-1][1].raised.lines[-1].text == STUB  # what the feedback quotes
    assert report.launches == good.launches
    assert (report.loaded, report.stored) == (good.loaded, good.stored)


def test_more_shared_memory_than_a_block_may_have_is_an_error():
    assert used("", "", 200_000, 90).get("error") is None
    assert used("", "", 200_000, 80)["error"] == (
        "it needs 200,000 bytes of shared memory, and a block of sm_80 has 166,912"
    )


@pytest.mark.parametrize(
    "instruction", ["wgmma.mma_async.sync.aligned.m64n64k16", "@%p1 tcgen05.mma.cta_group::1.kind"]
)
def test_the_matrix_instructions_of_each_architecture_are_known(instruction):
    assert used("", f"\t{instruction} ...;", 0, 100)["tensor_cores"]
    assert not used("", f"\t// {instruction}", 0, 100)["tensor_cores"]


def test_an_estimate_says_that_it_is_one():
    moved = estimate("A100", 2_039_000_000, 0)
    assert moved == pytest.approx(1e-3) and moved.limit == "memory"
    assert f"{moved}" == "an estimate, not measured: at least 1e+03 µs on A100, limited by memory"
    assert estimate("H100", 1, 989e9).limit == "compute"


LAUNCH = {
    "kernel": "k",
    "grid": [1, 1, 1],
    "loaded": 1,
    "stored": 1,
    "constants": {},
    "compiled": {80: {"error": "no"}},
}
SOUND = {"result": None, "loaded": 1, "stored": 1, "launches": [LAUNCH], "seconds": None}


def test_what_is_no_report_is_not_taken_for_one():
    assert read(SOUND, (80,)).compiled == {80: Compiled(error="no")}
    hostile: list[Any] = [None, [], {**SOUND, "loaded": True}, {**SOUND, "stored": -1}, {**SOUND, "seconds": "0"}]
    spoiled = [{"grid": [1, 1]}, {"loaded": 1.5}, {"kernel": 1}, {"compiled": {}}, {"compiled": {80: {"spills": 0}}}]
    for value in [*hostile, *({**SOUND, "launches": [{**LAUNCH, **one}]} for one in spoiled)]:
        with pytest.raises(Unreadable):
            read(value, (80,))


def test_a_machine_without_triton_costs_no_points(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Undecided, match="it needs Linux"):
        triton(lambda: None)


def test_what_a_compiler_started_ends_by_itself():
    """The process that would stop it may have been killed."""
    loop = [sys.executable, "-c", "while True: pass"]
    program = (
        "import subprocess; from torchgrade.triton_lab.own_process import limit_cpu\n"
        f"limit_cpu(1); print(subprocess.run({loop!r}).returncode)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == str(-signal.SIGXCPU)
