"""Where submissions run: processes of this machine, or the workers of a Dask scheduler. Both are Executors."""

import contextlib
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any

from torchgrade.errors import CourseError

CONNECT_SECONDS = 15
WORKER_SECONDS = 60
NODE_SECONDS = 900  # for a gateway's first worker, whose machine may have to start
GATEWAY = "gateway+"
SCHEDULER_REMEDY = "Start workers: `dask worker ADDRESS --nworkers 2 --nthreads 1`."
GATEWAY_REMEDY = "Is the address right, may you use it, and has the cluster room for workers?"


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
def dask(address: str, jobs: int = 1) -> Iterator[Executor]:
    """Workers of Dask: those of the scheduler at `address`, or `jobs` new ones of a gateway at `gateway+http(s)://...`.

    Raises CourseError if it cannot be reached or has no workers.
    """
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise CourseError("Dask is not installed here.", remedy="pip install distributed, here and there.") from None
    with contextlib.ExitStack() as stack:
        if address.startswith(GATEWAY):
            client = stack.enter_context(_of_gateway(address.removeprefix(GATEWAY), jobs))
            seconds, remedy = NODE_SECONDS, GATEWAY_REMEDY
        else:
            client = stack.enter_context(_of_scheduler(address))
            seconds, remedy = WORKER_SECONDS, SCHEDULER_REMEDY
        try:
            client.wait_for_workers(1, timeout=seconds)
        except TimeoutError:
            raise CourseError(f"{address} has had no worker for {seconds} s.", remedy=remedy) from None
        yield client.get_executor(pure=False, retries=1)


@contextlib.contextmanager
def _of_scheduler(address: str) -> Iterator[Any]:
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise CourseError(
            f"no scheduler answers at {address} ({type(error).__name__}).",
            remedy=f"Start one with `dask scheduler`. {SCHEDULER_REMEDY}",
        ) from None
    with client:
        yield client


@contextlib.contextmanager
def _of_gateway(address: str, jobs: int) -> Iterator[Any]:
    """A cluster of our own, which ends with the block. Who we are is said by Dask's configuration, or by the hub."""
    try:
        from dask_gateway import Gateway
        from dask_gateway.client import GatewayClusterError, GatewayServerError
    except ImportError:
        raise CourseError("the client of Dask Gateway is not installed.", remedy="pip install dask-gateway") from None

    class Quiet(Gateway):
        """Its parent closes once more when it is collected, and complains that it cannot."""

        def __del__(self) -> None:
            pass

    auth = "jupyterhub" if "JUPYTERHUB_API_TOKEN" in os.environ else None
    with contextlib.ExitStack() as stack:
        try:
            gateway = stack.enter_context(Quiet(address, auth=auth))
            cluster = stack.enter_context(gateway.new_cluster(shutdown_on_close=True))
            cluster.scale(jobs)
            client = stack.enter_context(cluster.get_client(set_as_default=False))
        except (OSError, ValueError, TimeoutError, GatewayClusterError, GatewayServerError) as error:
            what = f"the gateway at {address} gives no cluster ({type(error).__name__}: {error})."
            raise CourseError(what, remedy=GATEWAY_REMEDY) from None
        yield client


def _start_worker() -> None:
    from torchgrade.lessons.forked import end_with_parent

    os.setsid()  # Ctrl-C is for the process that was started, not for this one and its sandboxes
    parent = multiprocessing.parent_process()
    assert parent is not None and parent.pid is not None
    end_with_parent(parent.pid)
