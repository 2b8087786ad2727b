"""The character language models of the ladder, each in plain PyTorch, and how all of them are trained and measured.

A model maps characters (batch, context) to logits (batch, context, alphabet) for the character after each.
"""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pydoc_data.topics import topics

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONTEXT = 64  # characters; only predictions with half of them to look back on are scored
BATCH = 32
WARM_UP = 0.05  # of the budget
DROPOUT = 0.2  # of the two models that would otherwise learn the text by heart long before ten minutes are over
LOOKS = 40  # times that a validation twentieth of the text is predicted; the best weights are kept


def corpus() -> tuple[Tensor, Tensor, int]:
    """(training text, held-out tenth, size of the alphabet); the text that comes with Python, as numbers."""
    text = "\n".join(topics[name] for name in sorted(topics))
    alphabet = sorted(set(text))
    number_of = {character: number for number, character in enumerate(alphabet)}
    ids = torch.tensor([number_of[character] for character in text])
    split = int(0.9 * len(ids))
    return ids[:split], ids[split:], len(alphabet)


class Bigram(nn.Module):
    """Counts, one added to each pair."""

    def __init__(self, text: Tensor, symbols: int):
        super().__init__()
        counts = torch.ones(symbols, symbols)
        counts.index_put_((text[:-1], text[1:]), torch.ones(len(text) - 1), accumulate=True)
        self.table = nn.Parameter((counts / counts.sum(1, keepdim=True)).log(), requires_grad=False)

    def forward(self, ids: Tensor) -> Tensor:
        return self.table[ids]


class Letters(Bigram):
    """How often each character occurs, whatever came before."""

    def __init__(self, text: Tensor, symbols: int):
        super().__init__(text, symbols)
        self.table = nn.Parameter(text.bincount(minlength=symbols).add(1).float().log(), requires_grad=False)

    def forward(self, ids: Tensor) -> Tensor:
        return self.table.expand(*ids.shape, -1)


class Uniform(nn.Module):
    """Every character alike."""

    def __init__(self, text: Tensor, symbols: int):
        super().__init__()
        self.symbols = symbols

    def forward(self, ids: Tensor) -> Tensor:
        return torch.zeros(*ids.shape, self.symbols)


class MLP(nn.Module):
    """The last 16 characters, embedded and laid side by side, through one hidden layer (Bengio et al. 2003)."""

    def __init__(self, symbols: int, width: int = 16, reach: int = 16, hidden: int = 256):
        super().__init__()
        self.reach = reach
        self.embedding = nn.Embedding(symbols, width)
        first, last = nn.Linear(reach * width, hidden), nn.Linear(hidden, symbols)
        self.layers = nn.Sequential(first, nn.ReLU(), nn.Dropout(DROPOUT), last)

    def forward(self, ids: Tensor) -> Tensor:
        padded = F.pad(ids, (self.reach - 1, 0))
        return self.layers(self.embedding(padded.unfold(1, self.reach, 1)).flatten(2))


class Convolutions(nn.Module):
    """Causal convolutions with growing gaps: a position sees the 31 characters up to its own."""

    def __init__(self, symbols: int, width: int = 96, gaps: tuple[int, ...] = (1, 2, 4, 8)):
        super().__init__()
        self.gaps = gaps
        self.embedding = nn.Embedding(symbols, width)
        self.convolutions = nn.ModuleList(nn.Conv1d(width, width, 3, dilation=gap) for gap in gaps)
        self.head = nn.Linear(width, symbols)

    def forward(self, ids: Tensor) -> Tensor:
        stream = self.embedding(ids).transpose(1, 2)
        for gap, convolution in zip(self.gaps, self.convolutions, strict=True):
            heard = F.relu(convolution(F.pad(stream, (2 * gap, 0))))
            stream = stream + F.dropout(heard, DROPOUT, self.training)
        return self.head(stream.transpose(1, 2))


class OneAttentionLayer(nn.Module):
    """Lesson 07's: token and place embeddings, 4 causal heads of width 16, a linear head."""

    def __init__(self, symbols: int, context: int = CONTEXT, width: int = 64):
        super().__init__()
        self.token, self.place = nn.Embedding(symbols, width), nn.Embedding(context, width)
        self.norm, self.qkv = nn.LayerNorm(width), nn.Linear(width, 3 * width)
        self.out, self.head = nn.Linear(width, width), nn.Linear(width, symbols)

    def forward(self, ids: Tensor) -> Tensor:
        stream = self.token(ids) + self.place(torch.arange(ids.shape[1]))
        q, k, v = (part.unflatten(2, (4, -1)).transpose(1, 2) for part in self.qkv(self.norm(stream)).chunk(3, -1))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.head(stream + self.out(mixed.transpose(1, 2).flatten(2)))


