"""One gradebook and one transaction per submission, where nbgrader opens and commits its gradebook a dozen times."""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

from nbgrader.api import Gradebook
from nbgrader.converters import autograde
from nbgrader.preprocessors import latesubmissions, overwritekernelspec, saveautogrades

from torchgrade.autograde import score

USERS = (autograde, latesubmissions, overwritekernelspec, saveautogrades, score)


class OneGradebook:
    """Within `submission()` everything that nbgrader's autograder writes is one transaction on this gradebook."""

    def __init__(self, db_url: str, course_id: str):
        self.gradebook = Gradebook(db_url, course_id)

    @contextlib.contextmanager
    def submission(self) -> Iterator[Gradebook]:
        """All is written at the end of the block, or nothing if it is left by an exception."""
        session = self.gradebook.db
        commit = session.commit
        with contextlib.ExitStack() as patches:
            # nbgrader commits after each cell: that only flushes here. Instances shadow their class's method.
            session.commit = session.flush  # type: ignore[method-assign]
            patches.callback(lambda: delattr(session, "commit"))
            for module in USERS:
                patches.enter_context(mock.patch.object(module, "Gradebook", self._same))
            try:
                yield self.gradebook
                commit()
            except BaseException:
                session.rollback()
                raise
            finally:
                session.remove()

    def close(self) -> None:
        self.gradebook.close()

    def _same(self, *_: Any, **__: Any) -> "_Shared":
        return _Shared(self.gradebook)


class _Shared:
    """The gradebook, but for its end."""

    def __init__(self, gradebook: Gradebook):
        self._gradebook = gradebook

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gradebook, name)

    def __enter__(self) -> Gradebook:
        return self._gradebook

    def __exit__(self, *_: object) -> None:
        """The one who opened it closes it."""

    def close(self) -> None:
        """The one who opened it closes it."""
