"""What a compiled kernel uses, read from ptxas's log and from its PTX."""

import re
from typing import Any

# Warp-wide, Hopper's warp-group, and Blackwell's matrix instructions (PTX ISA, "Warp Level Matrix Instructions",
# "Asynchronous Warpgroup Level Matrix Instructions", "TensorCore 5th Generation Instructions").
TENSOR_CORES = re.compile(r"^\s*(?:@\S+\s+)?(?:mma\.sync|wgmma\.mma_async|tcgen05\.mma)\b", re.MULTILINE)
SPILLED = re.compile(r"(\d+) bytes spill (?:stores|loads)")
REGISTERS = re.compile(r"Used (\d+) registers")

# Bytes that one block may have: CUDA Programming Guide, "Technical Specifications per Compute Capability", "Maximum
# amount of shared memory per thread block".
KIB = 1 << 10
SHARED_LIMIT = {75: 64 * KIB, 80: 163 * KIB, 86: 99 * KIB, 87: 163 * KIB, 89: 99 * KIB, 90: 227 * KIB}
SHARED_LIMIT |= {100: 227 * KIB, 103: 227 * KIB, 120: 99 * KIB}


def used(log: str, ptx: str, shared: int, target: int) -> dict[str, Any]:
    """Plain data for report.Compiled.

    log: of `ptxas -v`; shared: bytes, from Triton's metadata; target: such as 80 for sm_80
    """
    limit = SHARED_LIMIT.get(target, shared)
    found: dict[str, Any] = {
        "registers": max(map(int, REGISTERS.findall(log)), default=0),
        "spills": sum(map(int, SPILLED.findall(log))),
        "shared": shared,
        "tensor_cores": TENSOR_CORES.search(ptx) is not None,
    }
    if shared > limit:
        found["error"] = f"it needs {shared:,} bytes of shared memory, and a block of sm_{target} has {limit:,}"
    return found
