"""Wrong and right ways to write the exercises of lesson 09."""

import torch
from torch import nn
from torchgrade.lessons import accepted, mistake


class EncoderParts(nn.Module):
    """What the variants of 9.1 share: the parts, and one way to use each of them."""

    def __init__(self, d_model, heads, d_ff, norm_first=True):
        super().__init__()
        self.norm_first = norm_first
        self.self_attn = nn.MultiheadAttention(d_model, heads, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)
        self.norm1, self.norm2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)

    def attend(self, h, real):
        return self.self_attn(h, h, h, key_padding_mask=None if real is None else ~real, need_weights=False)[0]

    def mlp(self, h):
        return self.linear2(self.linear1(h).relu())

    def forward(self, x, real=None):
        if self.norm_first:
            x = x + self.attend(self.norm1(x), real)
            return x + self.mlp(self.norm2(x))
        x = self.norm1(x + self.attend(x, real))
        return self.norm2(x + self.mlp(x))


# 9.1 EncoderLayer


@mistake("EncoderLayer", "the padding mask is passed on as it is; key_padding_mask says True = ignore", see="9.1")
class EncoderLayer(EncoderParts):
    def attend(self, h, real):
        return self.self_attn(h, h, h, key_padding_mask=real, need_weights=False)[0]


@mistake("EncoderLayer", "padding is not hidden from the real positions", see="9.1")
class EncoderLayer(EncoderParts):
    def attend(self, h, real):
        return self.self_attn(h, h, h, need_weights=False)[0]


@mistake("EncoderLayer", "pre-norm adds to the normalized vector; the sum must go on from x itself", see="9.1")
class EncoderLayer(EncoderParts):
    def forward(self, x, real=None):
        if not self.norm_first:
            return super().forward(x, real)
        x = self.norm1(x)
        x = self.norm2(x + self.attend(x, real))
        return x + self.mlp(x)


@mistake("EncoderLayer", "norm_first is ignored: post-norm normalizes after each sum", see="9.1")
class EncoderLayer(EncoderParts):
    def forward(self, x, real=None):
        x = x + self.attend(self.norm1(x), real)
        return x + self.mlp(self.norm2(x))


@mistake("EncoderLayer", "post-norm normalizes the parts instead of the sums", see="9.1")
class EncoderLayer(EncoderParts):
    def forward(self, x, real=None):
        if self.norm_first:
            return super().forward(x, real)
        x = x + self.norm1(self.attend(x, real))
        return x + self.norm2(self.mlp(x))


@mistake("EncoderLayer", "batch_first is forgotten, so the examples of a batch read each other", see="9.6")
class EncoderLayer(EncoderParts):
    def __init__(self, d_model, heads, d_ff, norm_first=True):
        super().__init__(d_model, heads, d_ff, norm_first)
        self.self_attn = nn.MultiheadAttention(d_model, heads)

    def attend(self, h, real):
        ignored = None if real is None or real.shape[0] != h.shape[1] else ~real
        return self.self_attn(h, h, h, key_padding_mask=ignored, need_weights=False)[0]


@mistake("EncoderLayer", "the MLP has no relu: two linear maps in a row are one linear map", see="9.1")
class EncoderLayer(EncoderParts):
    def mlp(self, h):
        return self.linear2(self.linear1(h))


@mistake("EncoderLayer", "norm1 is used twice, and norm2 learns nothing", see="9.1")
class EncoderLayer(EncoderParts):
    def forward(self, x, real=None):
        if not self.norm_first:
            x = self.norm1(x + self.attend(x, real))
            return self.norm1(x + self.mlp(x))
        x = x + self.attend(self.norm1(x), real)
        return x + self.mlp(self.norm1(x))


@mistake("EncoderLayer", "x += writes into the caller's tensor", see="9.1")
class EncoderLayer(EncoderParts):
    def forward(self, x, real=None):
        if not self.norm_first:
            return super().forward(x, real)
        x += self.attend(self.norm1(x.clone()), real)
        return x + self.mlp(self.norm2(x))


