"""Try from inside a sandbox what must not be possible."""

import json
import os
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torchgrade.sandbox.contained import Contained
from torchgrade.sandbox.limits import Limits
from torchgrade.sandbox.sandbox import Sandbox

SMALL = Limits(memory=256 << 20, processes=32, scratch=32 << 20, cpu_seconds=20)
SECONDS = 30.0
MAX_SAID = 1 << 16


@dataclass(frozen=True)
class Trial:
    """One attempt. `said` is what the sandboxed program reported."""

    what: str
    held: bool
    said: str


class Start(Protocol):
    """A kind of sandbox: Sandbox, or one that is made otherwise and must hold as well."""

    def __call__(self, *, argv: list[str], limits: Limits, pass_fds: list[int]) -> Contained: ...


def trials(start: Start = Sandbox) -> Iterator[Trial]:
    """Every attempt, one after the other; each in a sandbox of its own."""
    for what, attempt in ATTEMPTS.items():
        held, said = attempt(start)
        yield Trial(what, held, said)


def inside(start: Start, code: str, names: dict[str, object] | None = None) -> str:
    """What the Python program `code` reports with say(...), run in a sandbox; `names` are defined for it."""
    reader, writer = os.pipe()
    prelude = f"import os, json\ndef say(*words): os.write({writer}, (' '.join(map(str, words))).encode())\n"
    given = "".join(f"{name} = json.loads({json.dumps(json.dumps(value))})\n" for name, value in (names or {}).items())
    with os.fdopen(reader, "rb", buffering=0) as said:
        argv = [sys.executable, "-I", "-c", prelude + given + code]
        with start(argv=argv, limits=SMALL, pass_fds=[writer]) as sandbox:
            os.close(writer)
            sandbox.wait(SECONDS)
        return said.read(MAX_SAID).decode(errors="replace")


def _attempted(start: Start, code: str, names: dict[str, object] | None = None) -> str:
    """ "refused: ..." or "DONE": whether `code` runs to its end."""
    indented = "\n".join(f"    {line}" for line in code.strip().splitlines())
    return inside(
        start, f"try:\n{indented}\n    say('DONE')\nexcept BaseException as error:\n    say('refused:', error)", names
    )


