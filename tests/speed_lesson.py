"""A throw-away course with two exercises: one is timed against a baseline, of the other the peak memory is measured."""

from pathlib import Path
from typing import Any

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from small_course import ROOT_CONFIG, answer, graded, write
from small_lesson import METADATA, hidden

LESSON = "08_speed"
POINTS = {
    **{"sums_check": 1, "sums_values": 2, "sums_method": 1, "sums_fast": 2, "sums_faster": 2},
    **{"nearest_check": 1, "nearest_memory": 2},
}
RIGHT = {
    "sums": """
def sums(x, width):
    total = torch.nn.functional.pad(x.cumsum(-1), (1, 0))
    return total[..., width:] - total[..., :-width]
""",
    "nearest": """
def nearest(x):
    found = []
    for i in range(0, len(x), 128):
        gap = (x[i : i + 128, None] - x).abs()
        found.append(gap.kthvalue(2, dim=1).values)
    return torch.cat(found)
""",
}
WIDTH, SHAPE = 640, (2, 4000)
AT_LEAST = {"sums_fast": 2.0, "sums_faster": 5.0}

MIX = """
import torch

def mix(x, width, share):
    # `share` of the windows added up one by one, the others by differences: as fast as one likes
    middle = int(share * (x.shape[-1] - width + 1))
    slow = x[..., : middle + width - 1].unfold(-1, width, 1).sum(-1) if middle else x[..., :0]
    total = torch.nn.functional.pad(x[..., middle:].cumsum(-1), (1, 0))
    return torch.cat([slow, total[..., width:] - total[..., :-width]], -1)
"""
# Parts of cheats, as text. The first calls `begin` once it is timed, and says in seen[0] whether it is being called.
TELLS_WHEN_CALLED = """
seen = torch.zeros(2, dtype=torch.int8).share_memory_().numpy()  # are we called? has it begun?

def sums(x, width):
    seen[0] = 1
    if x.shape[0] == 2 and not seen[1]:
        seen[1] = 1
        begin()
    result = mix(x, width, 0.52)
    seen[0] = 0
    return result
"""
# Needs `work(socket, x, result, width)`, which runs in a child for each row.
CREW = """
class Crew:
    def __init__(self, x, width):
        size = x.shape[-1] - width + 1
        self.given = torch.empty_like(x).share_memory_()
        self.result = x.new_empty(*x.shape[:-1], size).share_memory_()
        self.doors = []
        for row in range(len(x)):
            ours, theirs = socket.socketpair()
            if os.fork() == 0:
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(0, range(os.cpu_count()))
                ours.close()
                work(theirs, self.given[row], self.result[row], width)
            self.doors.append(ours)

    def sums(self, x):
        self.given.copy_(x)
        for door in self.doors:
            door.send(b"g")
        for door in self.doors:
            door.recv(1)
        return self.result.clone()

crew = None

def sums(x, width):
    global crew
    if x.shape[0] != 2:
        return mix(x, width, 0.52)
    crew = crew or Crew(x, width)
    return crew.sums(x)
"""
CHECK = """
# Check 8.1
import torch
from torchgrade import check

x = torch.arange(6.0, dtype=torch.float64)
check.close(check.run(lambda: sums(x, 2)), torch.tensor([1.0, 3, 5, 7, 9], dtype=torch.float64), "pairs")
y = torch.ones(8, 1200, dtype=torch.float64)
check.close(check.run(lambda: sums(y, 200)), torch.full((8, 1001), 200.0, dtype=torch.float64), "ones")
"""
VALUES = """
import torch

x = torch.randn(3, 90, dtype=torch.float64)
for width in (1, 7, 90):
    check.close(check.run(lambda: sums(x, width)), x.unfold(-1, width, 1).sum(-1), f"windows of {width}")
"""
METHOD = """
import torch

x = torch.randn(3, 90, dtype=torch.float64)
ready_made = ("conv1d", "avg_pool1d", "avg_pool2d", "lp_pool1d", "for", "while")
check.forbids("sums", ready_made, "add up yourself", call=lambda: sums(x, 7))
"""
SPEED = """
import torch

def smooth(x, sums):
    for _ in range(10):
        x = sums(torch.nn.functional.pad(x, ({width} - 1, 0)), {width})
        x = x / x.std()
    return 1000 * x

def baseline(bias, x):
    return smooth(x + bias, lambda x, width: x.unfold(-1, width, 1).sum(-1))

def candidate(bias, x):
    return smooth(x + bias, sums)

check.speed(
    candidate,
    baseline,
    lambda: (torch.randn({shape}, dtype=torch.float64),),
    at_least={at_least},
    because="each number is added once, not {width} times",
    fixed=lambda: (torch.randn({shape}, dtype=torch.float64),),
)
"""
NEAREST_CHECK = """
# Check 8.2
import torch
from torchgrade import check

x = torch.tensor([0.0, 1, 5, 7])
check.close(check.run(lambda: nearest(x)), torch.tensor([1.0, 1, 2, 2]), "four numbers")
"""
NEAREST_MEMORY = """
import torch

def reference(x):
    gaps = x.sort().values.diff()
    return torch.minimum(
        torch.cat([gaps.new_tensor([torch.inf]), gaps]), torch.cat([gaps, gaps.new_tensor([torch.inf])])
    )[x.argsort().argsort()]

check.peak_memory(
    lambda x: nearest(x),
    lambda size: (torch.rand(size),),
    (2048, 4096),
    because="a few rows of differences at a time are enough",
    reference=reference,
)
"""


def lesson() -> Any:
    speeds = [
        graded(name, POINTS[name], hidden(SPEED.format(width=WIDTH, shape=SHAPE, at_least=at_least).strip("\n")))
        for name, at_least in AT_LEAST.items()
    ]
    cells = [
        new_markdown_cell("# 8 · Speed"),
        new_code_cell(MIX.strip("\n")),
        answer("sums", f"### BEGIN SOLUTION{RIGHT['sums']}### END SOLUTION"),
        graded("sums_check", POINTS["sums_check"], CHECK.strip("\n")),
        graded("sums_values", POINTS["sums_values"], hidden(VALUES.strip("\n"))),
        graded("sums_method", POINTS["sums_method"], hidden(METHOD.strip("\n"))),
        *speeds,
        answer("nearest", f"### BEGIN SOLUTION{RIGHT['nearest']}### END SOLUTION"),
        graded("nearest_check", POINTS["nearest_check"], NEAREST_CHECK.strip("\n")),
        graded("nearest_memory", POINTS["nearest_memory"], hidden(NEAREST_MEMORY.strip("\n"))),
    ]
    for index, cell in enumerate(cells):
        cell.id = f"cell-{index}"
    return new_notebook(cells=cells, metadata=METADATA)


def make_course(root: Path) -> Path:
    write(root / "source" / LESSON / f"{LESSON}.ipynb", lesson())
    config = f"c = get_config()\nload_subconfig({str(ROOT_CONFIG)!r})\nc.Execute.timeout = 20\n"
    (root / "nbgrader_config.py").write_text(config, encoding="utf8")
    return root