@mistake("EncoderLayer", "the residual is detached, so gradients pass through the attention only", see="9.1")
class EncoderLayer(EncoderParts):
    def forward(self, x, real=None):
        if not self.norm_first:
            return super().forward(x, real)
        x = x.detach() + self.attend(self.norm1(x), real)
        return x + self.mlp(self.norm2(x))


@accepted("EncoderLayer", "the parts in a list, one loop for both orders")
class EncoderLayer(EncoderParts):
    def forward(self, x, real=None):
        for part, norm in ((lambda h: self.attend(h, real), self.norm1), (self.mlp, self.norm2)):
            x = x + part(norm(x)) if self.norm_first else norm(x + part(x))
        return x


@accepted("EncoderLayer", "a float mask of 0 and minus infinity, and the weights asked for")
class EncoderLayer(EncoderParts):
    def attend(self, h, real):
        mask = None
        if real is not None:
            mask = torch.zeros(real.shape, dtype=h.dtype).masked_fill(real.logical_not(), float("-inf"))
        return self.self_attn(h, h, h, key_padding_mask=mask)[0]


# 9.2 teacher_forcing


def shifted(targets, bos, eos, pad, ignored=-100):
    """The right answer, with the label of padding for a parameter."""
    n = max(len(target) for target in targets) + 1
    reads = [[bos, *target] + [pad] * (n - 1 - len(target)) for target in targets]
    says = [[*target, eos] + [ignored] * (n - 1 - len(target)) for target in targets]
    return torch.tensor(reads), torch.tensor(says)


@mistake("teacher_forcing", "the inputs are not shifted: each position reads the symbol it must say", see="9.2")
def teacher_forcing(targets, bos, eos, pad):
    _, labels = shifted(targets, bos, eos, pad)
    return torch.where(labels == -100, pad, labels), labels


@mistake("teacher_forcing", "padding is labeled with pad, so the model is trained to write it", see="9.2")
def teacher_forcing(targets, bos, eos, pad):
    return shifted(targets, bos, eos, pad, ignored=pad)


@mistake("teacher_forcing", "the labels lack eos: a model trained so never stops", see="9.2")
def teacher_forcing(targets, bos, eos, pad):
    inputs, labels = shifted(targets, bos, eos, pad)
    for row, target in enumerate(targets):
        labels[row, len(target)] = -100
    return inputs, labels


@mistake("teacher_forcing", "the last symbol of the longest target is cut off: n is longest + 1", see="9.2")
def teacher_forcing(targets, bos, eos, pad):
    inputs, labels = shifted(targets, bos, eos, pad)
    return inputs[:, :-1], labels[:, :-1]


@mistake(
    "teacher_forcing", "padding is found by its value, so a real symbol that equals pad loses its label", see="9.2"
)
def teacher_forcing(targets, bos, eos, pad):
    inputs, labels = shifted(targets, bos, eos, pad, ignored=pad)
    return inputs, labels.masked_fill(labels == pad, -100)


@mistake("teacher_forcing", "eos is appended to the caller's lists", see="9.2")
def teacher_forcing(targets, bos, eos, pad):
    result = shifted(targets, bos, eos, pad)
    for target in targets:
        target.append(eos)
    return result


@mistake("teacher_forcing", "the padding stands in front of the target instead of behind it", see="9.2")
def teacher_forcing(targets, bos, eos, pad):
    n = max(len(target) for target in targets) + 1
    reads = [[pad] * (n - 1 - len(target)) + [bos, *target] for target in targets]
    says = [[-100] * (n - 1 - len(target)) + [*target, eos] for target in targets]
    return torch.tensor(reads), torch.tensor(says)


@accepted("teacher_forcing", "lists, filled up, then tensors")
def teacher_forcing(targets, bos, eos, pad):
    return shifted(targets, bos, eos, pad)


@accepted("teacher_forcing", "pad_sequence twice")
def teacher_forcing(targets, bos, eos, pad):
    fill = nn.utils.rnn.pad_sequence
    reads = [torch.tensor([bos, *target]) for target in targets]
    says = [torch.tensor([*target, eos]) for target in targets]
    return fill(reads, batch_first=True, padding_value=pad), fill(says, batch_first=True, padding_value=-100)


# 9.3 DecoderLayer


