"""One look for every figure of the course. Importing this module applies it.

Colors are Okabe and Ito's set (https://jfly.uni-koeln.de/color/), in an order whose lightness alternates, so lines stay
apart for color-blind readers and in grayscale; `cividis` is for the same reason the color map of images.
"""

import matplotlib as mpl
import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PINK, SKY, RED, BLACK = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7"),
    *("#56B4E9", "#D55E00", "#000000"),
)

mpl.rcParams.update(
    {
        "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, RED, SKY, PINK, BLACK]),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "figure.figsize": (7.0, 3.2),
        "figure.dpi": 100,
        "font.size": 10,
        "grid.alpha": 0.25,
        "image.cmap": "cividis",
        "legend.frameon": False,
        "lines.linewidth": 2.0,
    }
)


def blank(*axes: Axes) -> None:
    """Take away frame, ticks and grid: for drawings, where the axes carry no numbers."""
    for ax in axes:
        ax.set_axis_off()


def finish(fig: Figure) -> None:
    """Lay the figure out and show it once."""
    fig.tight_layout()
    plt.show()
    plt.close(fig)
