"""`python -m torchgrade.judge.server DESCRIPTOR COURSE LESSON`: a lesson's judge, asked over a socket.

It says {"ready": true}, or what is wrong with the lesson. Then, for each submission, it takes {"questions": [{grade_id,
source}, ...], "cell_seconds", "seconds"} and the connections to the snapshots, and gives {"verdicts": [...]}. It ends
with the socket.
"""

import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

from torchgrade.lessons.machine import only_cpu_and_one_thread

MAX_DESCRIPTORS = 200  # in one message; Linux allows 253


def main() -> None:
    only_cpu_and_one_thread()
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the grader's to handle, who then closes the socket

    import torch

    from torchgrade.errors import CourseError
    from torchgrade.judge import frames
    from torchgrade.judge.lesson import SolvedLesson
    from torchgrade.lessons.bank import read_bank
    from torchgrade.lessons.master import read_master

    torch.set_num_threads(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        master = read_master(Path(sys.argv[2]), sys.argv[3])
        bank = read_bank(master.bank_path) if master.bank_path.is_file() else None
        lesson = SolvedLesson(master)
    except CourseError as error:
        frames.send(control, {"what": error.what, "where": str(error.where or ""), "remedy": error.remedy})
        return
    with contextlib.closing(lesson), contextlib.suppress(frames.Closed):
        frames.send(control, {"ready": True})
        while True:
            serve(control, master, bank, lesson)


def serve(control: socket.socket, master, bank, lesson) -> None:  # type: ignore[no-untyped-def]
    """One submission."""
    from torchgrade.judge import frames
    from torchgrade.judge.question import Patience, Question, seconds_from_now
    from torchgrade.judge.session import judge_all

    header, _ = frames.receive(control)
    asked = header["questions"]
    descriptors: list[int] = []
    while len(descriptors) < len(asked):
        _, more, _, _ = socket.recv_fds(control, 1, MAX_DESCRIPTORS)
        if not more:
            raise frames.Closed("the grader is gone")
        descriptors += more
    connections = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    questions = [
        Question(one["grade_id"], one["source"], connection) for one, connection in zip(asked, connections, strict=True)
    ]
    patience = Patience(header["cell_seconds"], seconds_from_now(header["seconds"]))
    verdicts = judge_all(questions, patience, master, bank, lesson)
    for connection in connections:
        connection.close()
    frames.send(control, {"verdicts": [verdict.to_dict() for verdict in verdicts]})


if __name__ == "__main__":
    main()