def _network(start: Start) -> tuple[bool, str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = _attempted(
            start, "import socket\nsocket.create_connection(('127.0.0.1', port), timeout=2)", {"port": port}
        )
        return "DONE" not in said, said


def _name_service(start: Start) -> tuple[bool, str]:
    said = _attempted(start, "import socket\nsocket.getaddrinfo('example.org', 80)")
    return "DONE" not in said, said


def _abstract_socket(start: Start) -> tuple[bool, str]:
    name = f"torchgrade-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        said = _attempted(start, "import socket\nsocket.socket(socket.AF_UNIX).connect('\\0' + name)", {"name": name})
        return "DONE" not in said, said


def _host_files(start: Start) -> tuple[bool, str]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        canary = Path(folder, "gradebook.db")
        canary.write_text("canary")
        canary.chmod(0o644)
        Path(folder).chmod(0o755)
        said = _attempted(start, "open(path).read()", {"path": str(canary)})
    return "DONE" not in said, said


def _course(start: Start) -> tuple[bool, str]:
    said = inside(start, "say(sorted(os.listdir(path)) if os.path.isdir(path) else [])", {"path": str(Path.cwd())})
    visible = set(json.loads(said.replace("'", '"') or "[]")) - {".venv", "grader_env"}
    return not visible, f"visible: {', '.join(sorted(visible)) or 'nothing'}"


def _environment(start: Start) -> tuple[bool, str]:
    os.environ["TORCHGRADE_CANARY"] = "secret"
    try:
        said = inside(start, "say(os.environ.get('TORCHGRADE_CANARY'))")
    finally:
        del os.environ["TORCHGRADE_CANARY"]
    return said == "None", said


def _other_processes(start: Start) -> tuple[bool, str]:
    said = inside(start, "say(*[name for name in os.listdir('/proc') if name.isdigit()])")
    return len(said.split()) == 2, f"it sees the processes {said}"


def _namespaces(start: Start) -> tuple[bool, str]:
    new_user = 0x10000000  # CLONE_NEWUSER of <linux/sched.h>
    said = _attempted(
        start, "import ctypes\nif ctypes.CDLL(None).unshare(flag): raise OSError('unshare')", {"flag": new_user}
    )
    return "DONE" not in said, said


def _writing(start: Start) -> tuple[bool, str]:
    said = inside(
        start,
        "done = []\n"
        "for folder in ['/', '/usr', '/etc', '/dev', package]:\n"
        "    try: open(folder + '/canary', 'w'); done.append(folder)\n"
        "    except OSError: pass\n"
        "say(done)",
        {"package": str(Path(__file__).parent)},
    )
    return said == "[]", f"written to: {said}"


def _memory(start: Start) -> tuple[bool, str]:
    said = _attempted(start, "x = bytearray(1 << 30)\nx[::4096] = b'x' * len(x[::4096])")
    return "DONE" not in said, said or "ended"


def _memory_of_many(start: Start) -> tuple[bool, str]:
    """Each process stays below its own limit; together they would take 4 GiB."""
    code = (
        "import time\nchildren = []\nfor _ in range(20):\n    children.append(os.fork())\n    if children[-1] == 0:\n"
        "        x = bytearray(200 << 20)\n        for i in range(0, len(x), 4096): x[i] = 1\n        time.sleep(60)\n"
        "time.sleep(8)\nsay(sum(os.waitpid(child, os.WNOHANG)[0] == 0 for child in children))"
    )
    said = inside(start, code)
    return not said or int(said) * (200 << 20) <= SMALL.memory, f"{said} processes hold it" if said else "ended"


def _scratch(start: Start) -> tuple[bool, str]:
    said = inside(
        start,
        "written = 0\ntry:\n    with open('/tmp/work/big', 'wb') as file:\n        while written < 1 << 30:\n"
        "            written += file.write(bytes(1 << 20))\nexcept OSError: pass\nsay(written >> 20)",
    )
    return said.isdigit() and int(said) <= SMALL.scratch >> 20, f"{said} MiB"


def _forks(start: Start) -> tuple[bool, str]:
    said = inside(
        start,
        "import time\ncount = 0\ntry:\n    while count < 2000:\n        if os.fork() == 0: time.sleep(60)\n"
        "        count += 1\nexcept OSError: pass\nsay(count)",
    )
    return said.isdigit() and int(said) <= SMALL.processes, f"{said} processes"


def _survivors(start: Start) -> tuple[bool, str]:
    mark = f"torchgrade-{secrets.token_hex(8)}"
    daemon = "subprocess.Popen(['/bin/sleep', '60'], start_new_session=True, env={'M': mark})"
    inside(start, f"import subprocess\n{daemon}", {"mark": mark})
    deadline = time.monotonic() + 5
    while (left := _processes_with(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not left, f"{len(left)} processes left"


def _processes_with(mark: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append(process.name)
        except OSError:
            continue
    return found


ATTEMPTS: dict[str, Callable[[Start], tuple[bool, str]]] = {
    "reach the network": _network,
    "ask for a name": _name_service,
    "reach a socket of another program": _abstract_socket,
    "read a file of this machine": _host_files,
    "see the course": _course,
    "read the grader's environment": _environment,
    "see other processes": _other_processes,
    "make a user namespace": _namespaces,
    "write outside its folder": _writing,
    "outgrow its memory": _memory,
    "outgrow its memory with many processes": _memory_of_many,
    "outgrow its disk": _scratch,
    "fork without end": _forks,
    "leave a process behind": _survivors,
}
