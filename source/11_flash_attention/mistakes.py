"""Wrong and right ways to write the exercises of lesson 11."""

import math

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torchgrade.lessons import accepted, mistake

# 11.2 online_softmax


@mistake("online_softmax", "the sum so far is not rescaled when the largest entry grows", see="11.2")
def online_softmax(blocks):
    largest, total = torch.tensor(-math.inf), torch.tensor(0.0)
    for block in blocks:
        largest = torch.maximum(largest, block.amax(1))
        finite = largest.masked_fill(largest == -math.inf, 0.0)
        total = total + (block - finite[:, None]).exp().sum(1)
    return largest, total


@mistake("online_softmax", "the running maximum starts at 0 instead of at minus infinity", see="11.2")
def online_softmax(blocks):
    largest, total = torch.tensor(0.0), torch.tensor(0.0)
    for block in blocks:
        new = torch.maximum(largest, block.amax(1))
        total = total * (largest - new).exp() + (block - new[:, None]).exp().sum(1)
        largest = new
    return largest, total


@mistake("online_softmax", "minus infinity minus minus infinity is NaN: a piece of -inf needs a stand-in", see="11.2")
def online_softmax(blocks):
    largest, total = torch.tensor(-math.inf), torch.tensor(0.0)
    for block in blocks:
        new = torch.maximum(largest, block.amax(1))
        total = total * (largest - new).exp() + (block - new[:, None]).exp().sum(1)
        largest = new
    return largest, total


@mistake("online_softmax", "all pieces are put together again; only one may be held at a time", see="11.2")
def online_softmax(blocks):
    table = torch.cat(list(blocks), 1)
    largest = table.amax(1)
    finite = largest.masked_fill(largest == -math.inf, 0.0)
    return largest, (table - finite[:, None]).exp().sum(1)


@mistake("online_softmax", "one maximum for all rows: each row has its own", see="11.2")
def online_softmax(blocks):
    largest, total = torch.tensor(-math.inf), torch.tensor(0.0)
    for block in blocks:
        new = torch.maximum(largest, block.max()).expand(len(block))
        finite = new.masked_fill(new == -math.inf, 0.0)
        total = total * (largest - finite).exp() + (block - finite[:, None]).exp().sum(1)
        largest = new
    return largest, total


@mistake(
    "online_softmax", "the old sum is scaled up by exp(new - old); relative to a larger maximum it shrinks", see="11.2"
)
def online_softmax(blocks):
    largest, total = None, None
    for block in blocks:
        top = block.amax(1)
        new = top if largest is None else torch.maximum(largest, top)
        mine = (block - new[:, None]).exp().sum(1)
        total = mine if total is None else total * (new - largest).exp() + mine
        largest = new
    return largest, total


@accepted("online_softmax", "log-sum-exp as the running state")
def online_softmax(blocks):
    largest, lse = None, None
    for block in blocks:
        top, mine = block.amax(1), block.logsumexp(1)
        largest = top if largest is None else torch.maximum(largest, top)
        lse = mine if lse is None else torch.logaddexp(lse, mine)
    return largest, torch.where(lse == -math.inf, 0.0, (lse - largest).exp())


@accepted("online_softmax", "states of pieces, merged")
def online_softmax(blocks):
    def state(block):
        top = block.amax(1)
        return top, (block - top[:, None]).exp().sum(1).nan_to_num(0.0)

    blocks = iter(blocks)
    largest, total = state(next(blocks))
    for block in blocks:
        top, mine = state(block)
        new = torch.maximum(largest, top)
        old, fresh = (total * (largest - new).exp()).nan_to_num(0.0), (mine * (top - new).exp()).nan_to_num(0.0)
        largest, total = new, old + fresh
    return largest, total


# 11.3 tiled_attention


def tiled(
    q,
    k,
    v,
    block,
    causal,
    *,
    rescale_sum=True,
    rescale_mix=True,
    start=-math.inf,
    scale=None,
    lower_left=False,
    guard=True,
    skip=True,
    strip=False,
    whole_tiles=False,
    lse_of_sum=False,
    detach=False,
    strict=False,
):
    n, m = q.shape[-2], k.shape[-2]
    shift = 0 if lower_left else m - n
    results, sums = [], []
    for top in range(0, n, block):
        queries = q[..., top : top + block, :] * (q.shape[-1] ** -0.5 if scale is None else scale)
        places = torch.arange(top, top + queries.shape[-2])[:, None] + shift - int(strict)
        end = min(m, top + queries.shape[-2] + shift) if causal and skip else m
        end = end // block * block if whole_tiles else end
        largest = queries.new_full(queries.shape[:-1], start)
        total, mixed = torch.zeros_like(largest), queries.new_zeros(*queries.shape[:-1], v.shape[-1])
        for left in range(0, end, max(end, 1) if strip else block):
            right = end if strip else min(left + block, end)
            scores = queries @ k[..., left:right, :].mT
            if causal:
                scores = scores.masked_fill(torch.arange(left, right) > places, -math.inf)
            new = torch.maximum(largest, scores.amax(-1))
            finite = new.masked_fill(new == -math.inf, 0.0) if guard else new
            if detach:
                finite, scores = finite.detach(), scores.detach()
            shrink, weights = (largest - finite).exp(), (scores - finite[..., None]).exp()
            total = total * (shrink if rescale_sum else 1) + weights.sum(-1)
            mixed = mixed * (shrink[..., None] if rescale_mix else 1) + weights @ v[..., left:right, :]
            largest = new
        results.append(mixed / total.clamp(min=torch.finfo(total.dtype).tiny)[..., None])
        sums.append(total.log() if lse_of_sum else largest + total.log())
    return torch.cat(results, -2), torch.cat(sums, -1)