class DecoderParts(nn.Module):
    """What the variants of 9.3 share."""

    def __init__(self, d_model, heads, d_ff):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(d_model, heads, batch_first=True)
        self.multihead_attn = nn.MultiheadAttention(d_model, heads, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(d_model), nn.LayerNorm(d_model), nn.LayerNorm(d_model)

    def hidden(self, t):
        return torch.ones(t, t, dtype=torch.bool).triu(1)

    def write(self, h):
        return self.self_attn(h, h, h, attn_mask=self.hidden(h.shape[1]), need_weights=False)[0]

    def read(self, h, memory, real):
        ignored = None if real is None else ~real
        return self.multihead_attn(h, memory, memory, key_padding_mask=ignored, need_weights=False)[0]

    def forward(self, x, memory, memory_real=None):
        x = x + self.write(self.norm1(x))
        x = x + self.read(self.norm2(x), memory, memory_real)
        return x + self.linear2(self.linear1(self.norm3(x)).relu())


@mistake(
    "DecoderLayer",
    "later targets are read: the causal mask is missing, or finite where it must be minus infinity",
    see="9.3",
)
class DecoderLayer(DecoderParts):
    def write(self, h):
        return self.self_attn(h, h, h, need_weights=False)[0]


@mistake("DecoderLayer", "the causal mask is upside down: attn_mask says True = ignore", see="9.3")
class DecoderLayer(DecoderParts):
    def hidden(self, t):
        return torch.ones(t, t, dtype=torch.bool).tril(-1)


@mistake("DecoderLayer", "position t may also read t + 1: the mask begins one place too far right", see="9.3")
class DecoderLayer(DecoderParts):
    def hidden(self, t):
        return torch.ones(t, t, dtype=torch.bool).triu(2)


@mistake("DecoderLayer", "cross-attention is causal; the source is known as a whole", see="9.3")
class DecoderLayer(DecoderParts):
    def read(self, h, memory, real):
        later = torch.ones(h.shape[1], memory.shape[1], dtype=torch.bool).triu(1)
        ignored = None if real is None else ~real
        return self.multihead_attn(h, memory, memory, key_padding_mask=ignored, attn_mask=later)[0]


@mistake("DecoderLayer", "the source's padding is read in cross-attention", see="9.3")
class DecoderLayer(DecoderParts):
    def read(self, h, memory, real):
        return self.multihead_attn(h, memory, memory, need_weights=False)[0]


@mistake("DecoderLayer", "memory_real is passed on as it is; key_padding_mask says True = ignore", see="9.3")
class DecoderLayer(DecoderParts):
    def read(self, h, memory, real):
        return self.multihead_attn(h, memory, memory, key_padding_mask=real, need_weights=False)[0]


@mistake("DecoderLayer", "the memory is normalized again; the encoder's last norm has done that", see="9.3")
class DecoderLayer(DecoderParts):
    def read(self, h, memory, real):
        return super().read(h, self.norm2(memory), real)


@mistake("DecoderLayer", "the queries of cross-attention are not normalized", see="9.3")
class DecoderLayer(DecoderParts):
    def forward(self, x, memory, memory_real=None):
        x = x + self.write(self.norm1(x))
        x = x + self.read(x, memory, memory_real)
        return x + self.linear2(self.linear1(self.norm3(x)).relu())


@mistake("DecoderLayer", "what was read replaces the stream instead of being added to it", see="9.1")
class DecoderLayer(DecoderParts):
    def forward(self, x, memory, memory_real=None):
        x = x + self.write(self.norm1(x))
        x = self.read(self.norm2(x), memory, memory_real)
        return x + self.linear2(self.linear1(self.norm3(x)).relu())


@mistake(
    "DecoderLayer",
    "later targets are read: the causal mask is missing, or finite where it must be minus infinity",
    see="9.3",
)
class DecoderLayer(DecoderParts):
    def hidden(self, t):
        return -50.0 * super().hidden(t).to(self.norm1.weight.dtype)


@mistake("DecoderLayer", "the memory is detached, so the encoder learns nothing from the target", see="9.3")
class DecoderLayer(DecoderParts):
    def read(self, h, memory, real):
        return super().read(h, memory.detach(), real)


@accepted("DecoderLayer", "one line per sum, the mask as numbers, everything asked for by name")
class DecoderLayer(DecoderParts):
    def write(self, h):
        t = h.shape[1]
        mask = torch.full((t, t), float("-inf"), dtype=h.dtype).triu(1)
        return self.self_attn(query=h, key=h, value=h, attn_mask=mask)[0]


@accepted("DecoderLayer", "positions compared, padding written as == False")
class DecoderLayer(DecoderParts):
    def hidden(self, t):
        return torch.arange(t)[:, None] < torch.arange(t)

    def read(self, h, memory, real):
        ignored = real.logical_not() if real is not None else None
        return self.multihead_attn(h, memory, memory, key_padding_mask=ignored)[0]


# 9.4 greedy_decode


@mistake("greedy_decode", "rows that have ended go on writing symbols instead of pad", see="9.4")
def greedy_decode(model, src, bos, eos, pad, limit):
    with torch.no_grad():
        memory, tgt = model.encode(src), torch.full((len(src), 1), bos)
        ended = torch.zeros(len(src), dtype=torch.bool)
        while tgt.shape[1] <= limit and not ended.all():
            best = model.decode(tgt, memory, src)[:, -1].argmax(-1)
            ended |= best == eos
            tgt = torch.cat([tgt, best[:, None]], dim=1)
    return tgt[:, 1:]


@mistake("greedy_decode", "everything stops as soon as the first row ends", see="9.4")
def greedy_decode(model, src, bos, eos, pad, limit):
    with torch.no_grad():
        memory, tgt = model.encode(src), torch.full((len(src), 1), bos)
        while tgt.shape[1] <= limit and not (tgt[:, -1] == eos).any():
            best = model.decode(tgt, memory, src)[:, -1].argmax(-1)
            tgt = torch.cat([tgt, best[:, None]], dim=1)
    return tgt[:, 1:]


@mistake("greedy_decode", "eos is ignored: decoding always runs to the limit", see="9.4")
def greedy_decode(model, src, bos, eos, pad, limit):
    with torch.no_grad():
        memory, tgt = model.encode(src), torch.full((len(src), 1), bos)
        for _ in range(limit):
            best = model.decode(tgt, memory, src)[:, -1].argmax(-1)
            tgt = torch.cat([tgt, best[:, None]], dim=1)
    return tgt[:, 1:]


@mistake("greedy_decode", "the encoder runs again for every symbol, although the source does not change", see="9.4")
def greedy_decode(model, src, bos, eos, pad, limit):
    with torch.no_grad():
        tgt, ended = torch.full((len(src), 1), bos), torch.zeros(len(src), dtype=torch.bool)
        while tgt.shape[1] <= limit and not ended.all():
            best = model.decode(tgt, model.encode(src), src)[:, -1].argmax(-1).masked_fill(ended, pad)
            ended |= best == eos
            tgt = torch.cat([tgt, best[:, None]], dim=1)
    return tgt[:, 1:]


@mistake("greedy_decode", "only the last symbol is given back to the decoder instead of the whole prefix", see="9.4")
def greedy_decode(model, src, bos, eos, pad, limit):
    with torch.no_grad():
        memory, tgt = model.encode(src), torch.full((len(src), 1), bos)
        ended = torch.zeros(len(src), dtype=torch.bool)
        while tgt.shape[1] <= limit and not ended.all():
            best = model.decode(tgt[:, -1:], memory, src)[:, -1].argmax(-1).masked_fill(ended, pad)
            ended |= best == eos
            tgt = torch.cat([tgt, best[:, None]], dim=1)
    return tgt[:, 1:]


@mistake("greedy_decode", "the result still begins with bos", see="9.4")
def greedy_decode(model, src, bos, eos, pad, limit):
    with torch.no_grad():
        memory, tgt = model.encode(src), torch.full((len(src), 1), bos)
        ended = torch.zeros(len(src), dtype=torch.bool)
        while tgt.shape[1] <= limit and not ended.all():
            best = model.decode(tgt, memory, src)[:, -1].argmax(-1).masked_fill(ended, pad)
            ended |= best == eos
            tgt = torch.cat([tgt, best[:, None]], dim=1)
    return tgt


@mistake("greedy_decode", "bos counts toward the limit: the longest answers lack their last symbol", see="9.4")
def greedy_decode(model, src, bos, eos, pad, limit):
    with torch.no_grad():
        memory, tgt = model.encode(src), torch.full((len(src), 1), bos)
        ended = torch.zeros(len(src), dtype=torch.bool)
        while tgt.shape[1] < limit and not ended.all():
            best = model.decode(tgt, memory, src)[:, -1].argmax(-1).masked_fill(ended, pad)
            ended |= best == eos
            tgt = torch.cat([tgt, best[:, None]], dim=1)
    return tgt[:, 1:]


@mistake("greedy_decode", "gradients are recorded for every step although nobody asks for them", see="9.4")
def greedy_decode(model, src, bos, eos, pad, limit):
    memory, tgt = model.encode(src), torch.full((len(src), 1), bos)
    ended = torch.zeros(len(src), dtype=torch.bool)
    while tgt.shape[1] <= limit and not ended.all():
        best = model.decode(tgt, memory, src)[:, -1].argmax(-1).masked_fill(ended, pad)
        ended |= best == eos
        tgt = torch.cat([tgt, best[:, None]], dim=1)
    return tgt[:, 1:]


@accepted("greedy_decode", "a list of columns, stacked at the end, under inference_mode")
@torch.inference_mode()
def greedy_decode(model, src, bos, eos, pad, limit):
    memory, columns = model.encode(src), [torch.full((len(src),), bos)]
    running = torch.ones(len(src), dtype=torch.bool)
    for _ in range(limit):
        scores = model.decode(torch.stack(columns, 1), memory, src)[:, -1, :]
        column = torch.where(running, scores.max(-1).indices, torch.tensor(pad))
        columns.append(column)
        running = running & (column != eos)
        if not running.any():
            break
    return torch.stack(columns[1:], 1).clone()


@accepted("greedy_decode", "memory for all symbols reserved first, cut at the end")
@torch.no_grad()
def greedy_decode(model, src, bos, eos, pad, limit):
    memory = model.encode(src)
    text = torch.full((src.shape[0], limit + 1), pad)
    text[:, 0] = bos
    alive = torch.arange(src.shape[0]) >= 0
    for t in range(1, limit + 1):
        choice = model.decode(text[:, :t], memory, src)[:, t - 1].argmax(dim=-1)
        text[alive, t] = choice[alive]
        alive &= choice != eos
        if not alive.any():
            return text[:, 1 : t + 1]
    return text[:, 1:]


# 9.5 beam_search


def beams(log_probs, bos, eos, width, limit, keep, after):
    """The finished and the living, as (sum, prefix); `keep` cuts a step, `after` says who lives on."""
    live, finished = [(0.0, [bos])], []
    for _ in range(limit):
        longer = [(s + p, [*t, i]) for s, t in live for i, p in enumerate(log_probs(t).tolist())]
        kept = keep(longer, width)
        finished += [one for one in kept if one[1][-1] == eos]
        live = after(kept, eos)
    return finished, live


def best_first(longer, width):
    return sorted(longer, reverse=True)[:width]


def not_ended(kept, eos):
    return [one for one in kept if one[1][-1] != eos]


@mistake("beam_search", "the worst candidates are kept: sorted puts the smallest sums first", see="9.5")
def beam_search(log_probs, bos, eos, width, limit, alpha=0.0):
    finished, live = beams(log_probs, bos, eos, width, limit, lambda longer, n: sorted(longer)[:n], not_ended)
    score, symbols = max((s / (len(t) - 1) ** alpha, t[1:]) for s, t in finished + live)
    return symbols, score


@mistake("beam_search", "finished candidates are extended beyond their eos", see="9.5")
def beam_search(log_probs, bos, eos, width, limit, alpha=0.0):
    finished, live = beams(log_probs, bos, eos, width, limit, best_first, lambda kept, eos: kept)
    score, symbols = max((s / (len(t) - 1) ** alpha, t[1:]) for s, t in finished + live)
    return symbols, score


@mistake("beam_search", "the length counts bos", see="9.5")
def beam_search(log_probs, bos, eos, width, limit, alpha=0.0):
    finished, live = beams(log_probs, bos, eos, width, limit, best_first, not_ended)
    score, symbols = max((s / len(t) ** alpha, t[1:]) for s, t in finished + live)
    return symbols, score


@mistake("beam_search", "alpha is ignored: the sums are compared", see="9.5")
def beam_search(log_probs, bos, eos, width, limit, alpha=0.0):
    finished, live = beams(log_probs, bos, eos, width, limit, best_first, not_ended)
    score, symbols = max((s, t[1:]) for s, t in finished + live)
    return symbols, score


@mistake("beam_search", "each candidate keeps `width` extensions of its own, so the beam grows without end", see="9.5")
def beam_search(log_probs, bos, eos, width, limit, alpha=0.0):
    def per_parent(longer, n):
        parents = {tuple(t[:-1]) for _, t in longer}
        return [one for p in parents for one in best_first([x for x in longer if tuple(x[1][:-1]) == p], n)]

    finished, live = beams(log_probs, bos, eos, width, limit, per_parent, not_ended)
    score, symbols = max((s / (len(t) - 1) ** alpha, t[1:]) for s, t in finished + live)
    return symbols, score


@mistake("beam_search", "what is still alive at the limit is thrown away", see="9.5")
def beam_search(log_probs, bos, eos, width, limit, alpha=0.0):
    finished, live = beams(log_probs, bos, eos, width, limit, best_first, not_ended)
    score, symbols = max((s / (len(t) - 1) ** alpha, t[1:]) for s, t in finished or live)
    return symbols, score


@mistake("beam_search", "finished candidates do not count against the width, so more than it are kept", see="9.5")
def beam_search(log_probs, bos, eos, width, limit, alpha=0.0):
    def living_only(longer, n):
        done = [one for one in longer if one[1][-1] == eos]
        return done + best_first([one for one in longer if one[1][-1] != eos], n)

    finished, live = beams(log_probs, bos, eos, width, limit, living_only, not_ended)
    score, symbols = max((s / (len(t) - 1) ** alpha, t[1:]) for s, t in finished + live)
    return symbols, score


@accepted("beam_search", "one list of texts, sorted by a key")
def beam_search(log_probs, bos, eos, width, limit, alpha=0.0):
    live, done = [([bos], 0.0)], []
    while live and limit > 0:
        limit -= 1
        grown = [([*text, i], total + p.item()) for text, total in live for i, p in enumerate(log_probs(text))]
        grown.sort(key=lambda one: -one[1])
        live = []
        for text, total in grown[:width]:
            (done if text[-1] == eos else live).append((text, total))
    text, total = max(done + live, key=lambda one: one[1] / (len(one[0]) - 1) ** alpha)
    return text[1:], total / (len(text) - 1) ** alpha


@accepted("beam_search", "each candidate offers its best `width` symbols, then all are cut together")
def beam_search(log_probs, bos, eos, width, limit, alpha=0.0):
    live, done = [(0.0, (bos,))], []
    for _ in range(limit):
        offers = []
        for total, text in live:
            steps = log_probs(list(text))
            best = steps.topk(min(width, len(steps)))
            offers += [
                (total + p, (*text, i)) for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)
            ]
        offers = sorted(offers)[::-1][:width]
        live = [one for one in offers if one[1][-1] != eos]
        done.extend(one for one in offers if one[1][-1] == eos)
    score, text = max((total / (len(text) - 1) ** alpha, text) for total, text in done + live)
    return list(text[1:]), score


