"""Where submissions run: processes of this machine, or the workers of a Dask scheduler. Both are Executors."""

import contextlib
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor

from torchgrade.errors import CourseError

CONNECT_SECONDS = 15
WORKER_SECONDS = 60


@contextlib.contextmanager
def local(jobs: int) -> Iterator[Executor]:
    """`jobs` processes. Ctrl-C is this process's to handle; they end with it."""
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker)
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def dask(address: str) -> Iterator[Executor]:
    """The workers of the scheduler at `address`. Raises CourseError if it cannot be reached or has no workers."""
    try:
        from distributed import Client
    except ImportError:
        raise CourseError("Dask is not installed here.", remedy="pip install distributed, here and there.") from None
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise CourseError(
            f"no scheduler answers at {address} ({type(error).__name__}).",
            remedy="Start one with `dask scheduler`, and workers with `dask worker ADDRESS --nworkers 2 --nthreads 1`.",
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=WORKER_SECONDS)
        except TimeoutError:
            raise CourseError(
                f"the scheduler at {address} has had no worker for {WORKER_SECONDS} s.",
                remedy="Start some: `dask worker ADDRESS --nworkers 2 --nthreads 1`.",
            ) from None
        yield client.get_executor(pure=False, retries=1)


def _start_worker() -> None:
    from torchgrade.lessons.forked import end_with_parent

    os.setsid()  # Ctrl-C is for the process that was started, not for this one and its sandboxes
    parent = multiprocessing.parent_process()
    assert parent is not None and parent.pid is not None
    end_with_parent(parent.pid)
