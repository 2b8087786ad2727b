"""The README that students read first."""

TEXT = """\
# A PyTorch course

Each lesson is one Jupyter notebook: it explains, shows, asks you to write code, and checks what you wrote.

| lesson | notebook |
|---|---|
{lessons}

## Install

You need Linux (on Windows, WSL) and Python 3.11, 3.12 or 3.13. Run this in the folder of this README:

```
python3 -m venv .venv
.venv/bin/pip install -r requirements.txt
```

This takes some minutes, mostly for PyTorch. PyTorch's default build for Linux brings several GB of CUDA libraries.
Without a GPU, install its CPU build first: on the installation page of pytorch.org select "CPU", copy the address
behind `--index-url`, and before the second line run

```
.venv/bin/pip install torch=={torch} --index-url ADDRESS
```

## Start

```
.venv/bin/jupyter lab {first}/{first}.ipynb
```

Write your answers into the cells that say `# YOUR CODE HERE`. The visible tests run as often as you like. After you
hand in, hidden tests check more; the notebook says of each what it looks at.

Before you hand in, this runs a notebook from top to bottom and lists the visible tests that fail:

```
.venv/bin/nbgrader validate {first}/{first}.ipynb
```

Hand in the notebook under the name it has, the way your instructor asks for.

## Updates

The instructor may publish lessons and corrections later. To keep your work out of their way, copy a lesson's folder
before you write in it. After an update, run `.venv/bin/pip install -r requirements.txt` again.
"""


def readme(titles: dict[str, str], torch: str) -> str:
    """titles: lesson -> what it calls itself; torch: its pinned version"""
    rows = [f"| {title} | [`{lesson}/{lesson}.ipynb`]({lesson}/{lesson}.ipynb) |" for lesson, title in titles.items()]
    return TEXT.format(lessons="\n".join(rows), first=min(titles), torch=torch)
