"""How a student's memory grew from one size to twice the size, in a sentence and as a picture."""

import io
from dataclasses import dataclass

from torchgrade.check.timing import memory


@dataclass(frozen=True)
class Growth:
    """small, large: bytes above the start at both sizes; at_most: the factor that is asked for"""

    small: int
    large: int
    at_most: float

    @property
    def ratio(self) -> float:
        return self.large / self._first

    @property
    def _first(self) -> int:
        return max(self.small, memory.NOISE)

    @property
    def sentence(self) -> str:
        """For a student: the sizes themselves are the check's."""
        return (
            f"Memory grows {self.ratio:.1f}-fold, from {_mib(self.small):.3g} to {_mib(self.large):.3g} MiB,"
            f" when the size doubles; at most {self.at_most:g}-fold is asked for"
        )

    def png(self) -> bytes:
        import matplotlib.pyplot as plt

        from torchgrade import plots

        fig, ax = plt.subplots(figsize=(5.2, 2.6))
        small, large = _mib(self.small), _mib(self.large)
        most = _mib(self._first) * self.at_most
        ax.plot([1, 2], [_mib(self._first), most], "--", color=plots.RED, lw=1.5)
        ax.plot([1, 2], [small, large], "o-", color=plots.BLUE, ms=5)
        ax.annotate("yours", (2, large), xytext=(6, 0), textcoords="offset points", va="center", color=plots.BLUE)
        ax.annotate("allowed", (2, most), xytext=(6, 0), textcoords="offset points", va="center", color=plots.RED)
        ax.set(ylabel="memory, MiB", xlim=(0.8, 2.5), ylim=(0, 1.15 * max(large, most)), title="How your memory grows")
        ax.set_xticks([1, 2], ["first size", "twice the size"])
        stream = io.BytesIO()
        fig.savefig(stream, format="png", bbox_inches="tight")
        plt.close(fig)
        return stream.getvalue()


def _mib(size: int) -> float:
    return size / 2**20