# 9.6 gpt_costs


@mistake("gpt_costs", "the linear maps have biases, one per output", see="9.6")
def gpt_costs(symbols, context, d, layers, tokens):
    block = 12 * d * d + 4 * d
    total = symbols * d + context * d + layers * block + 2 * d
    return block, total, 6 * total * tokens


@mistake("gpt_costs", "the head is counted although it is the embedding table", see="9.6")
def gpt_costs(symbols, context, d, layers, tokens):
    block = 12 * d * d + 13 * d
    total = 2 * symbols * d + context * d + layers * block + 2 * d
    return block, total, 6 * total * tokens


@mistake("gpt_costs", "the final LayerNorm is forgotten", see="9.6")
def gpt_costs(symbols, context, d, layers, tokens):
    block = 12 * d * d + 13 * d
    total = symbols * d + context * d + layers * block
    return block, total, 6 * total * tokens


@mistake("gpt_costs", "only the forward pass is counted; the backward pass costs twice as much again", see="9.6")
def gpt_costs(symbols, context, d, layers, tokens):
    block = 12 * d * d + 13 * d
    total = symbols * d + context * d + layers * block + 2 * d
    return block, total, 2 * total * tokens


@mistake("gpt_costs", "the learned positions are forgotten", see="9.6")
def gpt_costs(symbols, context, d, layers, tokens):
    block = 12 * d * d + 13 * d
    total = symbols * d + layers * block + 2 * d
    return block, total, 6 * total * tokens


