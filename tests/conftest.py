"""What tests share: one thread per process, the two ways to run a test cell, and a table of where the time went."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable

import pytest

pytest_plugins = ["unchanged"]

# Set before anything imports torch; the workers and the kernels they start inherit it.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
# A lesson run by a test keeps its progress away from the home of whoever runs it.
os.environ.setdefault("TORCHGRADE_HOME", tempfile.mkdtemp(prefix="tg-home-"))


@pytest.fixture(params=["in_a_notebook", "judged"])
def verdict(request: pytest.FixtureRequest) -> Callable[[str, str], str]:
    """(student's cell, test cell with check and torch) -> the verdict, in a notebook as under a grader."""
    import check_cells  # imports torch, which most tests do without

    run = getattr(check_cells, request.param)
    start = "from torchgrade import check\nimport torch\n"
    return lambda answer, test: str(run(answer, start + check_cells.cell(test)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the minutes of each test file, the slowest first (summed over workers, set-up and teardown included)."""
    minutes: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                minutes[report.nodeid.split("::")[0]] += report.duration / 60
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, text in getattr(report, "user_properties", ()):
                if name.startswith("table of ") and report.when == "call":
                    terminalreporter.section(name.removeprefix("table of "))
                    terminalreporter.write_line(text)
    terminalreporter.section("minutes by part")
    for part, spent in minutes.most_common():
        terminalreporter.write_line(f"{spent:6.2f}  {part}")
    terminalreporter.write_line(f"{sum(minutes.values()):6.2f}  together, on all workers")