@mistake("tiled_attention", "the sum is not rescaled when the largest score grows", see="11.2")
def tiled_attention(q, k, v, block, causal=False):
    return tiled(q, k, v, block, causal, rescale_sum=False)


@mistake("tiled_attention", "the output so far is not rescaled when the largest score grows", see="11.3")
def tiled_attention(q, k, v, block, causal=False):
    return tiled(q, k, v, block, causal, rescale_mix=False)


@mistake("tiled_attention", "the running maximum starts at 0: rows of very low scores vanish", see="11.2")
def tiled_attention(q, k, v, block, causal=False):
    return tiled(q, k, v, block, causal, start=0.0)


@mistake("tiled_attention", "the last keys are dropped when the block does not divide their number", see="11.3")
def tiled_attention(q, k, v, block, causal=False):
    return tiled(q, k, v, block, causal, whole_tiles=True)


@mistake("tiled_attention", "lse is log(total) without the maximum that total is relative to", see="11.2")
def tiled_attention(q, k, v, block, causal=False):
    return tiled(q, k, v, block, causal, lse_of_sum=True)


@mistake("tiled_attention", "the causal mask is aligned upper left; the queries are the last positions", see="11.3")
def tiled_attention(q, k, v, block, causal=False):
    return tiled(q, k, v, block, causal, lower_left=True)


@mistake("tiled_attention", "a query must be allowed to read its own key", see="11.3")
def tiled_attention(q, k, v, block, causal=False):
    return tiled(q, k, v, block, causal, strict=True)


@mistake("tiled_attention", "scores are divided by d instead of by its square root", see="11.3")
def tiled_attention(q, k, v, block, causal=False):
    return tiled(q, k, v, block, causal, scale=1 / q.shape[-1])


@mistake("tiled_attention", "the scores are detached, so nothing flows back into q and k", see="11.4")
def tiled_attention(q, k, v, block, causal=False):
    return tiled(q, k, v, block, causal, detach=True)


@mistake(
    "tiled_attention", "a query that reads nothing gives NaN: it needs a finite stand-in for its maximum", see="11.2"
)
def tiled_attention(q, k, v, block, causal=False):
    return tiled(q, k, v, block, causal, guard=False)


@mistake(
    "tiled_attention",
    "a strip or a list of tiles still grows with the number of keys; forget each tile before the next",
    see="11.3",
)
def tiled_attention(q, k, v, block, causal=False):
    return tiled(q, k, v, block, causal, strip=True)


@mistake("tiled_attention", "tiles that the causal mask hides are computed and thrown away", see="11.3")
def tiled_attention(q, k, v, block, causal=False):
    return tiled(q, k, v, block, causal, skip=False)


@mistake(
    "tiled_attention",
    "a strip or a list of tiles still grows with the number of keys; forget each tile before the next",
    see="11.3",
)
def tiled_attention(q, k, v, block, causal=False):
    n, m = q.shape[-2], k.shape[-2]
    kept = []
    for top in range(0, n, block):
        rows = q[..., top : top + block, :] / math.sqrt(q.shape[-1])
        places = torch.arange(top, top + rows.shape[-2])[:, None] + m - n
        end = max(1, min(m, top + rows.shape[-2] + m - n)) if causal else m
        tiles = []
        for left in range(0, end, block):
            right = min(left + block, end)
            scores = rows @ k[..., left:right, :].mT
            hidden = torch.arange(left, right) > places
            tiles.append((left, right, scores.masked_fill(hidden, -math.inf) if causal else scores))
        kept.append(tiles)
    results, sums = [], []
    for tiles in kept:
        lse = torch.stack([scores.logsumexp(-1) for _, _, scores in tiles]).logsumexp(0)
        finite = lse.masked_fill(lse == -math.inf, 0.0)[..., None]
        results.append(sum((scores - finite).exp() @ v[..., left:right, :] for left, right, scores in tiles))
        sums.append(lse)
    return torch.cat(results, -2), torch.cat(sums, -1)


