"""A race as a small picture: every pair, the median with its interval, and what was asked for."""

import io

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from torchgrade import plots
from torchgrade.check.timing.record import Finding, Record


def draw(record: Record) -> Figure:
    """One dot for each pair, in the order of measuring."""
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(6.4, 2.4))
    low, high = record.interval
    pairs = range(1, len(record.ratios) + 1)
    ax.axhspan(low, high, color=plots.BLUE, alpha=0.2, lw=0, label="95 % interval of the median")
    ax.plot(pairs, record.ratios, "o", color=plots.BLUE, ms=4, label="one pair")
    ax.axhline(record.ratio, color=plots.BLUE, lw=1.5)
    ax.axhline(record.at_least, color=plots.RED, ls="--", lw=1.5, label=f"asked for: {record.at_least:g}")
    ax.axhline(1.0, color="0.5", ls=":", lw=1, label="as fast as the baseline")
    ax.set(
        xlabel="pair, in the order of measuring",
        ylabel="baseline time /\nyour time",
        ylim=(0, 1.15 * max(*record.ratios, record.at_least)),
        title=_title(record),
    )
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def show(record: Record) -> None:
    plots.finish(draw(record))


def png(record: Record) -> bytes:
    import matplotlib.pyplot as plt

    fig, buffer = draw(record), io.BytesIO()
    fig.savefig(buffer, format="png", bbox_inches="tight")
    plt.close(fig)
    return buffer.getvalue()


def _title(record: Record) -> str:
    relation = {Finding.PASS: "fast enough", Finding.FAIL: "too slow"}.get(record.finding, "no clear answer")
    return f"{record.ratio:.2f} times as fast as the baseline: {relation}"
