"""Cells that depend on an answer (`needs`), and guesses a student commits to before seeing the truth (`predict`)."""

import contextlib
from collections.abc import Iterator
from typing import Any

from torchgrade.check.failures import NotAnswered, WrongType

_guesses: dict[str, Any] = {}


@contextlib.contextmanager
def needs(*exercises: str) -> Iterator[None]:
    """Run the block if the exercises it uses are answered; else print one line and go on with the notebook.

    with check.needs("7.2"):
        plot(attention(q, k, v))
    """
    try:
        yield
    except (NotImplementedError, NotAnswered) as error:  # a check inside, such as check.triton
        if error.args and not isinstance(error, NotAnswered):  # not a stub: torch raises this too, with a text
            raise
        some = " and ".join(exercises)
        print(f"This cell waits for exercise{'s' * (len(exercises) > 1)} {some}: answer first, then run it again.")


def predict(what: str, guess: Any) -> None:
    """Commit to a guess about `what` before the next cell shows it; None is no guess yet. Nothing is graded."""
    if guess is None:
        print("Write your guess in place of None, and run this cell again before the next one.")
        return
    if not isinstance(guess, bool | int | float | str | tuple | list):
        raise WrongType(f"Your guess about {what!r} should be a number, a word or a shape, for example 0.3.")
    _guesses[what] = guess
    print(f"Your guess: {what}: {guess}. Now run the next cell.")


def reveal(what: str, actual: Any) -> None:
    """Show the truth about `what` next to the guess."""
    guess = _guesses.get(what)
    print(f"{what}: {actual}" + ("" if guess is None else f" (your guess: {guess})"))
