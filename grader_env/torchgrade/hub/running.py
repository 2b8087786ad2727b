"""Whether a hub runs in a folder: it holds a lock there, which ends with it, however it ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from torchgrade.errors import CourseError
from torchgrade.hub.place import Place, private_folder


@contextmanager
def no_other_hub(place: Place) -> Iterator[None]:
    """For as long as the block runs. Raises CourseError if a hub of this folder, and not of another, is running."""
    private_folder(place.private)
    with open(place.private / "lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CourseError(
                "a hub is running.", where=place.folder, remedy="End it, and every student's server; then try again."
            ) from None
        yield