@accepted("tiled_attention", "each tile attended to alone, and merged by lse")
def tiled_attention(q, k, v, block, causal=False):
    n, m = q.shape[-2], k.shape[-2]
    o, lse = q.new_zeros(*q.shape[:-1], v.shape[-1]), q.new_full(q.shape[:-1], -math.inf)
    results, sums = [], []
    for rows, o_rows, lse_rows, places in zip(
        q.split(block, -2), o.split(block, -2), lse.split(block, -1), torch.arange(n).split(block), strict=True
    ):
        for left in range(0, m, block):
            keys = torch.arange(left, min(left + block, m))
            if causal and keys[0] > places[-1] + m - n:
                break
            scores = rows @ k[..., left : left + block, :].mT / math.sqrt(q.shape[-1])
            if causal:
                scores = scores.where(keys <= places[:, None] + m - n, -math.inf)
            new = torch.logaddexp(lse_rows, scores.logsumexp(-1))
            finite = new.masked_fill(new == -math.inf, 0.0)
            mine = (scores - finite[..., None]).exp() @ v[..., left : left + block, :]
            o_rows, lse_rows = o_rows * (lse_rows - finite).exp()[..., None] + mine, new
        results.append(o_rows)
        sums.append(lse_rows)
    return torch.cat(results, -2), torch.cat(sums, -1)


@accepted("tiled_attention", "base 2 exponentials, einsum")
def tiled_attention(q, k, v, block, causal=False):
    n, m, base = q.shape[-2], k.shape[-2], math.log2(math.e)
    results, sums = [], []
    for top in range(0, n, block):
        rows = q[..., top : top + block, :] * (base / math.sqrt(q.shape[-1]))
        largest = rows.new_full((*rows.shape[:-1], 1), torch.finfo(q.dtype).min)
        total = rows.new_zeros(*rows.shape[:-1], 1)
        mixed = rows.new_zeros(*rows.shape[:-1], v.shape[-1])
        end = max(0, min(m, top + rows.shape[-2] + m - n)) if causal else m
        for left in range(0, end, block):
            tile = torch.einsum("...id,...jd->...ij", rows, k[..., left : min(left + block, end), :])
            if causal:
                tile = tile.masked_fill(torch.ones_like(tile, dtype=torch.bool).triu(top + m - n - left + 1), -math.inf)
            new = torch.maximum(largest, tile.amax(-1, keepdim=True))
            weights = torch.exp2(tile - new)
            shrink = torch.exp2(largest - new)
            mixed = mixed * shrink + torch.einsum(
                "...ij,...jd->...id", weights, v[..., left : min(left + block, end), :]
            )
            total, largest = total * shrink + weights.sum(-1, keepdim=True), new
        results.append(torch.where(total > 0, mixed / total, 0.0))
        sums.append(torch.where(total > 0, (largest + total.log2()) / base, -math.inf).squeeze(-1))
    return torch.cat(results, -2), torch.cat(sums, -1)


# 11.4 flash_backward


def backward(
    do,
    q,
    k,
    v,
    o,
    lse,
    block,
    causal,
    *,
    row_sums=None,
    dk_scale=None,
    dq_scale=None,
    dv_from=None,
    mask=True,
    shift=None,
    masked_to=0.0,
    overwrite=False,
):
    n, m, scale = q.shape[-2], k.shape[-2], 1 / math.sqrt(q.shape[-1])
    dq, dk, dv = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
    row_sums = (do * o).sum(-1, keepdim=True) if row_sums is None else row_sums
    shift = m - n if shift is None else shift
    for top in range(0, n, block):
        rows = slice(top, min(top + block, n))
        for left in range(0, m, block):
            columns = slice(left, min(left + block, m))
            weights = (q[..., rows, :] @ k[..., columns, :].mT * scale - lse[..., rows, None]).exp()
            if causal and mask:
                visible = torch.arange(n)[rows, None] + shift >= torch.arange(m)[columns]
                weights = weights.masked_fill(~visible, masked_to)
            dp = do[..., rows, :] @ v[..., columns, :].mT
            ds = weights * (dp - row_sums[..., rows, :])
            dv[..., columns, :] += (dv_from or (lambda w, g: w.mT @ g))(weights, do[..., rows, :])
            dk[..., columns, :] += ds.mT @ q[..., rows, :] * (scale if dk_scale is None else dk_scale)
            mine = ds @ k[..., columns, :] * (scale if dq_scale is None else dq_scale)
            dq[..., rows, :] = mine if overwrite else dq[..., rows, :] + mine
    return dq, dk, dv


@mistake("flash_backward", "D is left out: softmax's gradient subtracts rowsum(do * o) from dP", see="11.4")
def flash_backward(do, q, k, v, o, lse, block, causal=False):
    return backward(do, q, k, v, o, lse, block, causal, row_sums=torch.zeros_like(lse)[..., None])


@mistake("flash_backward", "D is a mean instead of a sum over the width", see="11.4")
def flash_backward(do, q, k, v, o, lse, block, causal=False):
    return backward(do, q, k, v, o, lse, block, causal, row_sums=(do * o).mean(-1, keepdim=True))


