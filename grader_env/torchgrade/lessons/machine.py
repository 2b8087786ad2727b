"""The machine as the one that grades: one thread, no GPU, no screen; time is what a process has computed."""

import os
import resource
import time


def only_cpu_and_one_thread() -> None:
    """Call it before torch is imported: a fork of a process with OpenMP threads hangs, one with CUDA fails."""
    os.environ.update(OMP_NUM_THREADS="1", OMP_THREAD_LIMIT="1", CUDA_VISIBLE_DEVICES="", MPLBACKEND="agg")


def cpu_seconds() -> float:
    """CPU seconds of this process and of the ones it started and waited for."""
    others = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + others.ru_utime + others.ru_stime
