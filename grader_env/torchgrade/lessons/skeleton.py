"""The text of a new lesson: one section, one exercise and its mistake bank, each saying what belongs there.

{n} stands for the lesson's number, {title} for its title.
"""

TITLE = """
# Lesson {nn} · {title}: what it is, in half a sentence

Two or three sentences: what the reader already has, what is missing, what this lesson adds.

**After this lesson you can**
- write the thing from memory, and say why it is built that way;
- estimate what it costs, and tell a right result from a wrong one.

**You need** lessons (link them).

| part | minutes |
|---|---|
| The big picture | 5 |
| {n}.1 First section | 20 |
| {n}.2 In your own words | 10 |

About 35 min of your time and a few seconds of one CPU thread. **On a GPU** (say what changes).
"""

IMPORTS = """
import torch
from torchgrade import check, plots  # noqa: F401  (plots: end every figure with plots.finish(fig))

torch.manual_seed(0)
torch.set_num_threads(1)
"""

SECTION = """
## {n}.1 · First section

**Why?** Begin with a failure or a cost that the reader can see. Then the idea, the smallest working code, a picture
(with an assert on what its title claims, in the same cell or the next one), a prediction, an exercise, and what just
happened.

A value that the reader should expect stands behind the line; `torchgrade lesson lint` runs the lesson and verifies it.

**Predict, then run.** What is twice 21?
"""

PREDICT = """
check.predict("twice 21", None)  # write your guess in place of None
"""

REVEAL = """
twice = 2 * torch.tensor(21)
check.reveal("twice 21", twice.item())
twice.item()  # -> 42
"""

EXERCISE = """
### Exercise {n}.1 · Twice
difficulty 1/5 · importance 1/5 · 5 min · needs nothing

Write `double(x)`: twice every element of the tensor `x`, in its dtype; `x` is left unchanged. State shapes, units and
edge cases: a test must never check what the text did not say.

<details><summary>Hint 1: where do I start?</summary>A nudge.</details>
<details><summary>Hint 2: which operation?</summary>The idea: a sum of two equal numbers.</details>
<details><summary>Hint 3: and the code?</summary>Almost the answer: <code>x + ...</code></details>
"""

ANSWER = '''
def double(x):
    """Twice every element of x. The solution stays inside a body: its place is where the released stub raises."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION
'''

CHECK = """
# Check {n}.1 (1 point). Run me as often as you like.
import torch
from torchgrade import check

check.close(check.run(lambda: double(torch.tensor([2]))), torch.tensor([4]), "twice 2", hint="Twice is not squared.")
print("Check {n}.1: passed")
"""

HIDDEN = """
# After you submit, this also checks: other numbers, x left unchanged.
### BEGIN HIDDEN TESTS
import torch
from torchgrade import check

x = torch.tensor([[0.5, -3.0, 0.0], [7.25, 1e6, 1.0]])


def result_and_argument():
    mine = x.clone()
    return double(mine), mine


result, argument = check.run(result_and_argument)
check.close(result, x + x, "a table of numbers")
check.close(argument, x, "x is left unchanged")
### END HIDDEN TESTS
"""

AFTERWARDS = """
**What just happened.** Say what the exercise showed, and where else it is used.

## {n}.2 · In your own words
difficulty 1/5 · importance 1/5 · 5 min

A question that needs an explanation. A person reads the answer and gives up to 2 points.
"""

WRITTEN = """
### BEGIN SOLUTION
The model answer, as a good student would write it.
### END SOLUTION
### BEGIN MARK SCHEME
1 point: what an answer must say.
1 point: the reason for it.
### END MARK SCHEME
"""

RECAP = """
## Recap

1. Five sentences that a student should keep.

**Can you do this without looking?**
- [ ] Write `double` for a tensor of any shape.

**Further reading**: papers and documentation, with links.

**Next**: what the next lesson asks.
"""

BANK = '''
"""Wrong and right answers to the exercises of lesson {nn}. `torchgrade lesson mistakes {name}` runs them.

At least 3 wrong and 2 right ways per exercise, 30 and 10 per lesson: real misunderstandings, one at a time.
"""

from torchgrade.lessons import accepted, mistake


@mistake("double", "it adds 2 instead of multiplying by 2", see="{n}.1")
def double(x):
    return x + 2


@mistake("double", "it squares, which is doubling for 2 alone", see="{n}.1")
def double(x):
    return x * x


@mistake("double", "it doubles x in place", see="{n}.1")
def double(x):
    return x.mul_(2)


@accepted("double", "a sum")
def double(x):
    return x + x


@accepted("double", "a method of the tensor")
def double(x):
    return x.mul(2)
'''
