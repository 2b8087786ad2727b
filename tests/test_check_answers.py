"""Cells around the exercises: they wait for an answer, and remember a guess."""

import pytest
import torch
from torchgrade.check import CheckFailed, NotAnswered, needs, predict, reveal


def stub():
    raise NotImplementedError()


def test_a_cell_that_needs_an_answer_says_so_in_one_line(capsys):
    with needs("7.2"):
        stub()
    assert capsys.readouterr().out == "This cell waits for exercise 7.2: answer first, then run it again.\n"


def test_a_cell_that_needs_two_answers_names_both(capsys):
    with needs("7.2", "7.3"):
        stub()
    assert capsys.readouterr().out == "This cell waits for exercises 7.2 and 7.3: answer first, then run it again.\n"


def test_a_cell_whose_answers_are_there_just_runs(capsys):
    with needs("7.2"):
        print("ran")
    assert capsys.readouterr().out == "ran\n"


@pytest.mark.parametrize("error", [ValueError(), NotImplementedError("torch says this"), NameError("name 'x'")])
def test_any_other_error_is_shown(error):
    with pytest.raises(type(error)), needs("7.2"):
        raise error


def test_a_stub_called_by_torch_counts_as_a_stub(capsys):
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * x

        @staticmethod
        def backward(ctx, gradient):
            stub()

    with needs("2.4"):
        Square.apply(torch.ones(1, requires_grad=True)).backward()
    assert "waits for exercise 2.4" in capsys.readouterr().out


def test_a_check_that_finds_a_stub_inside_waits_too(capsys):
    with needs("14.8"):
        raise NotAnswered("rms_norm_kernel: not answered yet")
    assert "waits for exercise 14.8" in capsys.readouterr().out


@pytest.mark.parametrize("guess", [0.3, 3, True, "the first", (2, 3), [1, 2]])
def test_a_guess_is_shown_next_to_the_truth(guess, capsys):
    predict("the largest weight", guess)
    reveal("the largest weight", 0.97)
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"Your guess: the largest weight: {guess}. Now run the next cell."
    assert second == f"the largest weight: 0.97 (your guess: {guess})"


def test_a_truth_without_a_guess_stands_alone(capsys):
    reveal("something nobody guessed", 3)
    assert capsys.readouterr().out == "something nobody guessed: 3\n"


def test_the_last_guess_counts(capsys):
    for guess in (1, 2):
        predict("loss", guess)
    reveal("loss", 3)
    assert capsys.readouterr().out.endswith("loss: 3 (your guess: 2)\n")


@pytest.mark.parametrize("guess", [..., object(), torch.ones(1)])
def test_a_guess_must_be_something_one_can_guess(guess):
    with pytest.raises(CheckFailed, match="should be a number, a word or a shape"):
        predict("loss", guess)


def test_none_is_no_guess_yet(capsys):
    predict("a guess nobody makes", None)
    reveal("a guess nobody makes", 0.97)
    assert capsys.readouterr().out.splitlines() == [
        "Write your guess in place of None, and run this cell again before the next one.",
        "a guess nobody makes: 0.97",
    ]
