"""What `check.triton` returns, and how it is read from what the student's side says."""

from dataclasses import dataclass
from typing import Any

from torchgrade.triton_lab.roofline import Estimate, estimate

MAX_COUNT = 1 << 62


class Unreadable(ValueError):
    """It is not a report."""


@dataclass(frozen=True)
class Compiled:
    """A kernel's machine code for one GPU architecture.

    registers: of each thread
    spills: bytes that each thread stores to and loads from memory because registers run out
    shared: bytes of shared memory of each block
    tensor_cores: whether it has matrix instructions
    error: why it does not compile, or cannot be launched; the rest is then 0 where it is not known
    """

    registers: int = 0
    spills: int = 0
    shared: int = 0
    tensor_cores: bool = False
    error: str | None = None


@dataclass(frozen=True)
class Launch:
    """One launch of a kernel.

    grid: programs along each of three axes
    loaded, stored: bytes of all its programs
    constants: values of its `tl.constexpr` parameters; a type as a text
    compiled: by target, such as 80 for sm_80
    """

    kernel: str
    grid: tuple[int, int, int]
    loaded: int
    stored: int
    constants: dict[str, Any]
    compiled: dict[int, Compiled]


@dataclass(frozen=True)
class Report:
    """What a probe's kernels did in Triton's interpreter, and what they are as machine code.

    result: the probe's
    loaded, stored: bytes of all programs of all launches; what a mask switches off does not count
    launches: the first 100
    seconds: of the probe on this machine's GPU (median); None without one
    """

    result: Any
    loaded: int
    stored: int
    launches: tuple[Launch, ...]
    seconds: float | None

    @property
    def compiled(self) -> dict[int, Compiled]:
        """By target: the most of any of its kernels, tensor cores if one has them, the first error."""
        targets = {target: None for launch in self.launches for target in launch.compiled}
        return {target: _together([launch.compiled[target] for launch in self.launches]) for target in targets}

    def estimate(self, gpu: str, *, flops: float = 0) -> Estimate:
        """Seconds by the roofline of this GPU ("A100", "H100", "B200"; roofline.GPUS): an estimate, not measured.

        flops: floating-point operations of the probe. Every byte loaded or stored counts as one from the GPU's memory;
        caches may save some of them.
        """
        return estimate(gpu, self.loaded + self.stored, flops)


def _together(kernels: list[Compiled]) -> Compiled:
    return Compiled(
        max(kernel.registers for kernel in kernels),
        max(kernel.spills for kernel in kernels),
        max(kernel.shared for kernel in kernels),
        any(kernel.tensor_cores for kernel in kernels),
        next((kernel.error for kernel in kernels if kernel.error is not None), None),
    )


def read(value: Any, targets: tuple[int, ...]) -> Report:
    """The report in a probe's value. Raises Unreadable unless every part is of the type it should be."""
    match value:
        case {"result": result, "loaded": loaded, "stored": stored, "launches": list(launches), "seconds": seconds}:
            if seconds is not None and type(seconds) is not float:
                raise Unreadable("seconds")
            described = tuple(_launch(launch, targets) for launch in launches)
            return Report(result, _count(loaded), _count(stored), described, seconds)
    raise Unreadable("not a report")


def _launch(launch: Any, targets: tuple[int, ...]) -> Launch:
    match launch:
        case {"kernel": str(kernel), "grid": [x, y, z], "constants": dict(constants), "compiled": dict(compiled)}:
            grid = _count(x), _count(y), _count(z)
            loaded, stored = _count(launch.get("loaded")), _count(launch.get("stored"))
            by_target = {target: _compiled(compiled.get(target)) for target in targets}
            return Launch(kernel, grid, loaded, stored, constants, by_target)
    raise Unreadable("a launch")


def _compiled(compiled: Any) -> Compiled:
    match compiled:
        case {"registers": registers, "spills": spills, "shared": shared, "tensor_cores": bool(cores)}:
            error = compiled.get("error")
            if error is None or isinstance(error, str):
                return Compiled(_count(registers), _count(spills), _count(shared), cores, error)
        case {"error": str(error)}:
            return Compiled(error=error)
    raise Unreadable("machine code")


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < MAX_COUNT:
        raise Unreadable("a count")
    return value
