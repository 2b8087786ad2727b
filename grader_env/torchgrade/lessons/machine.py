"""Make the machine the one that grades: one thread, no GPU, no screen."""

import os


def only_cpu_and_one_thread() -> None:
    """Call it before torch is imported: a fork of a process with OpenMP threads hangs, one with CUDA fails."""
    os.environ.update(OMP_NUM_THREADS="1", OMP_THREAD_LIMIT="1", CUDA_VISIBLE_DEVICES="", MPLBACKEND="agg")
