"""`python -m torchgrade.triton_lab.compile FOLDER`: compile kernels for GPUs that are not there. Needs no torch."""

import contextlib
import io
import json
import os
import pickle
import re
import sys
from pathlib import Path
from typing import Any

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.compiler.errors import CompilationError
from triton.runtime.jit import JITFunction

from torchgrade.triton_lab.definitions import Kernels, Namespace, define, find_modules
from torchgrade.triton_lab.own_process import ANSWER, GRACE, QUESTION, limit_cpu
from torchgrade.triton_lab.resources import used

MAX_WORDS = 300  # characters of Triton's
SHOWN = re.compile(r"""\w+\((['"])(?P<text>.*)\1\)""", re.DOTALL)  # an error as `repr` shows it


def main(folder: Path) -> None:
    kernels: Kernels = pickle.loads((folder / QUESTION).read_bytes())
    limit_cpu(kernels.seconds + GRACE)  # ptxas may take minutes over a kernel that spills
    os.environ.setdefault("USER", "student")  # Triton asks for it
    triton.knobs.nvidia.dump_ptxas_log = True
    find_modules(kernels.path)
    namespace: Namespace = {"__name__": "__main__"}
    define(kernels.needed, namespace)
    found = [{target: _compiled(job, target, namespace) for target in kernels.targets} for job in kernels.jobs]
    (folder / ANSWER).write_text(json.dumps(found), encoding="utf8")


def _compiled(job: dict[str, Any], target: int, namespace: Namespace) -> dict[str, Any]:
    """What resources.used says, or {"error": why it does not compile}."""
    kernel = _kernel(job["name"], namespace)
    constants = {tuple(path): _constant(value, namespace) for path, value in job["constants"]}
    attributes = {tuple(path): value for path, value in job["attributes"]}
    source = ASTSource(kernel, job["signature"], constants, attributes)
    log = io.StringIO()
    try:
        with contextlib.redirect_stdout(log):  # where Triton prints what ptxas says
            built = triton.compile(source, target=GPUTarget("cuda", target, 32), options=job["options"])
    except Exception as error:  # Triton's own, MLIR's, or an assertion of either
        return {"error": _words(error)}
    return used(log.getvalue(), built.asm["ptx"], built.metadata.shared, target)


def _kernel(name: str, namespace: Namespace) -> JITFunction[Any]:
    kernel = namespace[name]
    while not isinstance(kernel, JITFunction):
        kernel = kernel.fn
    return kernel


def _constant(value: Any, namespace: Namespace) -> Any:
    """Undoes launches.Recorder._sent."""
    match value:
        case {"dtype": str(name)}:
            return tl.dtype(name)
        case {"kernel": str(name)}:
            return _kernel(name, namespace)
    return value


def _words(error: BaseException) -> str:
    """One line: what is wrong, and the line of the kernel if Triton says which."""
    place = ""
    while isinstance(error, CompilationError):
        number = getattr(error.node, "lineno", None)
        if error.src and number:
            place = f" (in `{error.src.splitlines()[number - 1].strip()}`)"
        if error.__cause__ is None:
            break
        error = error.__cause__  # from the kernel to the function it calls, and to what that ran into
    text = error.error_message if isinstance(error, CompilationError) else str(error)
    if text and (shown := SHOWN.fullmatch(text)):
        text = shown["text"].replace("\\'", "'")
    return " ".join((text or type(error).__name__).split())[:MAX_WORDS] + place


if __name__ == "__main__":
    main(Path(sys.argv[1]))
