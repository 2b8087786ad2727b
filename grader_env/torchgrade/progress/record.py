"""The student's own record: one JSON file in their home, `~/.torchgrade/progress.json`."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

Record = dict[str, Any]

EMPTY: Record = {"lessons": {}, "rungs": []}


def path() -> Path:
    """Where the record is; the environment variable TORCHGRADE_HOME names another folder."""
    home = os.environ.get("TORCHGRADE_HOME") or Path.home() / ".torchgrade"
    return Path(home) / "progress.json"


def read() -> Record:
    """The record; an empty one if there is none. A file that is no record is kept under another name."""
    try:
        found = json.loads(path().read_text(encoding="utf8"))
        if isinstance(found["lessons"], dict) and isinstance(found["rungs"], list):
            return {"lessons": found["lessons"], "rungs": found["rungs"]}
    except FileNotFoundError:
        return json.loads(json.dumps(EMPTY))
    except OSError as error:
        print(f"Your progress cannot be read ({error.strerror}: {path()}).")
        return json.loads(json.dumps(EMPTY))
    except (ValueError, KeyError, TypeError):
        pass
    aside = path().with_suffix(".unreadable.json")
    try:
        path().replace(aside)
        print(f"{path()} was no progress record. It is kept as {aside.name}, and a new one begins.")
    except OSError:
        pass
    return json.loads(json.dumps(EMPTY))


def write(record: Record) -> None:
    """Replace the record in one step; one line is printed if that is not possible."""
    try:
        path().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path().parent, delete=False, encoding="utf8") as file:
            json.dump(record, file, indent=1)
        os.replace(file.name, path())
    except OSError as error:
        print(f"Your progress could not be saved ({error.strerror}: {path()}). Your work here is not affected.")