class RotaryBlock(nn.Module):
    """Attention whose queries and keys are turned by their position (RoPE, Su et al. 2021), then a two-layer MLP."""

    def __init__(self, width: int, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, stream: Tensor) -> Tensor:
        parts = self.qkv(self.norms[0](stream)).chunk(3, -1)
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(_turned(q), _turned(k), v, is_causal=True)
        stream = stream + self.out(mixed.transpose(1, 2).flatten(2))
        return stream + self.mlp(self.norms[1](stream))


def _turned(x: Tensor) -> Tensor:
    """Each pair of halves of x (batch, head, position, d), turned by position * 10000^(-2i/d)."""
    half = x.shape[-1] // 2
    angles = torch.arange(x.shape[-2])[:, None] * 10_000.0 ** (-torch.arange(half) / half)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * angles.cos() - second * angles.sin(), first * angles.sin() + second * angles.cos()], -1)


class Rotary(nn.Module):
    """Two such blocks of width 64."""

    def __init__(self, symbols: int, width: int = 64, layers: int = 2):
        super().__init__()
        self.token = nn.Embedding(symbols, width)
        self.blocks = nn.Sequential(*(RotaryBlock(width) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, symbols)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.token(ids))))


@dataclass(frozen=True)
class Rung:
    """lesson: whose ladder it joins; learning_rate: its peak, 0 for a model that is counted, not trained"""

    lesson: str
    name: str
    build: Callable[[Tensor, int], nn.Module]
    learning_rate: float = 0.0


RUNGS = (
    Rung("01", "uniform", Uniform),
    Rung("01", "letter frequencies", Letters),
    Rung("01", "bigram, counted", Bigram),
    Rung("03", "MLP on 16 characters", lambda text, symbols: MLP(symbols), 3e-3),
    Rung("06", "causal convolutions", lambda text, symbols: Convolutions(symbols), 3e-3),
    Rung("07", "one attention layer", lambda text, symbols: OneAttentionLayer(symbols), 5e-3),
    Rung("08", "two layers with RoPE", lambda text, symbols: Rotary(symbols), 3e-3),
)


@dataclass(frozen=True)
class Result:
    parameters: int
    bits: float
    seconds: float
    characters_per_second: float
    memory: int


def climb(rung: Rung, seconds: float, seed: int = 0) -> Result:
    """Train `rung` for `seconds` of this process's CPU time, and measure it."""
    text, heldout, symbols = corpus()
    torch.manual_seed(seed)
    started = time.process_time()
    model = rung.build(text, symbols)
    seen = _train(model, text, rung.learning_rate, seconds) if rung.learning_rate else len(text)
    spent = time.process_time() - started
    parameters = [parameter.numel() for parameter in model.parameters()]
    memory = sum(p.numel() * p.element_size() for p in model.parameters())
    return Result(sum(parameters), heldout_bits(model, heldout), spent, seen / max(spent, 1e-9), memory)


def _train(model: nn.Module, text: Tensor, learning_rate: float, seconds: float) -> int:
    """AdamW, warmed up and then down to zero along a cosine, by the share of the budget that is spent.

    The model ends with the weights that predicted the validation part best. Returns the characters trained on.
    """
    split = int(0.95 * len(text))
    text, validation = text[:split], text[split:]
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.1)
    best, weights = math.inf, copy.deepcopy(model.state_dict())
    started, seen, looks = time.process_time(), 0, 0
    while (share := (time.process_time() - started) / seconds) < 1:
        rate = min(share / WARM_UP, 1.0) * 0.5 * (1 + math.cos(math.pi * share))
        optimizer.param_groups[0]["lr"] = learning_rate * max(rate, 1e-3)
        starts = torch.randint(0, len(text) - CONTEXT - 1, (BATCH,))
        windows = text[starts[:, None] + torch.arange(CONTEXT + 1)]
        loss = F.cross_entropy(model(windows[:, :-1]).flatten(0, 1), windows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen += BATCH * CONTEXT
        if share * LOOKS > looks:
            looks += 1
            if (bits := heldout_bits(model, validation)) < best:
                best, weights = bits, copy.deepcopy(model.state_dict())
    model.load_state_dict(weights)
    return seen


@torch.no_grad()
def heldout_bits(model: nn.Module, heldout: Tensor) -> float:
    """Bits per character, over the second halves of windows that overlap by half."""
    model.eval()
    windows = heldout.unfold(0, CONTEXT + 1, CONTEXT // 2)
    total = 0.0
    for batch in windows.split(256):
        losses = F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten(), reduction="none")
        total += losses.view(len(batch), CONTEXT)[:, CONTEXT // 2 :].double().sum().item()
    model.train()
    return total / (len(windows) * (CONTEXT // 2)) / math.log(2)