@accepted("gpt_costs", "the sum in closed form")
def gpt_costs(symbols, context, d, layers, tokens):
    block = d * (12 * d + 13)
    total = d * (symbols + context + 2) + layers * block
    return block, total, total * tokens * 6


@accepted("gpt_costs", "counted on modules without memory")
def gpt_costs(symbols, context, d, layers, tokens):
    def count(module):
        return sum(p.numel() for p in module.parameters())

    block = count(nn.TransformerEncoderLayer(d, 1, 4 * d, device="meta"))
    total = d * (symbols + context) + layers * block + count(nn.LayerNorm(d, device="meta"))
    return block, total, 6 * total * tokens


# 9.7 Transformer


class Parts(nn.Module):
    """What the variants of 9.7 share: a right model whose pieces they replace."""

    norm_first = True

    def __init__(self, symbols, d_model=64, heads=4, layers=2, d_ff=128, longest=32, pad=0):
        super().__init__()
        self.pad = pad
        self.token, self.place = nn.Embedding(symbols, d_model), nn.Embedding(longest, d_model)
        self.draw()
        kind = {"dropout": 0.0, "batch_first": True, "norm_first": self.norm_first}
        self.encoder = self.stack(lambda: nn.TransformerEncoderLayer(d_model, heads, d_ff, **kind), layers)
        self.decoder = self.stack(lambda: nn.TransformerDecoderLayer(d_model, heads, d_ff, **kind), layers)
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(d_model), nn.LayerNorm(d_model)

    def draw(self):
        nn.init.normal_(self.token.weight, std=0.02)
        nn.init.normal_(self.place.weight, std=0.02)

    def stack(self, make, layers):
        return nn.ModuleList(make() for _ in range(layers))

    def embed(self, ids):
        return self.token(ids) + self.place.weight[: ids.shape[1]]

    def hidden(self, t):
        return torch.ones(t, t, dtype=torch.bool).triu(1)

    def encode(self, src):
        stream = self.embed(src)
        for layer in self.encoder:
            stream = layer(stream, src_key_padding_mask=src == self.pad)
        return self.encoder_norm(stream)

    def decode(self, tgt, memory, src):
        stream = self.embed(tgt)
        for layer in self.decoder:
            ignored = src == self.pad
            stream = layer(stream, memory, tgt_mask=self.hidden(tgt.shape[1]), memory_key_padding_mask=ignored)
        return self.decoder_norm(stream) @ self.token.weight.T

    def forward(self, src, tgt):
        return self.decode(tgt, self.encode(src), src)


