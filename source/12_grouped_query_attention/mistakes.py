"""Wrong and right ways to write the exercises of lesson 12."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torchgrade.lessons import accepted, mistake

# 12.1 kv_cache_bytes


@mistake("kv_cache_bytes", "keys and values are two tensors: the factor 2 is missing", see="12.1")
def kv_cache_bytes(batch, positions, layers, kv_heads, d, bits=16, window=None):
    stored = positions if window is None else min(positions, window)
    return math.ceil(batch * stored * layers * kv_heads * d * bits / 8)


@mistake("kv_cache_bytes", "each sequence of the batch has a cache of its own", see="12.1")
def kv_cache_bytes(batch, positions, layers, kv_heads, d, bits=16, window=None):
    stored = positions if window is None else min(positions, window)
    return math.ceil(2 * stored * layers * kv_heads * d * bits / 8)


@mistake(
    "kv_cache_bytes", "a window keeps at most `window` positions, and all of them if the text is shorter", see="12.1"
)
def kv_cache_bytes(batch, positions, layers, kv_heads, d, bits=16, window=None):
    return math.ceil(2 * batch * (window or positions) * layers * kv_heads * d * bits / 8)


@mistake("kv_cache_bytes", "the window is ignored: what has left it need not be kept", see="12.1")
def kv_cache_bytes(batch, positions, layers, kv_heads, d, bits=16, window=None):
    return math.ceil(2 * batch * positions * layers * kv_heads * d * bits / 8)


@mistake("kv_cache_bytes", "two bytes per number, whatever `bits` says", see="12.1")
def kv_cache_bytes(batch, positions, layers, kv_heads, d, bits=16, window=None):
    stored = positions if window is None else min(positions, window)
    return 2 * batch * stored * layers * kv_heads * d * 2


@mistake("kv_cache_bytes", "bits // 8 is 0 for 4 bits: divide the total, not the bits of one number", see="12.1")
def kv_cache_bytes(batch, positions, layers, kv_heads, d, bits=16, window=None):
    stored = positions if window is None else min(positions, window)
    return 2 * batch * stored * layers * kv_heads * d * (bits // 8)


@accepted("kv_cache_bytes", "whole numbers only")
def kv_cache_bytes(batch, positions, layers, kv_heads, d, bits=16, window=None):
    if window is not None and window < positions:
        positions = window
    numbers = 2 * kv_heads * d * layers * positions * batch
    return (numbers * bits + 7) // 8


@accepted("kv_cache_bytes", "per token first")
def kv_cache_bytes(batch, positions, layers, kv_heads, d, bits=16, window=None):
    bits_per_token = 2 * layers * kv_heads * d * bits
    return -(-batch * min(positions, window or positions) * bits_per_token // 8)


# 12.2 GroupedAttention


class Grouped(nn.Module):
    """The right layer, whose parts can be made wrong one at a time."""

    def __init__(self, d_model, heads, kv_heads):
        super().__init__()
        self.check(d_model, heads, kv_heads)
        self.heads, self.kv_heads, self.d = heads, kv_heads, d_model // heads
        self.q, self.out = (nn.Linear(d_model, d_model, bias=False) for _ in range(2))
        self.k, self.v = (nn.Linear(d_model, kv_heads * self.d, bias=False) for _ in range(2))

    def check(self, d_model, heads, kv_heads):
        if d_model % heads or heads % kv_heads:
            raise ValueError("numbers do not divide")

    def split(self, x, count):
        return x.view(x.shape[0], x.shape[1], count, -1).permute(0, 2, 1, 3)

    def join(self, old, new):
        return torch.cat((old, new), dim=2)

    def wide(self, x):
        return x.repeat_interleave(self.heads // self.kv_heads, dim=1)

    def hidden(self, n, m):
        return torch.arange(m)[None] > torch.arange(m - n, m)[:, None]

    def kept(self, k, v, new_k, new_v):
        return k, v

    def mix(self, q, k, v):
        table = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        return table.masked_fill(self.hidden(q.shape[2], k.shape[2]), -torch.inf).softmax(-1) @ v

    def forward(self, x, past=None):
        q = self.split(self.q(x), self.heads)
        k, v = new_k, new_v = self.split(self.k(x), self.kv_heads), self.split(self.v(x), self.kv_heads)
        if past is not None:
            k, v = self.join(past[0], k), self.join(past[1], v)
        y = self.mix(q, self.wide(k), self.wide(v))
        return self.out(y.transpose(1, 2).reshape(x.shape)), self.kept(k, v, new_k, new_v)


@mistake(
    "GroupedAttention",
    "KV heads are repeated as 0 1 0 1: neighboring query heads share one (repeat_interleave)",
    see="12.2",
)
class GroupedAttention(Grouped):
    def wide(self, x):
        return x.repeat(1, self.heads // self.kv_heads, 1, 1)


@mistake("GroupedAttention", "the repeated heads are cached, so the cache is as large as with MHA", see="12.2")
class GroupedAttention(Grouped):
    def kept(self, k, v, new_k, new_v):
        return self.wide(k), self.wide(v)

    def join(self, old, new):
        return torch.cat((old[:, :: self.heads // self.kv_heads], new), dim=2)


@mistake(
    "GroupedAttention", "is_causal=True aligns the mask upper left: with a past, new queries lose keys", see="12.2"
)
class GroupedAttention(Grouped):
    def mix(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


@mistake("GroupedAttention", "no causal mask: a position reads what comes after it", see="12.2")
class GroupedAttention(Grouped):
    def mix(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v)


@mistake("GroupedAttention", "no mask once there is a past: within a chunk a query reads later positions", see="12.2")
class GroupedAttention(Grouped):
    def mix(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=q.shape[2] == k.shape[2])


@mistake("GroupedAttention", "the new positions are put before the old ones", see="12.2")
class GroupedAttention(Grouped):
    def join(self, old, new):
        return torch.cat((new, old), dim=2)


@mistake("GroupedAttention", "only the new keys and values are returned, and the past is lost", see="12.2")
class GroupedAttention(Grouped):
    def kept(self, k, v, new_k, new_v):
        return new_k, new_v


@mistake("GroupedAttention", "keys and values are detached, so their layers never learn", see="12.2")
class GroupedAttention(Grouped):
    def wide(self, x):
        return super().wide(x.detach())


@mistake("GroupedAttention", "view alone cuts rows of positions into heads; it takes a transpose", see="12.2")
class GroupedAttention(Grouped):
    def split(self, x, count):
        return x.reshape(x.shape[0], count, x.shape[1], -1)


@mistake("GroupedAttention", "numbers that do not divide pass silently: raise a ValueError", see="12.2")
class GroupedAttention(Grouped):
    def check(self, d_model, heads, kv_heads):
        pass


@mistake("GroupedAttention", "scores are divided by the root of d_model, not of the width of a head", see="12.2")
class GroupedAttention(Grouped):
    def mix(self, q, k, v):
        return super().mix(q * math.sqrt(q.shape[-1] / self.q.in_features), k, v)


@accepted("GroupedAttention", "heads repeated by hand, for attention only")
class GroupedAttention(Grouped):
    pass


@accepted("GroupedAttention", "groups as an axis of their own, with einsum")
class GroupedAttention(Grouped):
    def wide(self, x):
        return x

    def mix(self, q, k, v):
        rows = q.unflatten(1, (self.kv_heads, -1))
        table = torch.einsum("bkgnd,bkmd->bkgnm", rows, k) * self.d**-0.5
        table = table.masked_fill(self.hidden(q.shape[2], k.shape[2]), -torch.inf)
        return torch.einsum("bkgnm,bkmd->bkgnd", table.softmax(-1), v).flatten(1, 2)


# 12.3 mha_to_gqa


@mistake("mha_to_gqa", "the heads of a group are added: take their mean", see="12.3")
def mha_to_gqa(weight, heads, kv_heads):
    return weight.unflatten(0, (kv_heads, heads // kv_heads, -1)).sum(1).flatten(0, 1)


@mistake("mha_to_gqa", "only the first head of each group is kept: take the mean of all", see="12.3")
def mha_to_gqa(weight, heads, kv_heads):
    return weight.unflatten(0, (kv_heads, heads // kv_heads, -1))[:, 0].flatten(0, 1).clone()


@mistake("mha_to_gqa", "heads 0, g, 2g are grouped; neighbors share a KV head", see="12.3")
def mha_to_gqa(weight, heads, kv_heads):
    return weight.unflatten(0, (heads // kv_heads, kv_heads, -1)).mean(0).flatten(0, 1)


@mistake(
    "mha_to_gqa", "neighboring rows are averaged: a head is d rows, and row i belongs to row i of the next", see="12.3"
)
def mha_to_gqa(weight, heads, kv_heads):
    return weight.unflatten(0, (-1, heads // kv_heads)).mean(1)


@mistake("mha_to_gqa", "all heads are averaged, whatever their group", see="12.3")
def mha_to_gqa(weight, heads, kv_heads):
    mean = weight.unflatten(0, (heads, -1)).mean(0)
    return torch.cat([mean] * kv_heads)


@mistake("mha_to_gqa", "with kv_heads = heads the weight itself comes back: the result must be new memory", see="12.3")
def mha_to_gqa(weight, heads, kv_heads):
    if kv_heads == heads:
        return weight
    return weight.unflatten(0, (kv_heads, heads // kv_heads, -1)).mean(1).flatten(0, 1)


@mistake("mha_to_gqa", "the sum is divided by the root of the group's size: take the mean", see="12.3")
def mha_to_gqa(weight, heads, kv_heads):
    size = heads // kv_heads
    return weight.unflatten(0, (kv_heads, size, -1)).sum(1).flatten(0, 1) / math.sqrt(size)


@accepted("mha_to_gqa", "a loop over heads")
def mha_to_gqa(weight, heads, kv_heads):
    size = heads // kv_heads
    pieces = weight.chunk(heads)
    return torch.cat([sum(pieces[i * size : (i + 1) * size]) / size for i in range(kv_heads)])


@accepted("mha_to_gqa", "a product with a matrix of averages")
def mha_to_gqa(weight, heads, kv_heads):
    share = torch.eye(kv_heads).repeat_interleave(heads // kv_heads, 1) * kv_heads / heads
    return torch.tensordot(share, weight.unflatten(0, (heads, -1)), 1).flatten(0, 1)


# 12.4 grouped_decode


def unused_positions(k, lengths):
    return torch.arange(k.shape[2]) >= lengths[:, None, None, None]


@mistake(
    "grouped_decode",
    "K and V are written out once per query head: so do repeating, broadcasting, and expand before a product",
    see="12.4",
)
def grouped_decode(q, k, v, lengths):
    k, v = (t.repeat_interleave(q.shape[1] // t.shape[1], 1) for t in (k, v))
    scores = (q[:, :, None] @ k.mT / math.sqrt(q.shape[-1])).masked_fill(unused_positions(k, lengths), -math.inf)
    return (scores.softmax(-1) @ v)[:, :, 0]


@mistake(
    "grouped_decode",
    "K and V are written out once per query head: so do repeating, broadcasting, and expand before a product",
    see="12.4",
)
def grouped_decode(q, k, v, lengths):
    size, d = q.shape[1] // k.shape[1], q.shape[-1]
    wide_k, wide_v = (t[:, :, None].expand(-1, -1, size, -1, -1) for t in (k, v))
    scores = q.unflatten(1, (-1, size))[..., None, :] @ wide_k.mT * d**-0.5
    scores = scores.masked_fill(unused_positions(k, lengths)[:, :, None], -math.inf)
    return (scores.softmax(-1) @ wide_v).flatten(1, 3).view(q.shape)


@mistake("grouped_decode", "a loop over query heads reads each KV head once per query head of its group", see="12.4")
def grouped_decode(q, k, v, lengths):
    size, out = q.shape[1] // k.shape[1], torch.empty_like(q)
    unused = unused_positions(k, lengths)[:, 0]
    for h in range(q.shape[1]):
        scores = q[:, h, None] @ k[:, h // size].mT / math.sqrt(q.shape[-1])
        out[:, h] = (scores.masked_fill(unused, -math.inf).softmax(-1) @ v[:, h // size])[:, 0]
    return out


@mistake(
    "grouped_decode",
    "K and V are written out once per query head: so do repeating, broadcasting, and expand before a product",
    see="12.4",
)
def grouped_decode(q, k, v, lengths):
    rows = q.unflatten(1, (k.shape[1], -1))
    scores = (rows[:, :, :, None] * k[:, :, None]).sum(-1) / math.sqrt(q.shape[-1])
    weights = scores.masked_fill(unused_positions(k, lengths), -math.inf).softmax(-1)
    return (weights[..., None] * v[:, :, None]).sum(3).flatten(1, 2)


@mistake("grouped_decode", "contiguous() after the transpose copies the cache in every step", see="12.4")
def grouped_decode(q, k, v, lengths):
    rows, turned = q.unflatten(1, (k.shape[1], -1)), k.mT.contiguous()
    scores = rows @ turned / math.sqrt(q.shape[-1])
    return (scores.masked_fill(unused_positions(k, lengths), -math.inf).softmax(-1) @ v).flatten(1, 2)


@mistake("grouped_decode", "torch's fused operator is called instead of building it", see="12.4")
def grouped_decode(q, k, v, lengths):
    mask = ~unused_positions(k, lengths)
    return F.scaled_dot_product_attention(q[:, :, None], k, v, attn_mask=mask, enable_gqa=True)[:, :, 0]


@mistake("grouped_decode", "query heads h % kv_heads are grouped: neighbors share a KV head", see="12.2")
def grouped_decode(q, k, v, lengths):
    rows = q.unflatten(1, (-1, k.shape[1])).transpose(1, 2)
    scores = rows @ k.mT / math.sqrt(q.shape[-1])
    mixed = scores.masked_fill(unused_positions(k, lengths), -math.inf).softmax(-1) @ v
    return mixed.transpose(1, 2).flatten(1, 2)


@mistake("grouped_decode", "lengths is ignored: what lies behind a sequence's end is read", see="12.4")
def grouped_decode(q, k, v, lengths):
    scores = q.unflatten(1, (k.shape[1], -1)) @ k.mT / math.sqrt(q.shape[-1])
    return (scores.softmax(-1) @ v).flatten(1, 2)


@mistake("grouped_decode", "one position too many: a sequence of length n uses positions 0 to n - 1", see="12.4")
def grouped_decode(q, k, v, lengths):
    scores = q.unflatten(1, (k.shape[1], -1)) @ k.mT / math.sqrt(q.shape[-1])
    return (scores.masked_fill(unused_positions(k, lengths + 1), -math.inf).softmax(-1) @ v).flatten(1, 2)


@mistake("grouped_decode", "unused scores are set to 0, and exp(0) is 1: they must be minus infinity", see="12.4")
def grouped_decode(q, k, v, lengths):
    scores = q.unflatten(1, (k.shape[1], -1)) @ k.mT / math.sqrt(q.shape[-1])
    return (scores.masked_fill(unused_positions(k, lengths), 0.0).softmax(-1) @ v).flatten(1, 2)


@mistake("grouped_decode", "masked after softmax, the weights no longer sum to 1", see="12.4")
def grouped_decode(q, k, v, lengths):
    scores = q.unflatten(1, (k.shape[1], -1)) @ k.mT / math.sqrt(q.shape[-1])
    return (scores.softmax(-1).masked_fill(unused_positions(k, lengths), 0.0) @ v).flatten(1, 2)


@mistake("grouped_decode", "the scores are not divided by the root of d", see="12.4")
def grouped_decode(q, k, v, lengths):
    scores = q.unflatten(1, (k.shape[1], -1)) @ k.mT
    return (scores.masked_fill(unused_positions(k, lengths), -math.inf).softmax(-1) @ v).flatten(1, 2)


@mistake("grouped_decode", "q is scaled in place: the caller's queries change", see="12.4")
def grouped_decode(q, k, v, lengths):
    q /= math.sqrt(q.shape[-1])
    scores = q.unflatten(1, (k.shape[1], -1)) @ k.mT
    return (scores.masked_fill(unused_positions(k, lengths), -math.inf).softmax(-1) @ v).flatten(1, 2)


@accepted("grouped_decode", "einsum, with q divided first")
def grouped_decode(q, k, v, lengths):
    b, heads, d = q.shape
    rows = (q / math.sqrt(d)).reshape(b, k.shape[1], heads // k.shape[1], d)
    scores = torch.einsum("bkgd,bksd->bkgs", rows, k)
    scores = scores.where(~unused_positions(k, lengths), -torch.inf)
    return torch.einsum("bkgs,bksd->bkgd", scores.softmax(-1), v).reshape(q.shape)


@accepted("grouped_decode", "bmm over (sequence, KV head) pairs, softmax by hand")
def grouped_decode(q, k, v, lengths):
    rows = q.reshape(-1, q.shape[1] // k.shape[1], q.shape[2]) / q.shape[2] ** 0.5
    scores = torch.bmm(rows, k.flatten(0, 1).mT)
    lasts = lengths.repeat_interleave(k.shape[1])[:, None, None]
    scores = scores.masked_fill(torch.arange(k.shape[2]) >= lasts, -math.inf)
    powers = (scores - scores.amax(-1, keepdim=True)).exp()
    return (torch.bmm(powers, v.flatten(0, 1)) / powers.sum(-1, keepdim=True)).view(q.shape)


@accepted("grouped_decode", "sequence by sequence, only as far as each is long")
def grouped_decode(q, k, v, lengths):
    results = []
    for row, keys, values, n in zip(q, k, v, lengths.tolist(), strict=True):
        scores = row.unflatten(0, (len(keys), -1)) @ keys[:, :n].mT / math.sqrt(q.shape[-1])
        results.append((scores.softmax(-1) @ values[:, :n]).flatten(0, 1))
    return torch.stack(results)


# 12.5 latent_decode


@mistake(
    "latent_decode", "the code of every past token is expanded to keys and values: absorb up_k and up_v", see="12.5"
)
def latent_decode(q, q_rope, code, k_rope, up_k, up_v):
    keys, values = code[:, None] @ up_k.mT, code[:, None] @ up_v.mT
    scores = (keys @ q[..., None])[..., 0] + q_rope @ k_rope.mT
    weights = (scores / math.sqrt(q.shape[-1] + q_rope.shape[-1])).softmax(-1)
    return (weights[:, :, None] @ values)[:, :, 0]


@mistake("latent_decode", "up_v is applied to every past code; weigh the codes first, then multiply once", see="12.5")
def latent_decode(q, q_rope, code, k_rope, up_k, up_v):
    scores = torch.einsum("bhd,hdr->bhr", q, up_k) @ code.mT + q_rope @ k_rope.mT
    weights = (scores / math.sqrt(q.shape[-1] + q_rope.shape[-1])).softmax(-1)
    return (weights[:, :, None] @ (code[:, None] @ up_v.mT))[:, :, 0]


@mistake("latent_decode", "scores are divided by the root of d; the whole key has width d + d_r", see="12.5")
def latent_decode(q, q_rope, code, k_rope, up_k, up_v):
    scores = torch.einsum("bhd,hdr->bhr", q, up_k) @ code.mT + q_rope @ k_rope.mT
    weights = (scores / math.sqrt(q.shape[-1])).softmax(-1)
    return torch.einsum("bhr,hvr->bhv", weights @ code, up_v)


@mistake("latent_decode", "scores are divided by the root of r; absorbing does not change the scale", see="12.5")
def latent_decode(q, q_rope, code, k_rope, up_k, up_v):
    scores = torch.einsum("bhd,hdr->bhr", q, up_k) @ code.mT + q_rope @ k_rope.mT
    weights = (scores / math.sqrt(code.shape[-1] + q_rope.shape[-1])).softmax(-1)
    return torch.einsum("bhr,hvr->bhv", weights @ code, up_v)


@mistake("latent_decode", "the part with RoPE is left out of the scores", see="12.5")
def latent_decode(q, q_rope, code, k_rope, up_k, up_v):
    scores = torch.einsum("bhd,hdr->bhr", q, up_k) @ code.mT
    weights = (scores / math.sqrt(q.shape[-1] + q_rope.shape[-1])).softmax(-1)
    return torch.einsum("bhr,hvr->bhv", weights @ code, up_v)


@mistake("latent_decode", "one softmax per part: the two scores add up before the one softmax", see="12.5")
def latent_decode(q, q_rope, code, k_rope, up_k, up_v):
    root = math.sqrt(q.shape[-1] + q_rope.shape[-1])
    near = (torch.einsum("bhd,hdr->bhr", q, up_k) @ code.mT / root).softmax(-1)
    weights = (near + (q_rope @ k_rope.mT / root).softmax(-1)) / 2
    return torch.einsum("bhr,hvr->bhv", weights @ code, up_v)


@mistake("latent_decode", "all heads use the first head's up_v: each has its own", see="12.5")
def latent_decode(q, q_rope, code, k_rope, up_k, up_v):
    scores = torch.einsum("bhd,hdr->bhr", q, up_k) @ code.mT + q_rope @ k_rope.mT
    weights = (scores / math.sqrt(q.shape[-1] + q_rope.shape[-1])).softmax(-1)
    return weights @ code @ up_v[0].mT


@accepted("latent_decode", "matrix products with the heads first")
def latent_decode(q, q_rope, code, k_rope, up_k, up_v):
    width = q.shape[-1] + q_rope.shape[-1]
    absorbed = (q.transpose(0, 1) @ up_k).transpose(0, 1)
    weights = torch.softmax((absorbed @ code.mT + q_rope @ k_rope.mT) * width**-0.5, dim=-1)
    return ((weights @ code).transpose(0, 1) @ up_v.mT).transpose(0, 1)


@accepted("latent_decode", "one wide query against one wide key, as MQA")
def latent_decode(q, q_rope, code, k_rope, up_k, up_v):
    ask = torch.cat([torch.einsum("bhd,hdr->bhr", q, up_k), q_rope], -1)
    table = torch.einsum("bhx,bsx->bhs", ask, torch.cat([code, k_rope], -1))
    weights = (table / (q.shape[-1] + q_rope.shape[-1]) ** 0.5).softmax(-1)
    return torch.einsum("bhr,hvr->bhv", torch.einsum("bhs,bsr->bhr", weights, code), up_v)


# 12.6 decode_step


def step(q, new_k, new_v, keys, values, length, *, late=1, neighbors=True, in_place=False, scale=None, where=0):
    kv_heads, d = keys.shape[1], q.shape[-1]
    keys[:, :, length + where], values[:, :, length + where] = new_k, new_v
    k, v = keys[:, :, : length + late], values[:, :, : length + late]
    scale = d**-0.5 if scale is None else scale
    q = q.mul_(scale) if in_place else q * scale
    if neighbors:
        return ((q.unflatten(1, (kv_heads, -1)) @ k.mT).softmax(-1) @ v).reshape(q.shape)
    rows = q.unflatten(1, (-1, kv_heads)).transpose(1, 2)
    return ((rows @ k.mT).softmax(-1) @ v).transpose(1, 2).reshape(q.shape)


@mistake("decode_step", "the newest position is stored but not read", see="12.6")
def decode_step(q, new_k, new_v, keys, values, length):
    return step(q, new_k, new_v, keys, values, length, late=0)


@mistake("decode_step", "query heads h % kv_heads share a KV head; neighbors should", see="12.2")
def decode_step(q, new_k, new_v, keys, values, length):
    return step(q, new_k, new_v, keys, values, length, neighbors=False)


@mistake("decode_step", "q is scaled in place: the caller's queries change", see="12.6")
def decode_step(q, new_k, new_v, keys, values, length):
    return step(q, new_k, new_v, keys, values, length, in_place=True)


@mistake("decode_step", "two bugs are left: the grouping of heads, and q that is scaled in place", see="12.6")
def decode_step(q, new_k, new_v, keys, values, length):
    return step(q, new_k, new_v, keys, values, length, in_place=True, neighbors=False)


@mistake("decode_step", "the whole room is read, also positions that were never stored", see="12.6")
def decode_step(q, new_k, new_v, keys, values, length):
    return step(q, new_k, new_v, keys, values, length, late=keys.shape[2])


@mistake("decode_step", "the caller's cache is left as it was: store the newest key and value in it", see="12.6")
def decode_step(q, new_k, new_v, keys, values, length):
    return step(q, new_k, new_v, keys.clone(), values.clone(), length)


@accepted("decode_step", "the fused operator, which nothing forbids here")
def decode_step(q, new_k, new_v, keys, values, length):
    keys[:, :, length] = new_k
    values[:, :, length] = new_v
    k, v = keys[:, :, : length + 1], values[:, :, : length + 1]
    return F.scaled_dot_product_attention(q[:, :, None], k, v, enable_gqa=True)[:, :, 0]


@accepted("decode_step", "copy_ and einsum")
def decode_step(q, new_k, new_v, keys, values, length):
    keys.select(2, length).copy_(new_k)
    values.select(2, length).copy_(new_v)
    rows = q.reshape(q.shape[0], keys.shape[1], -1, q.shape[2]) / q.shape[2] ** 0.5
    weights = torch.einsum("bkgd,bksd->bkgs", rows, keys[:, :, : length + 1]).softmax(-1)
    return torch.einsum("bkgs,bksd->bkgd", weights, values[:, :, : length + 1]).reshape(q.shape)


# 12.7 RollingCache


class Rolling:
    """The right cache, whose parts can be made wrong one at a time."""

    reach = 0  # added to the window
    early = False  # a chunk is stored before it reads
    all_slots = False  # slots that were never filled are read
    causal = True
    alone = True  # one position reads the cache as it lies

    def __init__(self, batch, kv_heads, window, d):
        self.keys, self.values = torch.zeros(batch, kv_heads, window, d), torch.zeros(batch, kv_heads, window, d)
        self.seen, self.window = 0, window

    def rows(self, q):
        return q.unflatten(1, (self.keys.shape[1], -1)).flatten(2, 3)

    def heads(self, mixed, q):
        return mixed.unflatten(2, (-1, q.shape[2])).flatten(1, 2)

    def slots(self, n):
        return torch.arange(self.seen + n - min(n, self.window), self.seen + n) % self.window

    def store(self, k, v):
        slots = self.slots(k.shape[2])
        self.keys[:, :, slots], self.values[:, :, slots] = (t[:, :, -len(slots) :].detach() for t in (k, v))

    def read(self, q, keys, values, hidden):
        table = self.rows(q) @ keys.mT * q.shape[-1] ** -0.5
        if hidden is not None:
            size = table.shape[2] // q.shape[2]
            table = table.masked_fill(hidden.repeat(size, 1), -torch.inf)
        return self.heads(table.softmax(-1) @ values, q)

    def advance(self, n):
        self.seen += n

    def extend(self, q, k, v):
        n = q.shape[2]
        if n == 1 and self.alone:
            self.store(k, v)
            filled = self.window if self.all_slots else min(self.seen + 1, self.window)
            result = self.read(q, self.keys[:, :, :filled], self.values[:, :, :filled], None)
            self.advance(n)
            return result
        old = torch.arange(max(0, self.seen - self.window), self.seen)
        if self.early:
            self.store(k, v)
        keys = torch.cat([self.keys[:, :, old % self.window], k], 2)
        values = torch.cat([self.values[:, :, old % self.window], v], 2)
        behind = torch.arange(self.seen, self.seen + n)[:, None] - torch.cat(
            [old, torch.arange(self.seen, self.seen + n)]
        )
        hidden = behind >= self.window + self.reach
        result = self.read(q, keys, values, hidden | (behind < 0) if self.causal else hidden)
        if not self.early:
            self.store(k, v)
        self.advance(n)
        return result


@mistake(
    "RollingCache", "a chunk is stored before it reads, and overwrites keys that its first queries need", see="12.7"
)
class RollingCache(Rolling):
    early = True


@mistake("RollingCache", "slots that were never filled are read as keys of zeros", see="12.7")
class RollingCache(Rolling):
    all_slots = True


@mistake("RollingCache", "within a chunk a query reads later positions", see="12.7")
class RollingCache(Rolling):
    causal = False


@mistake("RollingCache", "in a chunk the window is one too wide: a position and window - 1 before it", see="12.7")
class RollingCache(Rolling):
    reach = 1


@mistake("RollingCache", "seen grows by one per call; a chunk brings n positions", see="12.7")
class RollingCache(Rolling):
    def advance(self, n):
        self.seen += 1


@mistake("RollingCache", "query heads h % kv_heads share a KV head; neighbors should", see="12.2")
class RollingCache(Rolling):
    def rows(self, q):
        return q.unflatten(1, (-1, self.keys.shape[1])).transpose(1, 2).flatten(2, 3)

    def heads(self, mixed, q):
        return mixed.unflatten(2, (-1, q.shape[2])).transpose(1, 2).flatten(1, 2)


@mistake(
    "RollingCache", "of a chunk that is longer than the window the first positions are kept, not the last", see="12.7"
)
class RollingCache(Rolling):
    def store(self, k, v):
        super().store(k[:, :, : self.window], v[:, :, : self.window])


@mistake("RollingCache", "the history of gradients is kept: store numbers (detach)", see="12.7")
class RollingCache(Rolling):
    def store(self, k, v):
        slots = self.slots(k.shape[2])
        self.keys, self.values = self.keys.clone(), self.values.clone()
        self.keys[:, :, slots], self.values[:, :, slots] = (t[:, :, -len(slots) :] for t in (k, v))


@mistake("RollingCache", "the cache is shifted and rebuilt in every step; write into the slot i mod window", see="12.7")
class RollingCache(Rolling):
    def extend(self, q, k, v):
        n, stored, keep = q.shape[2], min(self.seen, self.window), min(self.seen, self.window - 1)
        keys, values = (
            torch.cat([t[:, :, stored - keep : stored], new], 2) for t, new in ((self.keys, k), (self.values, v))
        )
        behind = torch.arange(keep, keep + n)[:, None] - torch.arange(keep + n)
        result = self.read(q, keys, values, (behind < 0) | (behind >= self.window))
        self.keys, self.values = (
            F.pad(t[:, :, -self.window :], (0, 0, 0, max(0, self.window - keep - n))).detach() for t in (keys, values)
        )
        self.seen += n
        return result


@mistake(
    "RollingCache",
    "a single position gathers and copies the whole cache: store it, then read the slots as they lie",
    see="12.7",
)
class RollingCache(Rolling):
    alone = False


@mistake(
    "RollingCache",
    "the cache is never rolled: after `window` positions the last slot is overwritten for ever",
    see="12.7",
)
class RollingCache(Rolling):
    def slots(self, n):
        return torch.arange(self.seen + n - min(n, self.window), self.seen + n).clamp(max=self.window - 1)


@accepted("RollingCache", "a chunk position by position")
class RollingCache(Rolling):
    def extend(self, q, k, v):
        one = super().extend
        return torch.cat([one(*(t[:, :, i : i + 1] for t in (q, k, v))) for i in range(q.shape[2])], 2)


@accepted("RollingCache", "slots taken by index_copy_")
class RollingCache(Rolling):
    def store(self, k, v):
        slots = self.slots(k.shape[2])
        for own, new in ((self.keys, k), (self.values, v)):
            own.index_copy_(2, slots, new[:, :, -len(slots) :].detach())