@mistake("flash_backward", "dk misses the factor 1 / √d", see="11.4")
def flash_backward(do, q, k, v, o, lse, block, causal=False):
    return backward(do, q, k, v, o, lse, block, causal, dk_scale=1.0)


@mistake("flash_backward", "dq misses the factor 1 / √d", see="11.4")
def flash_backward(do, q, k, v, o, lse, block, causal=False):
    return backward(do, q, k, v, o, lse, block, causal, dq_scale=1.0)


@mistake("flash_backward", "the causal mask is forgotten when the weights are recomputed", see="11.4")
def flash_backward(do, q, k, v, o, lse, block, causal=False):
    return backward(do, q, k, v, o, lse, block, causal, mask=False)


@mistake("flash_backward", "the causal mask is aligned upper left in the backward pass", see="11.3")
def flash_backward(do, q, k, v, o, lse, block, causal=False):
    return backward(do, q, k, v, o, lse, block, causal, shift=0)


@mistake("flash_backward", "each tile overwrites dq; it must be added up over the blocks of keys", see="11.4")
def flash_backward(do, q, k, v, o, lse, block, causal=False):
    return backward(do, q, k, v, o, lse, block, causal, overwrite=True)


@mistake("flash_backward", "the whole table of weights is built; recompute it tile by tile", see="11.4")
def flash_backward(do, q, k, v, o, lse, block, causal=False):
    return backward(do, q, k, v, o, lse, max(q.shape[-2], k.shape[-2]), causal)


@accepted("flash_backward", "outer loop over the keys, hidden tiles skipped")
def flash_backward(do, q, k, v, o, lse, block, causal=False):
    n, m, scale = q.shape[-2], k.shape[-2], q.shape[-1] ** -0.5
    dq, delta = torch.zeros_like(q), torch.einsum("...nd,...nd->...n", do, o)
    dks, dvs = [], []
    for left in range(0, m, block):
        keys, values = k[..., left : left + block, :], v[..., left : left + block, :]
        dk, dv = torch.zeros_like(keys), torch.zeros_like(values)
        for top in range(0, n, block):
            bottom = min(top + block, n)
            if causal and left > bottom - 1 + m - n:
                continue
            scores = q[..., top:bottom, :] @ keys.transpose(-2, -1) * scale
            if causal:
                i, j = torch.arange(top, bottom), torch.arange(left, left + keys.shape[-2])
                scores = scores.masked_fill(j > i[:, None] + m - n, -math.inf)
            p = torch.exp(scores - lse[..., top:bottom].unsqueeze(-1))
            dv = dv + p.mT @ do[..., top:bottom, :]
            ds = p * (do[..., top:bottom, :] @ values.mT - delta[..., top:bottom, None]) * scale
            dk = dk + ds.mT @ q[..., top:bottom, :]
            dq[..., top:bottom, :] += ds @ keys
        dks.append(dk)
        dvs.append(dv)
    return dq, torch.cat(dks, -2), torch.cat(dvs, -2)


@accepted("flash_backward", "the scale folded into q")
def flash_backward(do, q, k, v, o, lse, block, causal=False):
    scaled = q / math.sqrt(q.shape[-1])
    return (
        backward(do, q, k, v, o, lse, block, causal, row_sums=torch.sum(o * do, dim=-1)[..., None])
        if (scaled is None)
        else backward(do, scaled * math.sqrt(q.shape[-1]), k, v, o, lse, block, causal)
    )


# 11.5 merge


@mistake("merge", "the two parts are averaged; each counts by its share of the weight", see="11.5")
def merge(o1, lse1, o2, lse2):
    return (o1 + o2) / 2, torch.logaddexp(lse1, lse2)


@mistake("merge", "exp(lse) overflows; subtract the common lse first", see="11.5")
def merge(o1, lse1, o2, lse2):
    a, b = lse1.exp(), lse2.exp()
    return ((o1 * a[..., None] + o2 * b[..., None]) / (a + b)[..., None]).nan_to_num(0.0), (a + b).log()


@mistake("merge", "if both parts are empty the result is NaN; it must be zeros", see="11.5")
def merge(o1, lse1, o2, lse2):
    lse = torch.logaddexp(lse1, lse2)
    return o1 * (lse1 - lse).exp()[..., None] + o2 * (lse2 - lse).exp()[..., None], lse


@mistake("merge", "lse of both is not their sum: weights add, not their logarithms", see="11.5")
def merge(o1, lse1, o2, lse2):
    lse = torch.logaddexp(lse1, lse2)
    finite = lse.masked_fill(lse == -math.inf, 0.0)
    return o1 * (lse1 - finite).exp()[..., None] + o2 * (lse2 - finite).exp()[..., None], lse1 + lse2


