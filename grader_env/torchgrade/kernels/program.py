"""`python -m torchgrade.kernels.program SPEC`: IPython's kernel on inherited sockets; it can fork snapshots of itself.

SPEC is JSON: {"key": ..., "channels": {"shell": descriptor, ...}, "connections": [descriptor, ...]}. The student's code
runs in this process: nothing that a student must not know may ever come here, and nothing that it says is believed.
"""

import json
import os
import random
import sys
from typing import Any, ClassVar

import numpy as np
import torch
import zmq
from ipykernel.heartbeat import Heartbeat
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp

from torchgrade.kernels import snapshot
from torchgrade.kernels.channels import NAMES

SEED = 0  # a submission gives one result; and forks of one process would share their random numbers anyway
ANYWHERE = "ipc:///inherited"  # libzmq asks for a name and does not look at it when it gets a descriptor


class CourseKernel(IPythonKernel):
    """Adds one message to Jupyter's protocol: snapshot_request {"connection": descriptor}."""

    msg_types = [*IPythonKernel.msg_types, "snapshot_request"]  # noqa: RUF012  (as its base class has it)
    connections: ClassVar[set[int]] = set()  # on which snapshots will answer

    def snapshot_request(self, stream: Any, ident: Any, parent: Any) -> None:
        assert self.shell is not None and self.session is not None
        connection = parent["content"]["connection"]
        self.connections.discard(connection)
        try:
            snapshot.take(connection, self.shell.user_ns, others=self.connections)
            content = {"status": "ok"}
        except OSError as error:
            content = {"status": "error", "evalue": str(error)}
        self.session.send(stream, "snapshot_reply", content, parent, ident=ident)


class _Heartbeat(Heartbeat):
    descriptor = -1

    def _try_bind_socket(self) -> None:
        self.socket.setsockopt(zmq.USE_FD, self.descriptor)
        self.socket.bind(ANYWHERE)


class CourseKernelApp(IPKernelApp):
    kernel_class = CourseKernel
    descriptors: dict[str, int]

    def _try_bind_socket(self, s: Any, port: int) -> int:
        s.setsockopt(zmq.USE_FD, self.descriptors[NAMES[port - 1]])
        s.bind(ANYWHERE)
        return port

    def init_heartbeat(self) -> None:
        self.heartbeat = _Heartbeat(zmq.Context(), (self.transport, self.ip, self.hb_port))
        self.heartbeat.descriptor = self.descriptors["hb"]
        self.heartbeat.start()

    def init_connection_file(self) -> None:
        """There is none: the sockets and the key come from the grader."""

    def write_connection_file(self, **kwargs: Any) -> None:
        """There is none."""


def run(spec: dict[str, Any]) -> None:
    """Be a kernel until the end."""
    random.seed(SEED)
    np.random.seed(SEED)
    torch.manual_seed(SEED)
    app = CourseKernelApp.instance(connection_file="none", transport="ipc", ip="/inherited", log_level="CRITICAL")
    app.descriptors = spec["channels"]
    for number, name in enumerate(NAMES, 1):
        setattr(app, f"{name}_port", number)
    app.session.key = spec["key"].encode()
    CourseKernel.connections = set(spec["connections"])
    sys.path.append(os.getcwd())  # last: a file called random.py must not take the place of the library
    app.initialize(["--HistoryManager.enabled=False", "--InteractiveShellApp.ignore_cwd=True"])
    app.start()


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
