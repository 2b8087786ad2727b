"""`python -m torchgrade.triton_lab.timed FOLDER`: time a probe on this machine's GPU.

Has not been run on a GPU yet.
"""

import json
import pickle
import sys
from pathlib import Path
from types import FunctionType
from typing import Any

import torch
from torch.utils._pytree import tree_map_only
from triton.testing import do_bench

from torchgrade.check import capture
from torchgrade.triton_lab.definitions import Namespace, Question, define, find_modules
from torchgrade.triton_lab.own_process import ANSWER, QUESTION


def main(folder: Path) -> None:
    question: Question = pickle.loads((folder / QUESTION).read_bytes())
    find_modules(question.path)
    namespace: Namespace = {"__name__": "__main__"}
    define(question.needed, namespace)
    torch.manual_seed(question.seed)
    fn = capture.unpack(question.payload, {})
    _move_to_gpu(fn)
    for name, value in namespace.items():
        fn.__globals__.setdefault(name, value)
    milliseconds = do_bench(fn, return_mode="median")  # flushes the L2 cache between calls
    (folder / ANSWER).write_text(json.dumps(milliseconds / 1000), encoding="utf8")


def _move_to_gpu(fn: FunctionType) -> None:
    """The tensors that travel with the probe."""
    fn.__globals__.update({name: _on_gpu(value) for name, value in fn.__globals__.items() if name != "__builtins__"})
    for cell in fn.__closure__ or ():
        cell.cell_contents = _on_gpu(cell.cell_contents)


def _on_gpu(value: Any) -> Any:
    return tree_map_only(torch.Tensor, torch.Tensor.cuda, value)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