@mistake("merge", "lse is the larger of the two, so a third part gets the wrong share", see="11.5")
def merge(o1, lse1, o2, lse2):
    lse = torch.logaddexp(lse1, lse2)
    finite = lse.masked_fill(lse == -math.inf, 0.0)
    return o1 * (lse1 - finite).exp()[..., None] + o2 * (lse2 - finite).exp()[..., None], torch.maximum(lse1, lse2)


@mistake("merge", "the shares are swapped: part 1 gets the weight of part 2", see="11.5")
def merge(o1, lse1, o2, lse2):
    lse = torch.logaddexp(lse1, lse2)
    finite = lse.masked_fill(lse == -math.inf, 0.0)
    return o1 * (lse2 - finite).exp()[..., None] + o2 * (lse1 - finite).exp()[..., None], lse


@accepted("merge", "softmax over the two lse")
def merge(o1, lse1, o2, lse2):
    both = torch.stack([lse1, lse2])
    share = both.softmax(0).nan_to_num(0.0)
    return (share[..., None] * torch.stack([o1, o2])).sum(0), both.logsumexp(0)


@accepted("merge", "relative to the larger one")
def merge(o1, lse1, o2, lse2):
    top = torch.maximum(lse1, lse2).clamp(min=torch.finfo(lse1.dtype).min)
    a, b = (lse1 - top).exp()[..., None], (lse2 - top).exp()[..., None]
    total = (a + b).clamp(min=torch.finfo(lse1.dtype).tiny)
    return (o1 * a + o2 * b) / total, torch.where(lse1.maximum(lse2) > -math.inf, top + total[..., 0].log(), -math.inf)


# 11.5 window_attention


def windowed(q, k, v, window, rows, first_of, visible):
    n, results = q.shape[-2], []
    for top in range(0, n, rows):
        bottom, first = min(top + rows, n), max(0, first_of(top))
        scores = q[..., top:bottom, :] @ k[..., first:bottom, :].mT / math.sqrt(q.shape[-1])
        behind = torch.arange(top, bottom)[:, None] - torch.arange(first, bottom)
        results.append(scores.masked_fill(~visible(behind), -math.inf).softmax(-1) @ v[..., first:bottom, :])
    return torch.cat(results, -2)


@mistake("window_attention", "the window is one key too wide: with the query's own there are window keys", see="11.5")
def window_attention(q, k, v, window):
    return windowed(q, k, v, window, max(window, 32), lambda top: top - window, lambda b: (b >= 0) & (b <= window))


@mistake("window_attention", "a block starts at its own first query; that query's window begins before it", see="11.5")
def window_attention(q, k, v, window):
    return windowed(q, k, v, window, max(window, 32), lambda top: top, lambda b: (b >= 0) & (b < window))


@mistake(
    "window_attention", "within a slice all earlier keys are read: the mask must end the window as well", see="11.5"
)
def window_attention(q, k, v, window):
    return windowed(q, k, v, window, max(window, 32), lambda top: top - window + 1, lambda b: b >= 0)


@mistake(
    "window_attention",
    "all scores are computed and masked; keys outside of the window cost as much as before",
    see="11.5",
)
def window_attention(q, k, v, window):
    behind = torch.arange(q.shape[-2])[:, None] - torch.arange(q.shape[-2])
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    return scores.masked_fill((behind < 0) | (behind >= window), -math.inf).softmax(-1) @ v


@mistake(
    "window_attention",
    "all scores are computed and masked; keys outside of the window cost as much as before",
    see="11.5",
)
def window_attention(q, k, v, window):
    return windowed(q, k, v, window, max(window, 32), lambda top: 0, lambda b: (b >= 0) & (b < window))


@mistake("window_attention", "torch's fused operator is called instead of building it", see="11.5")
def window_attention(q, k, v, window):
    results = []
    for top in range(0, q.shape[-2], rows := max(window, 32)):
        bottom, first = min(top + rows, q.shape[-2]), max(0, top - window + 1)
        behind = torch.arange(top, bottom)[:, None] - torch.arange(first, bottom)
        part = q[..., top:bottom, :], k[..., first:bottom, :], v[..., first:bottom, :]
        results.append(F.scaled_dot_product_attention(*part, attn_mask=(behind >= 0) & (behind < window)))
    return torch.cat(results, -2)