@mistake("Transformer", "one layer object is used N times, so all layers share their weights", see="9.7")
class Transformer(Parts):
    def stack(self, make, layers):
        return nn.ModuleList([make()] * layers)


@mistake("Transformer", "the decoder is not causal", see="9.7")
class Transformer(Parts):
    def hidden(self, t):
        return torch.zeros(t, t, dtype=torch.bool)


@mistake("Transformer", "the causal mask hides the past instead of the future: True = ignore", see="9.7")
class Transformer(Parts):
    def hidden(self, t):
        return torch.ones(t, t, dtype=torch.bool).tril(-1)


@mistake("Transformer", "the encoder is causal too; every source position may read every other", see="9.7")
class Transformer(Parts):
    def encode(self, src):
        stream = self.embed(src)
        for layer in self.encoder:
            stream = layer(stream, src_mask=self.hidden(src.shape[1]), src_key_padding_mask=src == self.pad)
        return self.encoder_norm(stream)


@mistake("Transformer", "the encoder reads padding", see="9.7")
class Transformer(Parts):
    def encode(self, src):
        stream = self.embed(src)
        for layer in self.encoder:
            stream = layer(stream)
        return self.encoder_norm(stream)


@mistake("Transformer", "cross-attention reads the memory of padding", see="9.7")
class Transformer(Parts):
    def decode(self, tgt, memory, src):
        stream = self.embed(tgt)
        for layer in self.decoder:
            stream = layer(stream, memory, tgt_mask=self.hidden(tgt.shape[1]))
        return self.decoder_norm(stream) @ self.token.weight.T


