"""Grading with the workers of a Dask Gateway: the gateway is real, and runs here without Kubernetes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from cluster_class import described
from dask_gateway_server.auth import JupyterHubAuthenticator
from torchgrade.hub.cluster.dask import gateway_values
from traitlets.config import Config

# The local backend starts workers as processes of this machine; all else is what the chart gets.
HERE = """
c.DaskGateway.backend_class = "dask_gateway_server.backends.local.UnsafeLocalBackend"
c.DaskGateway.address = "127.0.0.1:{gateway}"
c.Proxy.address = "127.0.0.1:{public}"
"""
PROGRAM = """
import os, sys
from torchgrade.autograde import executors
from torchgrade.errors import CourseError

try:
    with executors.dask(sys.argv[1], 2) as executor:
        print(os.getpid(), *{executor.submit(os.getpid).result(timeout=120) for _ in range(2)})
except CourseError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
"""


def chart_config(root: Path) -> str:
    values = gateway_values(*described(root))
    return str(values["gateway"]["extraConfig"]["torchgrade"])


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("gateway")
    with socket.socket() as one, socket.socket() as other:
        for chosen in (one, other):
            chosen.bind(("127.0.0.1", 0))
        ports = {"gateway": one.getsockname()[1], "public": other.getsockname()[1]}
    (root / "config.py").write_text(chart_config(root) + HERE.format(**ports))
    programs = Path(sys.executable).parent
    server = subprocess.Popen(
        [programs / "dask-gateway-server", "-f", "config.py"],
        cwd=root,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        stdout=(root / "log").open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        wait_for(ports["public"], server, root / "log")
        yield f"http://127.0.0.1:{ports['public']}"
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


def wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    """Its proxy answers half a second before it knows the way to the gateway."""
    for _ in range(600):
        assert server.poll() is None, log.read_text()
        try:
            with urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:  # nobody is there; or nobody there knows it: HTTPError is one, too
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def grade_with(address: str) -> subprocess.CompletedProcess[str]:
    """What `torchgrade autograde --scheduler ADDRESS` does with its executor, in a process of its own."""
    environment = {key: value for key, value in os.environ.items() if key != "JUPYTERHUB_API_TOKEN"}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, address], env=environment, capture_output=True, text=True, timeout=180
    )


@pytest.mark.course
def test_work_is_done_by_workers_of_the_gateway_and_they_end_with_it(gateway: str):
    done = grade_with(f"gateway+{gateway}")
    assert (done.returncode, done.stderr) == (0, "")
    us, *workers = done.stdout.split()
    assert workers and us not in workers
    for _ in range(300):
        if not any(Path(f"/proc/{number}").exists() for number in workers):
            return
        time.sleep(0.1)
    raise AssertionError(f"still there: {workers}")


@pytest.mark.course
def test_a_gateway_that_is_not_there_is_one_clear_error():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        done = grade_with(f"gateway+http://127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode == 2, done.stderr
    assert "gives no cluster" in done.stderr and "Is the address right" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_only_who_may_use_the_gateway_is_let_in(tmp_path: Path):
    """Without its name the gateway takes any token of the hub, also a student's."""
    config = Config()
    exec(chart_config(tmp_path), {"c": config})
    authenticator = JupyterHubAuthenticator(
        config=config, jupyterhub_api_token="x", jupyterhub_api_url="http://127.0.0.1:9/hub/api"
    )
    assert authenticator.jupyterhub_service_name == "dask-gateway"
    assert authenticator.use_service_access_scopes is True
    assert config.ClusterConfig.cluster_max_workers == 3  # a worker for each card that grades