@accepted("window_attention", "larger blocks of queries")
def window_attention(q, k, v, window):
    rows = max(32, 3 * window // 2)
    return windowed(q, k, v, window, rows, lambda top: top - window + 1, lambda b: (b >= 0) & (b < window))


@accepted("window_attention", "a result filled block by block, the mask built once")
def window_attention(q, k, v, window):
    n, rows = q.shape[-2], max(window, 32)
    distance = torch.arange(rows)[:, None] - torch.arange(1 - window, rows)
    hidden = (distance < 0) | (distance >= window)  # (rows, window - 1 + rows)
    results = []
    for top in range(0, n, rows):
        bottom, first = min(n, top + rows), max(0, top + 1 - window)
        scores = q[..., top:bottom, :] @ k[..., first:bottom, :].transpose(-2, -1) * q.shape[-1] ** -0.5
        mine = hidden[: bottom - top, first - top + window - 1 : bottom - top + window - 1]
        results.append(torch.where(mine, -math.inf, scores).softmax(-1) @ v[..., first:bottom, :])
    return torch.cat(results, dim=-2)


# 11.6 packed_mask


@mistake("packed_mask", "without causality a query reads later keys of its document", see="11.6")
def packed_mask(document, window):
    def mask_mod(b, h, q_idx, kv_idx):
        same = (document[b, q_idx] == document[b, kv_idx]) & (document[b, q_idx] >= 0)
        return same & (q_idx - kv_idx < window)

    return mask_mod


@mistake("packed_mask", "the window is one key too wide", see="11.6")
def packed_mask(document, window):
    def mask_mod(b, h, q_idx, kv_idx):
        same = (document[b, q_idx] == document[b, kv_idx]) & (document[b, q_idx] >= 0)
        return same & (kv_idx <= q_idx) & (q_idx - kv_idx <= window)

    return mask_mod


@mistake("packed_mask", "padding reads padding: -1 equals -1", see="11.6")
def packed_mask(document, window):
    def mask_mod(b, h, q_idx, kv_idx):
        same = document[b, q_idx] == document[b, kv_idx]
        return same & (kv_idx <= q_idx) & (q_idx - kv_idx < window)

    return mask_mod


@mistake("packed_mask", "every row of the batch gets the documents of row 0", see="11.6")
def packed_mask(document, window):
    def mask_mod(b, h, q_idx, kv_idx):
        same = (document[0, q_idx] == document[0, kv_idx]) & (document[0, q_idx] >= 0)
        return same & (kv_idx <= q_idx) & (q_idx - kv_idx < window)

    return mask_mod


@mistake("packed_mask", "documents are compared with ≤: a query reads all earlier documents", see="11.6")
def packed_mask(document, window):
    def mask_mod(b, h, q_idx, kv_idx):
        same = (document[b, kv_idx] <= document[b, q_idx]) & (document[b, kv_idx] >= 0)
        return same & (kv_idx <= q_idx) & (q_idx - kv_idx < window)

    return mask_mod


@mistake("packed_mask", "`and` asks a traced tensor for a Python bool; write &", see="11.6")
def packed_mask(document, window):
    def mask_mod(b, h, q_idx, kv_idx):
        return document[b, q_idx] == document[b, kv_idx] and kv_idx <= q_idx and q_idx - kv_idx < window

    return mask_mod


@accepted("packed_mask", "conditions combined by and_masks")
def packed_mask(document, window):
    from torch.nn.attention.flex_attention import and_masks

    return and_masks(
        lambda b, h, i, j: document[b, i] == document[b, j],
        lambda b, h, i, j: document[b, j] != -1,
        lambda b, h, i, j: (i >= j) & (i < j + window),
    )


@accepted("packed_mask", "padding made unequal to everything beforehand")
def packed_mask(document, window):
    asks = torch.where(document < 0, -2, document)

    def mask_mod(batch, head, query, key):
        behind = query - key
        return (asks[batch, query] == document[batch, key]) & (behind >= 0) & (behind < window)

    return mask_mod


# 11.7 varlen_attention


def varlen(q, k, v, starts, scale_of, diagonal, last=True):
    out = torch.zeros_like(q)
    pairs = list(zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True))
    for start, end in pairs if last else pairs[:-1]:
        queries, keys, values = (t[start:end].transpose(0, 1) for t in (q, k, v))
        scores = queries @ keys.mT / scale_of(keys)
        hidden = torch.ones(end - start, end - start, dtype=torch.bool).triu(diagonal)
        scores = scores.masked_fill(hidden, torch.finfo(scores.dtype).min)
        out[start:end] = (scores.softmax(-1) @ values).transpose(0, 1)
    return out


@mistake("varlen_attention", "the last document is never computed", see="11.7")
def varlen_attention(q, k, v, starts):
    return varlen(q, k, v, starts, lambda keys: math.sqrt(keys.shape[-1]), 1, last=False)


@mistake("varlen_attention", "scores are divided by the root of the document's length instead of the width", see="11.7")
def varlen_attention(q, k, v, starts):
    return varlen(q, k, v, starts, lambda keys: math.sqrt(max(keys.shape[1], 1)), 1)


@mistake("varlen_attention", "the mask hides the diagonal: a position must read itself", see="11.7")
def varlen_attention(q, k, v, starts):
    return varlen(q, k, v, starts, lambda keys: math.sqrt(keys.shape[-1]), 0)


@mistake("varlen_attention", "documents are not kept apart: one causal attention over everything", see="11.7")
def varlen_attention(q, k, v, starts):
    return F.scaled_dot_product_attention(*(t.transpose(0, 1) for t in (q, k, v)), is_causal=True).transpose(0, 1)


