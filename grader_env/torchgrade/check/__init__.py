"""What a test cell needs: ask the student's code, compare, explain.

    out = check.run(lambda: attention(q, k, v))
    check.close(out, expected, "matches the reference")

The same cell gives the same verdict in a student's notebook and under a grader that keeps the student's code in another
process: inputs are copied, results come back as plain data (`codec`), nothing is shared.
"""

from torchgrade.check.answers import needs, predict, reveal
from torchgrade.check.close import close, compare
from torchgrade.check.failures import CellError, CheckFailed, NotAnswered
from torchgrade.check.ideas import (
    flops,
    graph_breaks,
    largest_intermediate,
    operators,
    packed_bytes,
    recompiles,
    saved_tensors,
    sqnr,
)
from torchgrade.check.method import forbids
from torchgrade.check.probe import raises, run
from torchgrade.check.speed import peak_memory, speed
from torchgrade.check.triton import triton

__all__ = [
    "CellError",
    "CheckFailed",
    "NotAnswered",
    "close",
    "compare",
    "flops",
    "forbids",
    "graph_breaks",
    "largest_intermediate",
    "needs",
    "operators",
    "packed_bytes",
    "peak_memory",
    "predict",
    "raises",
    "recompiles",
    "reveal",
    "run",
    "saved_tensors",
    "speed",
    "sqnr",
    "triton",
]
