"""Wrong and right ways to write the exercises of lesson 07."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torchgrade.lessons import accepted, mistake

# 7.1 soft_lookup


@mistake(
    "soft_lookup",
    "the scores are multiplied by the temperature; a high temperature must flatten the weights",
    see="7.1",
)
def soft_lookup(query, keys, values, temperature=1.0):
    return (keys @ query * temperature).softmax(0) @ values


@mistake("soft_lookup", "exp overflows for large scores; softmax subtracts the largest one first", see="7.1")
def soft_lookup(query, keys, values, temperature=1.0):
    weights = (keys @ query / temperature).exp()
    return weights / weights.sum() @ values


@mistake("soft_lookup", "the scores themselves are used as weights, without softmax", see="7.1")
def soft_lookup(query, keys, values, temperature=1.0):
    scores = keys @ query / temperature
    return scores / scores.sum() @ values


@mistake("soft_lookup", "only the best value is returned; the lookup must be soft", see="7.1")
def soft_lookup(query, keys, values, temperature=1.0):
    return values[(keys @ query).argmax()]


@accepted("soft_lookup", "einsum, with the maximum subtracted by hand")
def soft_lookup(query, keys, values, temperature=1.0):
    scores = torch.einsum("md,d->m", keys, query) / temperature
    weights = (scores - scores.max()).exp()
    return torch.einsum("m,me->e", weights / weights.sum(), values)


@accepted("soft_lookup", "query scaled first, sum over weighted rows")
def soft_lookup(query, keys, values, temperature=1.0):
    weights = torch.softmax(keys.matmul(query / temperature), dim=0)
    return (weights[:, None] * values).sum(0)


# 7.2 attention


@mistake("attention", "the scores are not divided by √d, so softmax saturates", see="7.2")
def attention(q, k, v, mask=None):
    scores = q @ k.mT
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1).nan_to_num(0.0) @ v


@mistake(
    "attention", "the scores are divided by the width of v; their variance comes from the width of q and k", see="7.2"
)
def attention(q, k, v, mask=None):
    scores = q @ k.mT / math.sqrt(v.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1).nan_to_num(0.0) @ v


@mistake("attention", "softmax runs over the queries; each query's weights must sum to 1 over the keys", see="7.2")
def attention(q, k, v, mask=None):
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-2).nan_to_num(0.0) @ v


@mistake("attention", "the mask is upside down: True means the query may read the key", see="7.3")
def attention(q, k, v, mask=None):
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(mask, -torch.inf)
    return scores.softmax(-1).nan_to_num(0.0) @ v


@mistake("attention", "the mask is applied after softmax, so the remaining weights no longer sum to 1", see="7.2")
def attention(q, k, v, mask=None):
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
    return (weights if mask is None else weights * mask) @ v


@mistake("attention", "the mask is added as 0 and 1 instead of as 0 and minus infinity", see="7.2")
def attention(q, k, v, mask=None):
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    return (scores if mask is None else scores + mask).softmax(-1) @ v


@mistake("attention", "a query that may read nothing gives NaN; it must give zeros", see="7.2")
def attention(q, k, v, mask=None):
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ v


@mistake("attention", "forbidden scores get -1e4 instead of minus infinity", see="7.2")
def attention(q, k, v, mask=None):
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is None:
        return scores.softmax(-1) @ v
    return scores.masked_fill(~mask, -1e4).softmax(-1).masked_fill(~mask, 0.0) @ v


@mistake("attention", "q is scaled in place: the caller's queries change", see="1.1")
def attention(q, k, v, mask=None):
    q /= math.sqrt(q.shape[-1])
    scores = q @ k.mT
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1).nan_to_num(0.0) @ v


@mistake("attention", "the weights are detached, so nothing flows back into q and k", see="2.3")
def attention(q, k, v, mask=None):
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1).nan_to_num(0.0).detach() @ v


@mistake("attention", "torch's operator is called instead of building it", see="7.2")
def attention(q, k, v, mask=None):
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


@accepted("attention", "einsum, with the division moved to q")
def attention(q, k, v, mask=None):
    scores = torch.einsum("...nd,...md->...nm", q / math.sqrt(q.shape[-1]), k)
    if mask is None:
        return scores.softmax(-1) @ v
    return scores.masked_fill(~mask, -torch.inf).softmax(-1).nan_to_num(0.0) @ v


@accepted("attention", "softmax by hand, with the largest allowed score subtracted")
def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
    allowed = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask.expand_as(scores)
    scores = scores.where(allowed, -torch.inf)
    weights = (scores - scores.amax(-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)).exp() * allowed
    return weights @ v / weights.sum(-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).tiny)


# 7.3 make_mask


@mistake("make_mask", "the causal part is aligned upper left; the queries are the last positions", see="7.3")
def make_mask(lengths, queries, keys, causal):
    real = (torch.arange(keys) < lengths[:, None, None, None]).expand(-1, 1, queries, keys)
    return real & torch.ones(queries, keys, dtype=torch.bool).tril() if causal else real


@mistake("make_mask", "a position must be allowed to read itself", see="7.3")
def make_mask(lengths, queries, keys, causal):
    real = (torch.arange(keys) < lengths[:, None, None, None]).expand(-1, 1, queries, keys)
    return real & torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries - 1) if causal else real


@mistake("make_mask", "True marks what is forbidden; here True means may read", see="7.3")
def make_mask(lengths, queries, keys, causal):
    real = (torch.arange(keys) < lengths[:, None, None, None]).expand(-1, 1, queries, keys)
    return ~(real & torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)) if causal else ~real


@mistake("make_mask", "lengths[b] is the first position that does not exist, not the last that does", see="7.3")
def make_mask(lengths, queries, keys, causal):
    real = (torch.arange(keys) <= lengths[:, None, None, None]).expand(-1, 1, queries, keys)
    return real & torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries) if causal else real


@mistake("make_mask", "the mask is always causal, whatever the caller asks for", see="7.3")
def make_mask(lengths, queries, keys, causal):
    real = (torch.arange(keys) < lengths[:, None, None, None]).expand(-1, 1, queries, keys)
    return real & torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


@mistake("make_mask", "padding forbids queries instead of keys", see="7.3")
def make_mask(lengths, queries, keys, causal):
    query = torch.arange(keys - queries, keys)[:, None]
    real = (query < lengths[:, None, None, None]).expand(-1, 1, queries, keys)
    return real & torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries) if causal else real


@accepted("make_mask", "tril with a shifted diagonal")
def make_mask(lengths, queries, keys, causal):
    allowed = torch.ones(queries, keys, dtype=torch.bool)
    if causal:
        allowed = allowed.tril(keys - queries)
    return (torch.arange(keys) < lengths.view(-1, 1, 1, 1)) & allowed


@accepted("make_mask", "the last rows of the square mask")
def make_mask(lengths, queries, keys, causal):
    square = torch.ones(keys, keys, dtype=torch.bool)
    rows = (square.tril() if causal else square)[keys - queries :]
    return rows[None, None] & (torch.arange(keys)[None] < lengths[:, None])[:, None, None, :]


# 7.4 MultiHeadAttention


@mistake("MultiHeadAttention", "the split into heads is a reshape without a transpose", see="7.4")
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, heads, d_context=None):
        super().__init__()
        if d_model % heads:
            raise ValueError("heads must divide d_model")
        self.heads, d_context = heads, d_context or d_model
        self.q, self.out = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)
        self.k, self.v = nn.Linear(d_context, d_model), nn.Linear(d_context, d_model)

    def forward(self, x, context=None, mask=None):
        context = x if context is None else context
        q, k, v = (
            t.reshape(t.shape[0], self.heads, t.shape[1], -1) for t in (self.q(x), self.k(context), self.v(context))
        )
        return self.out(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2))


@mistake("MultiHeadAttention", "the heads are merged by a reshape without a transpose", see="7.4")
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, heads, d_context=None):
        super().__init__()
        if d_model % heads:
            raise ValueError("heads must divide d_model")
        self.heads, d_context = heads, d_context or d_model
        self.q, self.out = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)
        self.k, self.v = nn.Linear(d_context, d_model), nn.Linear(d_context, d_model)

    def forward(self, x, context=None, mask=None):
        context = x if context is None else context
        q, k, v = (
            t.unflatten(2, (self.heads, -1)).transpose(1, 2) for t in (self.q(x), self.k(context), self.v(context))
        )
        return self.out(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).reshape(x.shape))


@mistake("MultiHeadAttention", "keys and values are swapped", see="7.4")
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, heads, d_context=None):
        super().__init__()
        if d_model % heads:
            raise ValueError("heads must divide d_model")
        self.heads, d_context = heads, d_context or d_model
        self.q, self.out = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)
        self.k, self.v = nn.Linear(d_context, d_model), nn.Linear(d_context, d_model)

    def forward(self, x, context=None, mask=None):
        context = x if context is None else context
        q, v, k = (
            t.unflatten(2, (self.heads, -1)).transpose(1, 2) for t in (self.q(x), self.k(context), self.v(context))
        )
        return self.out(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2))


@mistake("MultiHeadAttention", "the mask is not passed on", see="7.4")
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, heads, d_context=None):
        super().__init__()
        if d_model % heads:
            raise ValueError("heads must divide d_model")
        self.heads, d_context = heads, d_context or d_model
        self.q, self.out = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)
        self.k, self.v = nn.Linear(d_context, d_model), nn.Linear(d_context, d_model)

    def forward(self, x, context=None, mask=None):
        context = x if context is None else context
        q, k, v = (
            t.unflatten(2, (self.heads, -1)).transpose(1, 2) for t in (self.q(x), self.k(context), self.v(context))
        )
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


@mistake("MultiHeadAttention", "heads that do not divide the width are accepted silently", see="7.4")
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, heads, d_context=None):
        super().__init__()
        self.heads, self.d, d_context = heads, d_model // heads, d_context or d_model
        self.q, self.out = nn.Linear(d_model, d_model), nn.Linear(heads * self.d, d_model)
        self.k, self.v = nn.Linear(d_context, d_model), nn.Linear(d_context, d_model)

    def forward(self, x, context=None, mask=None):
        context = x if context is None else context
        q, k, v = (
            t[..., : self.heads * self.d].unflatten(2, (self.heads, self.d)).transpose(1, 2)
            for t in (self.q(x), self.k(context), self.v(context))
        )
        return self.out(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2))


@accepted("MultiHeadAttention", "own attention, view and permute")
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, heads, d_context=None):
        super().__init__()
        if d_model % heads != 0:
            raise ValueError(f"{d_model} is not a multiple of {heads}")
        self.h, self.d = heads, d_model // heads
        self.q = nn.Linear(d_model, d_model)
        self.k = nn.Linear(d_context or d_model, d_model)
        self.v = nn.Linear(d_context or d_model, d_model)
        self.out = nn.Linear(d_model, d_model)

    def forward(self, x, context=None, mask=None):
        source = context if context is not None else x
        batch, n, m = x.shape[0], x.shape[1], source.shape[1]
        q = self.q(x).view(batch, n, self.h, self.d).permute(0, 2, 1, 3)
        k = self.k(source).view(batch, m, self.h, self.d).permute(0, 2, 3, 1)
        v = self.v(source).view(batch, m, self.h, self.d).permute(0, 2, 1, 3)
        scores = q @ k / math.sqrt(self.d)
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        return self.out((scores.softmax(-1) @ v).permute(0, 2, 1, 3).reshape(batch, n, -1))


@accepted("MultiHeadAttention", "one head after the other")
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, heads, d_context=None):
        super().__init__()
        if d_model % heads:
            raise ValueError("heads must divide d_model")
        self.heads, d_context = heads, d_context or d_model
        self.q, self.out = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)
        self.k, self.v = nn.Linear(d_context, d_model), nn.Linear(d_context, d_model)

    def forward(self, x, context=None, mask=None):
        context = x if context is None else context
        parts = [t.chunk(self.heads, -1) for t in (self.q(x), self.k(context), self.v(context))]
        mask = None if mask is None else mask.expand(-1, self.heads, -1, -1)
        read = [
            F.scaled_dot_product_attention(q, k, v, attn_mask=None if mask is None else mask[:, h])
            for h, (q, k, v) in enumerate(zip(*parts, strict=True))
        ]
        return self.out(torch.cat(read, dim=-1))


# 7.5 attention_cost


@mistake("attention_cost", "more heads do not cost more FLOPs: each head is narrower", see="7.5")
def attention_cost(n, d_model, heads, bytes_per_number=2):
    return 8 * n * d_model**2, heads * 4 * n * n * d_model, heads * n * n * bytes_per_number


@mistake("attention_cost", "each head has its own table, so the memory grows with the heads", see="7.5")
def attention_cost(n, d_model, heads, bytes_per_number=2):
    return 8 * n * d_model**2, 4 * n * n * d_model, n * n * bytes_per_number


@mistake("attention_cost", "a multiplication and an addition are two FLOPs", see="1.6")
def attention_cost(n, d_model, heads, bytes_per_number=2):
    return 4 * n * d_model**2, 2 * n * n * d_model, heads * n * n * bytes_per_number


@mistake("attention_cost", "the mix costs as much as the scores, and was forgotten", see="7.5")
def attention_cost(n, d_model, heads, bytes_per_number=2):
    return 8 * n * d_model**2, 2 * n * n * d_model, heads * n * n * bytes_per_number


@accepted("attention_cost", "head by head")
def attention_cost(n, d_model, heads, bytes_per_number=2):
    d = d_model // heads
    return (
        4 * (2 * n * d_model * d_model),
        sum(2 * n * d * n + 2 * n * n * d for _ in range(heads)),
        bytes_per_number * heads * n**2,
    )


@accepted("attention_cost", "powers")
def attention_cost(n, d_model, heads, bytes_per_number=2):
    return 8 * n * d_model**2, 4 * n**2 * d_model, n**2 * heads * bytes_per_number


# 7.6 KVCache


@mistake("KVCache", "length grows by 1 even when a chunk of several positions is stored", see="7.6")
class KVCache:
    def __init__(self, batch, heads, capacity, d):
        self.keys, self.values, self.length = *torch.zeros(2, batch, heads, capacity, d), 0

    def append(self, k, v):
        end = self.length + k.shape[2]
        if end > self.keys.shape[2]:
            raise ValueError("full")
        self.keys[:, :, self.length : end], self.values[:, :, self.length : end] = k.detach(), v.detach()
        self.length += 1
        return self.keys[:, :, :end], self.values[:, :, :end]

    def reset(self):
        self.length = 0


@mistake("KVCache", "torch.cat copies the whole past at every step", see="7.6")
class KVCache:
    def __init__(self, batch, heads, capacity, d):
        self.shape, self.capacity = (batch, heads, 0, d), capacity
        self.reset()

    def append(self, k, v):
        if self.length + k.shape[2] > self.capacity:
            raise ValueError("full")
        self.keys, self.values = torch.cat([self.keys, k.detach()], 2), torch.cat([self.values, v.detach()], 2)
        self.length = self.keys.shape[2]
        return self.keys, self.values

    def reset(self):
        self.keys, self.values, self.length = torch.empty(self.shape), torch.empty(self.shape), 0


@mistake("KVCache", "length is raised before the cache is found to be full, so a failed append changes it", see="7.6")
class KVCache:
    def __init__(self, batch, heads, capacity, d):
        self.keys, self.values, self.length = *torch.zeros(2, batch, heads, capacity, d), 0

    def append(self, k, v):
        start, self.length = self.length, self.length + k.shape[2]
        if self.length > self.keys.shape[2]:
            raise ValueError("full")
        self.keys[:, :, start : self.length], self.values[:, :, start : self.length] = k.detach(), v.detach()
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def reset(self):
        self.length = 0


@mistake("KVCache", "the history of gradients is stored along with the numbers", see="7.6")
class KVCache:
    def __init__(self, batch, heads, capacity, d):
        self.keys, self.values, self.length = *torch.zeros(2, batch, heads, capacity, d), 0

    def append(self, k, v):
        end = self.length + k.shape[2]
        if end > self.keys.shape[2]:
            raise ValueError("full")
        self.keys[:, :, self.length : end], self.values[:, :, self.length : end] = k, v
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def reset(self):
        self.length = 0


@accepted("KVCache", "narrow and copy_, under no_grad")
class KVCache:
    def __init__(self, batch, heads, capacity, d):
        self.keys = torch.zeros(batch, heads, capacity, d)
        self.values = torch.zeros_like(self.keys)
        self.length = 0

    @torch.no_grad()
    def append(self, k, v):
        new = k.shape[2]
        if self.length + new > self.keys.shape[2]:
            raise ValueError(f"only {self.keys.shape[2] - self.length} places are left")
        self.keys.narrow(2, self.length, new).copy_(k)
        self.values.narrow(2, self.length, new).copy_(v)
        self.length += new
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def reset(self):
        self.length = 0


@accepted("KVCache", "keys and values in one tensor")
class KVCache:
    def __init__(self, batch, heads, capacity, d):
        self.memory, self.length = torch.empty(2, batch, heads, capacity, d), 0

    def append(self, k, v):
        if k.shape[2] > self.memory.shape[3] - self.length:
            raise ValueError("full")
        self.memory[:, :, :, self.length : self.length + k.shape[2]] = torch.stack([k, v]).detach()
        self.length += k.shape[2]
        return tuple(self.memory[:, :, :, : self.length])

    def reset(self):
        self.length = 0


# 7.7 causal_attention


@mistake("causal_attention", "the mask forbids the past and the present instead of the future", see="7.3")
def causal_attention(x, w_in, w_out, heads):
    batch, n, width = x.shape
    q, k, v = (t.unflatten(2, (heads, -1)).transpose(1, 2) for t in (x @ w_in).chunk(3, -1))
    scores = q @ k.mT / math.sqrt(width // heads)
    weights = scores.masked_fill(torch.ones(n, n, dtype=torch.bool).tril(), -1e9).softmax(-1)
    return (weights @ v).transpose(1, 2).reshape(batch, n, width) @ w_out


@mistake("causal_attention", "softmax still runs over the queries", see="7.2")
def causal_attention(x, w_in, w_out, heads):
    batch, n, width = x.shape
    q, k, v = (t.unflatten(2, (heads, -1)).transpose(1, 2) for t in (x @ w_in).chunk(3, -1))
    scores = q @ k.mT / math.sqrt(width // heads)
    weights = scores.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), -torch.inf).softmax(-2)
    return (weights @ v).transpose(1, 2).reshape(batch, n, width) @ w_out


@mistake("causal_attention", "the heads are still merged without a transpose", see="7.4")
def causal_attention(x, w_in, w_out, heads):
    batch, n, width = x.shape
    q, k, v = (t.unflatten(2, (heads, -1)).transpose(1, 2) for t in (x @ w_in).chunk(3, -1))
    scores = q @ k.mT / math.sqrt(width // heads)
    weights = scores.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), -torch.inf).softmax(-1)
    return (weights @ v).reshape(batch, n, width) @ w_out


@mistake("causal_attention", "the scores are scaled by the model's width instead of the head's", see="7.2")
def causal_attention(x, w_in, w_out, heads):
    batch, n, width = x.shape
    q, k, v = (t.unflatten(2, (heads, -1)).transpose(1, 2) for t in (x @ w_in).chunk(3, -1))
    scores = q @ k.mT / math.sqrt(width)
    weights = scores.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), -torch.inf).softmax(-1)
    return (weights @ v).transpose(1, 2).reshape(batch, n, width) @ w_out


@accepted("causal_attention", "torch's operator inside")
def causal_attention(x, w_in, w_out, heads):
    q, k, v = (t.unflatten(2, (heads, -1)).transpose(1, 2) for t in (x @ w_in).chunk(3, -1))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2) @ w_out


@accepted("causal_attention", "einsum from end to end")
def causal_attention(x, w_in, w_out, heads):
    q, k, v = (x @ w_in).chunk(3, -1)
    q, k, v = (t.unflatten(-1, (heads, -1)) for t in (q, k, v))
    scores = torch.einsum("bihd,bjhd->bhij", q, k) * q.shape[-1] ** -0.5
    weights = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), float("-inf")).softmax(-1)
    return torch.einsum("bhij,bjhd->bihd", weights, v).flatten(2) @ w_out


# 7.8 the induction project


@mistake("answers_by_induction", "the first earlier occurrence is used instead of the last", see="7.8")
def answers_by_induction(ids):
    n = ids.shape[1]
    same = (ids[:, :, None] == ids[:, None, :]) & torch.ones(n, n, dtype=torch.bool).tril(-1)
    first = same.int().argmax(-1)
    return torch.where(same.any(-1), ids.gather(1, (first + 1).clamp(max=n - 1)), -100)


@mistake("answers_by_induction", "a position's own symbol is taken for an earlier occurrence", see="7.8")
def answers_by_induction(ids):
    n = ids.shape[1]
    same = (ids[:, :, None] == ids[:, None, :]) & torch.ones(n, n, dtype=torch.bool).tril()
    last = torch.where(same, torch.arange(n), -1).amax(-1)
    return torch.where(last >= 0, ids.gather(1, (last + 1).clamp(max=n - 1)), -100)


@mistake("answers_by_induction", "positions without an earlier occurrence get 0, which is a symbol", see="7.8")
def answers_by_induction(ids):
    n = ids.shape[1]
    same = (ids[:, :, None] == ids[:, None, :]) & torch.ones(n, n, dtype=torch.bool).tril(-1)
    last = torch.where(same, torch.arange(n), -1).amax(-1)
    return torch.where(last >= 0, ids.gather(1, last + 1), 0)


@mistake("AttentionOnly", "there is no causal mask: every position reads the future", see="7.3")
class AttentionOnly(nn.Module):
    def __init__(self, symbols, n, width, layers):
        super().__init__()
        self.token, self.place = nn.Embedding(symbols, width), nn.Embedding(n, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.to_qkv = nn.ModuleList(nn.Linear(width, 3 * width, bias=False) for _ in range(layers))
        self.back = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(layers))
        self.head = nn.Linear(width, symbols)

    def forward(self, ids):
        stream, tables = self.token(ids) + self.place(torch.arange(ids.shape[1])), []
        for norm, to_qkv, back in zip(self.norms, self.to_qkv, self.back, strict=True):
            q, k, v = to_qkv(norm(stream)).chunk(3, -1)
            tables.append((q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1))
            stream = stream + back(tables[-1] @ v)
        return self.head(stream), tables


@mistake("AttentionOnly", "positions are not embedded, so the order of what was read is lost", see="7.8")
class AttentionOnly(nn.Module):
    def __init__(self, symbols, n, width, layers):
        super().__init__()
        self.token, self.place = nn.Embedding(symbols, width), nn.Embedding(n, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.to_qkv = nn.ModuleList(nn.Linear(width, 3 * width, bias=False) for _ in range(layers))
        self.back = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(layers))
        self.head = nn.Linear(width, symbols)

    def forward(self, ids):
        stream, tables = self.token(ids), []
        later = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).triu(1)
        for norm, to_qkv, back in zip(self.norms, self.to_qkv, self.back, strict=True):
            q, k, v = to_qkv(norm(stream)).chunk(3, -1)
            tables.append((q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(later, -torch.inf).softmax(-1))
            stream = stream + back(tables[-1] @ v)
        return self.head(stream), tables


@mistake("AttentionOnly", "the residual is missing: a layer replaces the stream instead of adding to it", see="7.8")
class AttentionOnly(nn.Module):
    def __init__(self, symbols, n, width, layers):
        super().__init__()
        self.token, self.place = nn.Embedding(symbols, width), nn.Embedding(n, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.to_qkv = nn.ModuleList(nn.Linear(width, 3 * width, bias=False) for _ in range(layers))
        self.back = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(layers))
        self.head = nn.Linear(width, symbols)

    def forward(self, ids):
        stream, tables = self.token(ids) + self.place(torch.arange(ids.shape[1])), []
        later = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).triu(1)
        for norm, to_qkv, back in zip(self.norms, self.to_qkv, self.back, strict=True):
            q, k, v = to_qkv(norm(stream)).chunk(3, -1)
            tables.append((q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(later, -torch.inf).softmax(-1))
            stream = back(tables[-1] @ v)
        return self.head(stream), tables


@mistake("AttentionOnly", "the attention weights are detached, so queries and keys never learn", see="2.3")
class AttentionOnly(nn.Module):
    def __init__(self, symbols, n, width, layers):
        super().__init__()
        self.token, self.place = nn.Embedding(symbols, width), nn.Embedding(n, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.to_qkv = nn.ModuleList(nn.Linear(width, 3 * width, bias=False) for _ in range(layers))
        self.back = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(layers))
        self.head = nn.Linear(width, symbols)

    def forward(self, ids):
        stream, tables = self.token(ids) + self.place(torch.arange(ids.shape[1])), []
        later = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).triu(1)
        for norm, to_qkv, back in zip(self.norms, self.to_qkv, self.back, strict=True):
            q, k, v = to_qkv(norm(stream)).chunk(3, -1)
            tables.append((q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(later, -torch.inf).softmax(-1).detach())
            stream = stream + back(tables[-1] @ v)
        return self.head(stream), tables


@mistake("induction_score", "the score looks at the last occurrence itself instead of behind it", see="7.8")
def induction_score(weights, ids):
    n = ids.shape[1]
    same = (ids[:, :, None] == ids[:, None, :]) & torch.ones(n, n, dtype=torch.bool).tril(-1)
    last = torch.where(same, torch.arange(n), -1).amax(-1)
    return weights.gather(2, last.clamp(min=0)[:, :, None]).squeeze(2)[last >= 0].mean().item()


@mistake("induction_score", "positions without an answer are averaged in", see="1.3")
def induction_score(weights, ids):
    n = ids.shape[1]
    same = (ids[:, :, None] == ids[:, None, :]) & torch.ones(n, n, dtype=torch.bool).tril(-1)
    last = torch.where(same, torch.arange(n), -1).amax(-1)
    return weights.gather(2, (last + 1)[:, :, None]).mean().item()


@mistake("induction_score", "queries and keys are swapped: rows of the table are queries", see="7.2")
def induction_score(weights, ids):
    n = ids.shape[1]
    same = (ids[:, :, None] == ids[:, None, :]) & torch.ones(n, n, dtype=torch.bool).tril(-1)
    last = torch.where(same, torch.arange(n), -1).amax(-1)
    return weights.mT.gather(2, (last + 1)[:, :, None]).squeeze(2)[last >= 0].mean().item()


@accepted("answers_by_induction", "a plain loop")
def answers_by_induction(ids):
    answers = torch.full_like(ids, -100)
    for b, text in enumerate(ids.tolist()):
        follower = {}
        for t, symbol in enumerate(text):
            answers[b, t] = follower.get(symbol, -100)
            if t + 1 < len(text):
                follower[symbol] = text[t + 1]
    return answers


@accepted("answers_by_induction", "search from the right with flip and argmax")
def answers_by_induction(ids):
    n = ids.shape[1]
    same = ((ids[:, :, None] == ids[:, None, :]) & torch.ones(n, n, dtype=torch.bool).tril(-1)).flip(-1)
    last = n - 1 - same.int().argmax(-1)
    follower = ids.gather(1, (last + 1).clamp(max=n - 1))
    return follower.masked_fill(~same.any(-1), -100)


@accepted("AttentionOnly", "each layer a module of its own, positions as a parameter lookup")
class AttentionOnly(nn.Module):
    class Layer(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.norm = nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, width * 3, bias=False), nn.Linear(width, width, bias=False)

        def forward(self, x):
            q, k, v = self.qkv(self.norm(x)).chunk(3, dim=2)
            scores = torch.einsum("bid,bjd->bij", q, k) / x.shape[2] ** 0.5
            weights = (scores + torch.full_like(scores, -torch.inf).triu(1)).softmax(2)
            return x + self.out(weights @ v), weights

    def __init__(self, symbols, n, width, layers):
        super().__init__()
        self.token, self.place = nn.Embedding(symbols, width), nn.Embedding(n, width)
        self.layers = nn.ModuleList([AttentionOnly.Layer(width) for _ in range(layers)])
        self.head = nn.Linear(width, symbols)

    def forward(self, ids):
        x, tables = self.token(ids) + self.place.weight[: ids.shape[1]], []
        for layer in self.layers:
            x, weights = layer(x)
            tables.append(weights)
        return self.head(x), tables


@accepted("AttentionOnly", "split and where instead of chunk and masked_fill")
class AttentionOnly(nn.Module):
    def __init__(self, symbols, n, width, layers):
        super().__init__()
        self.token, self.place = nn.Embedding(symbols, width), nn.Embedding(n, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.to_qkv = nn.ModuleList(nn.Linear(width, 3 * width, bias=False) for _ in range(layers))
        self.back = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(layers))
        self.head = nn.Linear(width, symbols)

    def forward(self, ids):
        x, tables = self.token(ids) + self.place(torch.arange(ids.shape[1]))[None], []
        past = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
        for i in range(len(self.norms)):
            q, k, v = torch.split(self.to_qkv[i](self.norms[i](x)), x.shape[-1], dim=-1)
            weights = torch.where(past, q @ k.mT / x.shape[-1] ** 0.5, -torch.inf).softmax(dim=-1)
            x = x + self.back[i](weights @ v)
            tables.append(weights)
        return self.head(x), tables


@accepted("induction_score", "a plain loop")
def induction_score(weights, ids):
    picked = []
    for b in range(ids.shape[0]):
        seen = {}
        for t, symbol in enumerate(ids[b].tolist()):
            if symbol in seen:
                picked.append(weights[b, t, seen[symbol] + 1].item())
            seen[symbol] = t
    return sum(picked) / len(picked)


@accepted("induction_score", "a mask of the targets")
def induction_score(weights, ids):
    n = ids.shape[1]
    same = (ids[:, :, None] == ids[:, None, :]) & torch.ones(n, n, dtype=torch.bool).tril(-1)
    last = torch.where(same, torch.arange(n), -2).amax(-1)
    target = torch.arange(n) == (last + 1)[:, :, None]
    return (weights * target).sum().item() / target.sum().item()