@mistake("varlen_attention", "heads attend to heads: they must be moved to the front first", see="11.7")
def varlen_attention(q, k, v, starts):
    parts = zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
    return torch.cat([F.scaled_dot_product_attention(q[a:b], k[a:b], v[a:b], is_causal=True) for a, b in parts])


@accepted("varlen_attention", "torch's operator for each document")
def varlen_attention(q, k, v, starts):
    lengths = starts.diff().tolist()
    parts = zip(*(t.transpose(0, 1).split(lengths, 1) for t in (q, k, v)), strict=True)
    return torch.cat([F.scaled_dot_product_attention(*part, is_causal=True) for part in parts], 1).transpose(0, 1)


@accepted("varlen_attention", "one table with a mask of documents")
def varlen_attention(q, k, v, starts):
    total = q.shape[0]
    owner = torch.repeat_interleave(torch.arange(len(starts) - 1), starts.diff())
    visible = (owner[:, None] == owner) & torch.ones(total, total, dtype=torch.bool).tril()
    scores = torch.einsum("ihd,jhd->hij", q, k) / q.shape[-1] ** 0.5
    return torch.einsum("hij,jhd->ihd", scores.masked_fill(~visible, -math.inf).softmax(-1), v)


# 11.8 flash_forward


@triton.jit
def one_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    o_ptr,
    lse_ptr,
    n,
    m,
    scale,
    d: tl.constexpr,
    causal: tl.constexpr,
    block_q: tl.constexpr,
    block_k: tl.constexpr,
    bug: tl.constexpr,
):
    block, head = tl.program_id(0), tl.program_id(1)
    rows = block * block_q + tl.arange(0, block_q)
    across = tl.arange(0, d)
    own = (head * n + rows[:, None]) * d + across[None, :]
    q = tl.load(q_ptr + own, mask=rows[:, None] < n, other=0.0)
    largest = tl.full((block_q,), float("-inf"), tl.float32)
    if bug == 1:
        largest = tl.zeros((block_q,), tl.float32)
    total = tl.zeros((block_q,), tl.float32)
    mixed = tl.zeros((block_q, d), tl.float32)
    end = m
    if causal and bug != 2:
        end = tl.minimum(m, (block + 1) * block_q)
    for left in range(0, end, block_k):
        keys = left + tl.arange(0, block_k)
        theirs = (head * m + keys[:, None]) * d + across[None, :]
        k = tl.load(k_ptr + theirs, mask=keys[:, None] < end, other=0.0)
        if bug == 3:
            scores = tl.sum(q[:, None, :].to(tl.float32) * k[None, :, :].to(tl.float32), 2) * scale
        elif bug == 9:
            scores = tl.dot(q.to(tl.float32), tl.trans(k.to(tl.float32))) * scale
        else:
            scores = tl.dot(q, tl.trans(k)) * scale
        allowed = keys[None, :] < end
        if bug == 4:
            allowed = keys[None, :] >= 0
        if causal and bug != 5:
            allowed = allowed & (keys[None, :] <= rows[:, None])
        scores = tl.where(allowed, scores, float("-inf"))
        new = tl.maximum(largest, tl.max(scores, 1))
        shrink = tl.exp(largest - new)
        weights = tl.exp(scores - new[:, None])
        if bug != 6:
            total = total * shrink
        total += tl.sum(weights, 1)
        v = tl.load(v_ptr + theirs, mask=keys[:, None] < end, other=0.0)
        if bug == 7:
            mixed = mixed + tl.dot(weights.to(v.dtype), v)
        elif bug == 3:
            mixed = mixed * shrink[:, None] + tl.sum(weights[:, :, None] * v[None, :, :].to(tl.float32), 1)
        elif bug == 9:
            mixed = mixed * shrink[:, None] + tl.dot(weights, v.to(tl.float32))
        else:
            mixed = mixed * shrink[:, None] + tl.dot(weights.to(v.dtype), v)
        largest = new
        if bug == 8:
            tl.store(o_ptr + own, (mixed / total[:, None]).to(q.dtype), mask=rows[:, None] < n)
    tl.store(o_ptr + own, (mixed / total[:, None]).to(q.dtype), mask=rows[:, None] < n)
    if bug == 10:
        tl.store(lse_ptr + head * n + rows, tl.log(total), mask=rows < n)
    else:
        tl.store(lse_ptr + head * n + rows, largest + tl.log(total), mask=rows < n)


def launch(q, k, v, causal, block_q, block_k, bug, scale=None):
    heads, n, d = q.shape
    o, lse = torch.empty_like(q), torch.empty(heads, n, dtype=torch.float32, device=q.device)
    scale = d**-0.5 if scale is None else scale
    grid = (triton.cdiv(n, block_q), heads)
    one_kernel[grid](q, k, v, o, lse, n, k.shape[1], scale, d, causal, block_q, block_k, bug)
    return o, lse


@mistake("flash_forward", "the running maximum starts at 0: low scores lose their digits or vanish", see="11.2")
def flash_forward(q, k, v, causal=False, block_q=64, block_k=64):
    return launch(q, k, v, causal, block_q, block_k, 1)


