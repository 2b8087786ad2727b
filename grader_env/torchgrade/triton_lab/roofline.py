"""The least time that a GPU needs for so many bytes and operations: an estimate from its peak numbers.

Peaks are of the data sheets, dense (without sparsity), float16 or bfloat16 with float32 accumulation on tensor cores:
A100 80GB SXM: NVIDIA A100 Tensor Core GPU data sheet. H100 SXM: NVIDIA H100 Tensor Core GPU data sheet.
B200: NVIDIA DGX B200 data sheet, an eighth of the system.
The model: Williams, Waterman, Patterson, "Roofline: an insightful visual performance model", CACM 2009.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """bytes_per_second: of its memory; flops_per_second: see above."""

    bytes_per_second: float
    flops_per_second: float


GPUS = {"A100": Gpu(2.039e12, 312e12), "H100": Gpu(3.35e12, 989e12), "B200": Gpu(8e12, 2250e12)}


class Estimate(float):
    """Seconds that were not measured; says so when it is shown. `limit` is "memory" or "compute"."""

    gpu: str
    limit: str

    def __new__(cls, seconds: float, gpu: str, limit: str) -> "Estimate":
        self = super().__new__(cls, seconds)
        self.gpu, self.limit = gpu, limit
        return self

    def __repr__(self) -> str:
        return f"an estimate, not measured: at least {float(self) * 1e6:.3g} µs on {self.gpu}, limited by {self.limit}"

    __str__ = __repr__


def estimate(gpu: str, moved: int, flops: float) -> Estimate:
    """moved: bytes; flops: floating-point operations. Raises ValueError for a GPU that is not in GPUS."""
    if gpu not in GPUS:
        raise ValueError(f"no peak numbers of {gpu!r}; there are those of {', '.join(GPUS)}")
    peak = GPUS[gpu]
    memory, compute = moved / peak.bytes_per_second, flops / peak.flops_per_second
    return Estimate(max(memory, compute), gpu, "memory" if memory >= compute else "compute")