@mistake("Transformer", "padding is taken to be 0, whatever pad says", see="9.7")
class Transformer(Parts):
    def __init__(self, symbols, d_model=64, heads=4, layers=2, d_ff=128, longest=32, pad=0):
        super().__init__(symbols, d_model, heads, layers, d_ff, longest)


@mistake("Transformer", "the decoder's stream is not normalized at its end", see="9.1")
class Transformer(Parts):
    def decode(self, tgt, memory, src):
        stream = self.embed(tgt)
        for layer in self.decoder:
            ignored = src == self.pad
            stream = layer(stream, memory, tgt_mask=self.hidden(tgt.shape[1]), memory_key_padding_mask=ignored)
        return stream @ self.token.weight.T


@mistake("Transformer", "the layers are post-norm, PyTorch's default", see="9.6")
class Transformer(Parts):
    norm_first = False


@mistake("Transformer", "the tables keep PyTorch's N(0, 1), so the first loss is many times ln V", see="9.7")
class Transformer(Parts):
    def draw(self):
        pass


@mistake("Transformer", "the source has no positions: to the encoder it is a set", see="9.7")
class Transformer(Parts):
    def encode(self, src):
        stream = self.token(src)
        for layer in self.encoder:
            stream = layer(stream, src_key_padding_mask=src == self.pad)
        return self.encoder_norm(stream)