@mistake("flash_forward", "causal programs run over all keys instead of stopping at the diagonal", see="11.8")
def flash_forward(q, k, v, causal=False, block_q=64, block_k=64):
    return launch(q, k, v, causal, block_q, block_k, 2)


@mistake("flash_forward", "products are summed by hand instead of tl.dot: no tensor cores", see="11.8")
def flash_forward(q, k, v, causal=False, block_q=64, block_k=64):
    return launch(q, k, v, causal, block_q, block_k, 3)


@mistake("flash_forward", "masked-off keys are loaded as 0 and still get weight: their scores must be -inf", see="11.8")
def flash_forward(q, k, v, causal=False, block_q=64, block_k=64):
    return launch(q, k, v, causal, block_q, block_k, 4)


@mistake("flash_forward", "the causal mask inside the tile on the diagonal is missing", see="11.8")
def flash_forward(q, k, v, causal=False, block_q=64, block_k=64):
    return launch(q, k, v, causal, block_q, block_k, 5)


@mistake("flash_forward", "the sum is not rescaled when the largest score grows", see="11.2")
def flash_forward(q, k, v, causal=False, block_q=64, block_k=64):
    return launch(q, k, v, causal, block_q, block_k, 6)


@mistake("flash_forward", "the output so far is not rescaled when the largest score grows", see="11.3")
def flash_forward(q, k, v, causal=False, block_q=64, block_k=64):
    return launch(q, k, v, causal, block_q, block_k, 7)


@mistake("flash_forward", "the output is stored in every round of the loop instead of once at the end", see="11.8")
def flash_forward(q, k, v, causal=False, block_q=64, block_k=64):
    return launch(q, k, v, causal, block_q, block_k, 8)


@mistake("flash_forward", "lse is log(total) without the maximum that total is relative to", see="11.2")
def flash_forward(q, k, v, causal=False, block_q=64, block_k=64):
    return launch(q, k, v, causal, block_q, block_k, 10)


@mistake("flash_forward", "the scores are not divided by √d", see="11.8")
def flash_forward(q, k, v, causal=False, block_q=64, block_k=64):
    return launch(q, k, v, causal, block_q, block_k, 0, scale=1.0)


@accepted("flash_forward", "another kernel signature")
def flash_forward(q, k, v, causal=False, block_q=64, block_k=64):
    return launch(q, k, v, causal, block_q, block_k, 0)


@triton.jit
def base_two_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    o_ptr,
    lse_ptr,
    n,
    m,
    scale,
    d: tl.constexpr,
    causal: tl.constexpr,
    block_q: tl.constexpr,
    block_k: tl.constexpr,
):
    head, first = tl.program_id(1), tl.program_id(0) * block_q
    i, c = first + tl.arange(0, block_q), tl.arange(0, d)
    q = tl.load(q_ptr + head * n * d + i[:, None] * d + c[None, :], mask=i[:, None] < n, other=0.0)
    top = tl.full((block_q, 1), float("-inf"), tl.float32)
    total = tl.zeros((block_q, 1), tl.float32)
    out = tl.zeros((block_q, d), tl.float32)
    stop = tl.minimum(m, first + block_q) if causal else m
    for start in range(0, stop, block_k):
        j = start + tl.arange(0, block_k)
        k = tl.load(k_ptr + head * m * d + c[:, None] + j[None, :] * d, mask=j[None, :] < stop, other=0.0)
        v = tl.load(v_ptr + head * m * d + j[:, None] * d + c[None, :], mask=j[:, None] < stop, other=0.0)
        s = tl.dot(q, k) * (scale * 1.4426950408889634)
        s = tl.where(j[None, :] < stop, s, float("-inf"))
        if causal:
            s = tl.where(j[None, :] <= i[:, None], s, float("-inf"))
        new = tl.maximum(top, tl.max(s, 1, keep_dims=True))
        p = tl.exp2(s - new)
        out = out * tl.exp2(top - new)
        out = tl.dot(p.to(v.dtype), v, out)
        total = total * tl.exp2(top - new) + tl.sum(p, 1, keep_dims=True)
        top = new
    tl.store(o_ptr + head * n * d + i[:, None] * d + c[None, :], (out / total).to(q.dtype), mask=i[:, None] < n)
    lse = (top + tl.log2(total)) * 0.6931471805599453
    tl.store(lse_ptr + head * n + i[:, None], lse, mask=i[:, None] < n)


@accepted("flash_forward", "base 2, keys loaded transposed")
def flash_forward(q, k, v, causal=False, block_q=64, block_k=64):
    heads, n, d = q.shape
    o, lse = torch.empty_like(q), q.new_empty(heads, n, dtype=torch.float32)
    grid = (triton.cdiv(n, block_q), heads)
    base_two_kernel[grid](q, k, v, o, lse, n, k.shape[1], d**-0.5, d, causal, block_q, block_k)
    return o, lse