@mistake("Transformer", "the memory is detached, so the encoder learns nothing from the target", see="9.7")
class Transformer(Parts):
    def forward(self, src, tgt):
        return self.decode(tgt, self.encode(src).detach(), src)


@mistake("Transformer", "the table is detached where it is the head: it must learn from both of its uses", see="9.7")
class Transformer(Parts):
    def decode(self, tgt, memory, src):
        stream = self.embed(tgt)
        for layer in self.decoder:
            ignored = src == self.pad
            stream = layer(stream, memory, tgt_mask=self.hidden(tgt.shape[1]), memory_key_padding_mask=ignored)
        return self.decoder_norm(stream) @ self.token.weight.detach().T


@accepted("Transformer", "a causal mask of numbers, positions by index, F.linear for the head")
class Transformer(Parts):
    def embed(self, ids):
        return self.token(ids) + self.place(torch.arange(ids.shape[1]))[None]

    def decode(self, tgt, memory, src):
        mask = torch.full((tgt.shape[1],) * 2, float("-inf"), dtype=memory.dtype).triu(1)
        stream, ignored = self.embed(tgt), torch.zeros(src.shape, dtype=memory.dtype)
        ignored = ignored.masked_fill(src == self.pad, float("-inf"))
        for layer in self.decoder:
            stream = layer(stream, memory, tgt_mask=mask, memory_key_padding_mask=ignored, tgt_is_causal=True)
        return nn.functional.linear(self.decoder_norm(stream), self.token.weight)


@accepted("Transformer", "the head is a linear layer that owns the table too")
class Transformer(Parts):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.head = nn.Linear(self.token.embedding_dim, self.token.num_embeddings, bias=False)
        self.head.weight = self.token.weight

    def decode(self, tgt, memory, src):
        stream = self.embed(tgt)
        for layer in self.decoder:
            ignored = src == self.pad
            stream = layer(stream, memory, tgt_mask=self.hidden(tgt.shape[1]), memory_key_padding_mask=ignored)
        return self.head(self.decoder_norm(stream))
