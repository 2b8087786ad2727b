"""Wrong and right ways to write the exercises of lesson 13."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torchgrade.lessons import accepted, mistake

# 13.1 moe_parameters


@mistake("moe_parameters", "the router scores all experts, so all of it is used, not k columns", see="13.1")
def moe_parameters(d, hidden, experts, k, shared=0):
    expert = 3 * d * hidden
    return (experts + shared) * expert + d * experts, (k + shared) * expert + d * k


@mistake("moe_parameters", "the router is a matrix of d x experts and is missing from both sizes", see="13.1")
def moe_parameters(d, hidden, experts, k, shared=0):
    return (experts + shared) * 3 * d * hidden, (k + shared) * 3 * d * hidden


@mistake("moe_parameters", "a SwiGLU expert has three matrices, not two", see="13.1")
def moe_parameters(d, hidden, experts, k, shared=0):
    expert, router = 2 * d * hidden, d * experts
    return (experts + shared) * expert + router, (k + shared) * expert + router


@mistake("moe_parameters", "shared experts are used by every token; they are not only stored", see="13.1")
def moe_parameters(d, hidden, experts, k, shared=0):
    expert, router = 3 * d * hidden, d * experts
    return (experts + shared) * expert + router, k * expert + router


@mistake("moe_parameters", "nobody chooses shared experts: they need no column in the router", see="13.1")
def moe_parameters(d, hidden, experts, k, shared=0):
    expert, router = 3 * d * hidden, d * (experts + shared)
    return (experts + shared) * expert + router, (k + shared) * expert + router


@accepted("moe_parameters", "counts the elements of tensors on the meta device")
def moe_parameters(d, hidden, experts, k, shared=0):
    expert = sum(torch.empty(*size, device="meta").numel() for size in ((d, hidden), (d, hidden), (hidden, d)))
    router = torch.empty(d, experts, device="meta").numel()
    stored = (experts + shared) * expert + router
    return stored, stored - (experts - k) * expert


@accepted("moe_parameters", "one term after the other")
def moe_parameters(d, hidden, experts, k, shared=0):
    sizes = []
    for running in (experts, k):
        size = d * experts
        for _ in range(running + shared):
            size += 3 * d * hidden
        sizes.append(size)
    return tuple(sizes)


# 13.2 route_topk


@mistake("route_topk", "softmax runs over the tokens; each token's probabilities sum to 1 over the experts", see="13.2")
def route_topk(logits, k, renormalize=True):
    weights, idx = logits.float().softmax(0).topk(k, -1)
    return idx, weights / weights.sum(-1, keepdim=True) if renormalize else weights


@mistake("route_topk", "the weights are always renormalized; a top-1 router then learns nothing", see="13.2")
def route_topk(logits, k, renormalize=True):
    largest, idx = logits.float().topk(k, -1)
    return idx, largest.softmax(-1)


@mistake("route_topk", "the weights are never renormalized", see="13.2")
def route_topk(logits, k, renormalize=True):
    logits = logits.float()
    idx = logits.topk(k, -1).indices
    return idx, logits.softmax(-1).gather(-1, idx)


@mistake("route_topk", "it chooses among probabilities, and those of far apart logits are all 0", see="13.2")
def route_topk(logits, k, renormalize=True):
    probabilities = logits.float().softmax(-1)
    idx = probabilities.argsort(-1, descending=True, stable=True)[..., :k]
    weights = probabilities.gather(-1, idx)
    return idx, weights / weights.sum(-1, keepdim=True) if renormalize else weights


@mistake("route_topk", "softmax is computed in bfloat16, whose probabilities have 8 significant bits", see="13.2")
def route_topk(logits, k, renormalize=True):
    largest, idx = logits.topk(k, -1)
    weights = largest.softmax(-1) if renormalize else logits.softmax(-1).gather(-1, idx)
    return idx, weights.float()


@mistake("route_topk", "the weights are detached: the router gets no gradient at all", see="13.2")
def route_topk(logits, k, renormalize=True):
    logits = logits.float()
    largest, idx = logits.topk(k, -1)
    weights = largest.softmax(-1) if renormalize else logits.softmax(-1).gather(-1, idx)
    return idx, weights.detach()


@mistake("route_topk", "the experts come in the order of their numbers, not largest first", see="13.2")
def route_topk(logits, k, renormalize=True):
    logits = logits.float()
    idx = logits.topk(k, -1).indices.sort(-1).values
    weights = logits.softmax(-1).gather(-1, idx)
    return idx, weights / weights.sum(-1, keepdim=True) if renormalize else weights


@mistake(
    "route_topk", "each probability is a sigmoid of its own logit instead of a softmax over the experts", see="13.2"
)
def route_topk(logits, k, renormalize=True):
    largest, idx = logits.float().topk(k, -1)
    weights = largest.sigmoid()
    return idx, weights / weights.sum(-1, keepdim=True) if renormalize else weights


@accepted("route_topk", "sorts all logits")
def route_topk(logits, k, renormalize=True):
    ordered, order = logits.float().sort(-1, descending=True)
    weights = (ordered[..., :k] if renormalize else ordered).softmax(-1)[..., :k]
    return order[..., :k], weights


@accepted("route_topk", "softmax by hand, relative to the log-sum-exp")
def route_topk(logits, k, renormalize=True):
    logits = logits.to(torch.float32)
    largest, idx = torch.topk(logits, k)
    total = (largest if renormalize else logits).logsumexp(-1, keepdim=True)
    return idx, (largest - total).exp()


# 13.3 moe_forward


@mistake("moe_forward", "every expert computes every token and most of it is multiplied by 0", see="13.3")
def moe_forward(x, idx, weights, experts):
    gates = weights.new_zeros(len(x), len(experts)).scatter(1, idx, weights)
    return sum(gates[:, e, None] * expert(x) for e, expert in enumerate(experts))


@mistake("moe_forward", "an expert without tokens is called with no rows; skip it", see="13.3")
def moe_forward(x, idx, weights, experts):
    tokens, parts = [], []
    for number, expert in enumerate(experts):
        token, choice = torch.where(idx == number)
        tokens.append(token)
        parts.append(weights[token, choice, None] * expert(x[token]))
    rows = torch.cat(parts)
    return rows.new_zeros(len(x), rows.shape[1]).index_add(0, torch.cat(tokens), rows)


@mistake("moe_forward", "results are assigned, so only a token's last expert remains; they must be added", see="13.3")
def moe_forward(x, idx, weights, experts):
    out = None
    for number, expert in enumerate(experts):
        token, choice = torch.where(idx == number)
        if len(token):
            rows = weights[token, choice, None] * expert(x[token])
            out = rows.new_zeros(len(x), rows.shape[1]) if out is None else out.clone()
            out[token] = rows
    return out


@mistake("moe_forward", "the experts' outputs are added without their weights", see="13.3")
def moe_forward(x, idx, weights, experts):
    tokens, parts = [], []
    for number, expert in enumerate(experts):
        token, _ = torch.where(idx == number)
        if len(token):
            tokens.append(token)
            parts.append(expert(x[token]))
    rows = torch.cat(parts)
    return rows.new_zeros(len(x), rows.shape[1]).index_add(0, torch.cat(tokens), rows)


@mistake("moe_forward", "the weight multiplies the expert's input; experts are not linear", see="13.3")
def moe_forward(x, idx, weights, experts):
    tokens, parts = [], []
    for number, expert in enumerate(experts):
        token, choice = torch.where(idx == number)
        if len(token):
            tokens.append(token)
            parts.append(expert(weights[token, choice, None] * x[token]))
    rows = torch.cat(parts)
    return rows.new_zeros(len(x), rows.shape[1]).index_add(0, torch.cat(tokens), rows)


@mistake("moe_forward", "each row gets the weight of its token's first choice", see="13.3")
def moe_forward(x, idx, weights, experts):
    tokens, parts = [], []
    for number, expert in enumerate(experts):
        token, _ = torch.where(idx == number)
        if len(token):
            tokens.append(token)
            parts.append(weights[token, :1] * expert(x[token]))
    rows = torch.cat(parts)
    return rows.new_zeros(len(x), rows.shape[1]).index_add(0, torch.cat(tokens), rows)


@mistake("moe_forward", "the weights are detached, so the router cannot learn", see="13.2")
def moe_forward(x, idx, weights, experts):
    tokens, parts = [], []
    for number, expert in enumerate(experts):
        token, choice = torch.where(idx == number)
        if len(token):
            tokens.append(token)
            parts.append(weights.detach()[token, choice, None] * expert(x[token]))
    rows = torch.cat(parts)
    return rows.new_zeros(len(x), rows.shape[1]).index_add(0, torch.cat(tokens), rows)


@mistake("moe_forward", "one call per token: each expert gets its tokens together, in one call", see="13.3")
def moe_forward(x, idx, weights, experts):
    rows = []
    for t in range(len(x)):
        rows.append(sum(weights[t, i] * experts[e](x[t : t + 1])[0] for i, e in enumerate(idx[t].tolist())))
    return torch.stack(rows)


@mistake("moe_forward", "the residual is added; that is the block's business, not the layer's", see="13.5")
def moe_forward(x, idx, weights, experts):
    out = x
    for number, expert in enumerate(experts):
        token, choice = torch.where(idx == number)
        if len(token):
            out = out.index_add(0, token, weights[token, choice, None] * expert(x[token]))
    return out


@accepted("moe_forward", "a boolean mask per expert, added with index_put")
def moe_forward(x, idx, weights, experts):
    out = None
    for e in idx.unique().tolist():
        chosen = (idx == e).any(1)
        rows = experts[e](x[chosen]) * (weights * (idx == e)).sum(1)[chosen, None]
        if out is None:
            out = rows.new_zeros(len(x), rows.shape[1])
        out = out.index_put((chosen.nonzero()[:, 0],), rows, accumulate=True)
    return out


@accepted("moe_forward", "sorted by expert, and split")
def moe_forward(x, idx, weights, experts):
    k = idx.shape[1]
    order = idx.flatten().argsort()
    counts = idx.flatten().bincount(minlength=len(experts)).tolist()
    segments = zip(experts, x[order // k].split(counts), strict=True)
    rows = torch.cat([expert(part) for expert, part in segments if len(part)])
    rows = rows[order.argsort()] * weights.flatten()[:, None]
    return rows.unflatten(0, (-1, k)).sum(1)


# 13.4 router_losses


def losses(logits, idx, *, f_sum=1.0, square=True, wide=True):
    experts, logits = logits.shape[1], logits.float() if wide else logits
    share = idx.flatten().bincount(minlength=experts) / idx.numel() * f_sum
    total = logits.logsumexp(-1)
    z = total.square().mean() if square else total.mean()
    return (experts * (share * logits.softmax(-1).mean(0)).sum()).float(), z.float()


@mistake("router_losses", "f sums to k: divide the counts by tokens times k", see="13.4")
def router_losses(logits, idx):
    return losses(logits, idx, f_sum=idx.shape[1])


@mistake("router_losses", "the factor E is missing, so a balanced router gives 1/E", see="13.4")
def router_losses(logits, idx):
    balance, z = losses(logits, idx)
    return balance / logits.shape[1], z


@mistake("router_losses", "the log-sum-exp of the z-loss is not squared", see="13.4")
def router_losses(logits, idx):
    return losses(logits, idx, square=False)


@mistake("router_losses", "the mean is squared; the z-loss is the mean of the squares", see="13.4")
def router_losses(logits, idx):
    balance, _ = losses(logits, idx)
    return balance, logits.float().logsumexp(-1).mean().square()


@mistake("router_losses", "only first choices are counted in f", see="13.4")
def router_losses(logits, idx):
    return losses(logits, idx[:, :1])[0], losses(logits, idx)[1]


@mistake(
    "router_losses", "P takes the probabilities of the chosen experts only; the mean is over all tokens", see="13.4"
)
def router_losses(logits, idx):
    experts, logits = logits.shape[1], logits.float()
    share = idx.flatten().bincount(minlength=experts) / idx.numel()
    kept = torch.zeros_like(logits).scatter(1, idx, 1.0) * logits.softmax(-1)
    return experts * (share * kept.mean(0)).sum(), logits.logsumexp(-1).square().mean()


@mistake("router_losses", "both factors are counts, so the balancing loss has no gradient", see="13.4")
def router_losses(logits, idx):
    balance, z = losses(logits, idx)
    return balance.detach() + 0 * logits.sum(), z


@mistake("router_losses", "f is a soft share too: P times P, which lets gradients through both factors", see="13.4")
def router_losses(logits, idx):
    mean = logits.float().softmax(-1).mean(0)
    return logits.shape[1] * mean.square().sum(), losses(logits, idx)[1]


@mistake("router_losses", "the losses are computed in bfloat16", see="13.4")
def router_losses(logits, idx):
    return losses(logits, idx, wide=False)


@mistake("router_losses", "exp overflows for large logits; logsumexp subtracts the largest first", see="13.4")
def router_losses(logits, idx):
    e = logits.float().exp().square().sum(-1)
    return losses(logits, idx)[0], logits.float().exp().sum(-1).log().square().mean() + 0 * e.mean()


@accepted("router_losses", "one-hot counts, and log-softmax")
def router_losses(logits, idx):
    logits = logits.float()
    share = F.one_hot(idx, logits.shape[1]).float().mean((0, 1))
    log_p = logits.log_softmax(-1)
    z = (logits - log_p).mean(-1)  # every expert's difference is the log-sum-exp
    return logits.shape[1] * (share @ log_p.exp().mean(0)), (z * z).mean()


@accepted("router_losses", "counts by scatter, in float64")
def router_losses(logits, idx):
    wide = logits.double()
    load = torch.zeros(logits.shape[1], dtype=torch.float64).scatter_add(
        0, idx.reshape(-1), torch.ones(idx.numel(), dtype=torch.float64)
    )
    balance = len(load) * torch.dot(load / load.sum(), wide.softmax(1).sum(0) / len(wide))
    return balance.float(), torch.logsumexp(wide, 1).pow(2).mean().float()


# 13.5 capacity_slots


@mistake("capacity_slots", "a token's second choice is served before the next token's first choice", see="13.5")
def capacity_slots(idx, experts, capacity):
    served = idx.flatten()
    place = F.one_hot(served, experts).cumsum(0).gather(1, served[:, None]).squeeze(1) - 1
    return torch.where(place < capacity, place, -1).view_as(idx)


@mistake("capacity_slots", "one more than the capacity fits: places end at capacity - 1", see="13.5")
def capacity_slots(idx, experts, capacity):
    served = idx.T.flatten()
    place = F.one_hot(served, experts).cumsum(0).gather(1, served[:, None]).squeeze(1) - 1
    return torch.where(place <= capacity, place, -1).view(idx.shape[1], len(idx)).T


@mistake("capacity_slots", "places count from 1; a buffer begins at 0", see="13.5")
def capacity_slots(idx, experts, capacity):
    served = idx.T.flatten()
    place = F.one_hot(served, experts).cumsum(0).gather(1, served[:, None]).squeeze(1)
    return torch.where(place <= capacity, place, -1).view(idx.shape[1], len(idx)).T


@mistake("capacity_slots", "each column counts for itself: second choices overwrite the first ones' slots", see="13.5")
def capacity_slots(idx, experts, capacity):
    columns = []
    for served in idx.T:
        place = F.one_hot(served, experts).cumsum(0).gather(1, served[:, None]).squeeze(1) - 1
        columns.append(torch.where(place < capacity, place, -1))
    return torch.stack(columns, 1)


@mistake("capacity_slots", "tokens that find the buffer full share its last slot instead of being dropped", see="13.5")
def capacity_slots(idx, experts, capacity):
    served = idx.T.flatten()
    place = F.one_hot(served, experts).cumsum(0).gather(1, served[:, None]).squeeze(1) - 1
    return place.clamp(max=capacity - 1).view(idx.shape[1], len(idx)).T


@mistake("capacity_slots", "served column by column, but put back row by row", see="13.5")
def capacity_slots(idx, experts, capacity):
    served = idx.T.flatten()
    place = F.one_hot(served, experts).cumsum(0).gather(1, served[:, None]).squeeze(1) - 1
    return torch.where(place < capacity, place, -1).view_as(idx)


@accepted("capacity_slots", "a loop with a counter per expert")
def capacity_slots(idx, experts, capacity):
    taken, slots = [0] * experts, torch.full_like(idx, -1)
    for column in range(idx.shape[1]):
        for token, e in enumerate(idx[:, column].tolist()):
            if taken[e] < capacity:
                slots[token, column] = taken[e]
            taken[e] += 1
    return slots


@accepted("capacity_slots", "a stable sort by expert, minus the start of each segment")
def capacity_slots(idx, experts, capacity):
    served = idx.T.reshape(-1)
    order = served.argsort(stable=True)
    counts = served.bincount(minlength=experts)
    place = torch.empty_like(served)
    place[order] = torch.arange(len(served)) - (counts.cumsum(0) - counts)[served[order]]
    place[place >= capacity] = -1
    return place.reshape(idx.shape[1], -1).T.contiguous()


# 13.6 biased_route


def steered(scores, bias, k, step, *, choose=1.0, weigh=0.0, divide=True, by=torch.sign, idle=True):
    idx = (scores + choose * bias).topk(k, -1).indices
    picked = (scores + weigh * bias).gather(-1, idx)
    load = idx.flatten().bincount(minlength=len(bias)).float()
    mean = load.mean() if idle else load[load > 0].mean()
    return idx, picked / picked.sum(-1, keepdim=True) if divide else picked, bias + step * by(mean - load)


@mistake("biased_route", "the bias also changes the weights; it may only decide who is chosen", see="13.6")
def biased_route(scores, bias, k, step):
    return steered(scores, bias, k, step, weigh=1.0)


@mistake("biased_route", "the bias is ignored in the choice, so it cannot steer", see="13.6")
def biased_route(scores, bias, k, step):
    return steered(scores, bias, k, step, choose=0.0)


@mistake("biased_route", "the weights are not divided by their sum", see="13.6")
def biased_route(scores, bias, k, step):
    return steered(scores, bias, k, step, divide=False)


@mistake("biased_route", "the sign is turned around: busy experts get busier", see="13.6")
def biased_route(scores, bias, k, step):
    return steered(scores, bias, k, step, by=lambda missing: -missing.sign())


@mistake("biased_route", "the step is proportional to the load; only its sign counts", see="13.6")
def biased_route(scores, bias, k, step):
    return steered(scores, bias, k, step, by=lambda missing: missing)


@mistake("biased_route", "the bias is updated in place; a new tensor was asked for", see="13.6")
def biased_route(scores, bias, k, step):
    idx, weights, new = steered(scores, bias, k, step)
    bias.copy_(new)
    return idx, weights, bias


@mistake("biased_route", "an expert with exactly the mean load is changed; it must stay as it is", see="13.6")
def biased_route(scores, bias, k, step):
    return steered(scores, bias, k, step, by=lambda missing: torch.where(missing < 0, -1.0, 1.0))


@mistake("biased_route", "only busy experts are lowered; idle ones must be raised as well", see="13.6")
def biased_route(scores, bias, k, step):
    return steered(scores, bias, k, step, by=lambda missing: missing.sign().clamp(max=0))


@mistake("biased_route", "the mean is taken over the experts that have tokens; idle ones count as 0", see="13.6")
def biased_route(scores, bias, k, step):
    return steered(scores, bias, k, step, idle=False)


@accepted("biased_route", "a full sort, and comparisons instead of a sign")
def biased_route(scores, bias, k, step):
    idx = torch.argsort(scores + bias, dim=1, descending=True)[:, :k]
    picked = scores[torch.arange(len(scores))[:, None], idx]
    load, mean = F.one_hot(idx, len(bias)).sum((0, 1)), idx.numel() / len(bias)
    return idx, picked / picked.sum(1, keepdim=True), bias + step * (load < mean) - step * (load > mean)


@accepted("biased_route", "L1 normalization, and a loop over the experts")
def biased_route(scores, bias, k, step):
    idx, new = torch.topk(bias + scores, k, dim=1)[1], bias.clone()
    for e in range(len(bias)):
        missing = idx.numel() - len(bias) * int((idx == e).sum())
        new[e] += step * ((missing > 0) - (missing < 0))
    return idx, F.normalize(torch.take_along_dim(scores, idx, 1), p=1, dim=1), new


# 13.7 grouped_forward


def sort_choices(idx, experts):
    order = idx.flatten().argsort(stable=True)
    return order, order // idx.shape[1], idx.flatten().bincount(minlength=experts)


@mistake("grouped_forward", "every expert computes every token and most of it is multiplied by 0", see="13.7")
def grouped_forward(x, idx, weights, w1, w2):
    out = torch.zeros_like(x)
    for e in range(len(w1)):
        gate = (weights * (idx == e)).sum(1, keepdim=True)
        out = out + gate * ((x @ w1[e]).relu() @ w2[e])
    return out


@mistake(
    "grouped_forward", "experts are padded to the busiest one: with skewed routing that is most of the work", see="13.7"
)
def grouped_forward(x, idx, weights, w1, w2):
    order, token, counts = sort_choices(idx, len(w1))
    expert = idx.flatten()[order]
    slot = torch.arange(len(order)) - (counts.cumsum(0) - counts)[expert]
    buffer = x.new_zeros(len(w1), int(counts.max()), x.shape[1]).index_put((expert, slot), x[token])
    rows = ((buffer @ w1).relu() @ w2)[expert, slot] * weights.flatten()[order, None]
    return torch.zeros_like(x).index_add(0, token, rows)


@mistake("grouped_forward", "each choice gets its own copy of its expert's matrices", see="13.7")
def grouped_forward(x, idx, weights, w1, w2):
    hidden = torch.einsum("td,tkdh->tkh", x, w1[idx]).relu()
    return torch.einsum("tkh,tkhd,tk->td", hidden, w2[idx], weights)


@mistake("grouped_forward", "the rows are never sorted back: they stay in the order of the experts", see="13.7")
def grouped_forward(x, idx, weights, w1, w2):
    order, token, counts = sort_choices(idx, len(w1))
    ends = counts.cumsum(0).int()
    rows = F.grouped_mm(F.grouped_mm(x[token], w1, offs=ends).relu(), w2, offs=ends)
    return (rows * weights.flatten()[order, None]).unflatten(0, (-1, idx.shape[1])).sum(1)


@mistake("grouped_forward", "the weights stay in the tokens' order while the rows are sorted by expert", see="13.7")
def grouped_forward(x, idx, weights, w1, w2):
    _, token, counts = sort_choices(idx, len(w1))
    ends = counts.cumsum(0).int()
    rows = F.grouped_mm(F.grouped_mm(x[token], w1, offs=ends).relu(), w2, offs=ends)
    return torch.zeros_like(x).index_add(0, token, rows * weights.flatten()[:, None])


@mistake("grouped_forward", "choice c belongs to token c // k, not to token c % tokens", see="13.7")
def grouped_forward(x, idx, weights, w1, w2):
    order, _, counts = sort_choices(idx, len(w1))
    token, ends = order % len(x), counts.cumsum(0).int()
    rows = F.grouped_mm(F.grouped_mm(x[token], w1, offs=ends).relu(), w2, offs=ends)
    return torch.zeros_like(x).index_add(0, token, rows * weights.flatten()[order, None])


@mistake("grouped_forward", "a token's rows are assigned, so only one of its k experts remains", see="13.3")
def grouped_forward(x, idx, weights, w1, w2):
    order, token, counts = sort_choices(idx, len(w1))
    ends = counts.cumsum(0).int()
    rows = F.grouped_mm(F.grouped_mm(x[token], w1, offs=ends).relu(), w2, offs=ends)
    return torch.zeros_like(x).index_put((token,), rows * weights.flatten()[order, None])


@mistake("grouped_forward", "idle experts are left out of the counts, so segments meet the wrong matrices", see="13.7")
def grouped_forward(x, idx, weights, w1, w2):
    order, token, counts = sort_choices(idx, len(w1))
    parts = [(part @ w1[e]).relu() @ w2[e] for e, part in enumerate(x[token].split(counts[counts > 0].tolist()))]
    return torch.zeros_like(x).index_add(0, token, torch.cat(parts) * weights.flatten()[order, None])


@mistake("grouped_forward", "the weights are detached, so the router cannot learn", see="13.2")
def grouped_forward(x, idx, weights, w1, w2):
    order, token, counts = sort_choices(idx, len(w1))
    ends = counts.cumsum(0).int()
    rows = F.grouped_mm(F.grouped_mm(x[token], w1, offs=ends).relu(), w2, offs=ends)
    return torch.zeros_like(x).index_add(0, token, rows * weights.detach().flatten()[order, None])


@accepted("grouped_forward", "one product per non-empty segment")
def grouped_forward(x, idx, weights, w1, w2):
    order, token, counts = sort_choices(idx, len(w1))
    parts = [
        (part @ first).relu() @ second
        for part, first, second in zip(x[token].split(counts.tolist()), w1, w2, strict=True)
        if len(part)
    ]
    return torch.zeros_like(x).index_add(0, token, torch.cat(parts) * weights.flatten()[order, None])


@accepted("grouped_forward", "the rows go back by the inverse permutation, and a token's k rows are summed")
def grouped_forward(x, idx, weights, w1, w2):
    order, token, counts = sort_choices(idx, len(w1))
    ends = counts.cumsum(0).to(torch.int32)
    rows = F.grouped_mm(F.relu(F.grouped_mm(x[token], w1, offs=ends)), w2, offs=ends)
    return (rows[order.argsort()].unflatten(0, idx.shape) * weights[..., None]).sum(1)


# 13.9 MoE


class Base(nn.Module):
    """A right one, with places to go wrong."""

    renormalize, spread, same = False, True, False

    def __init__(self, d, hidden, d_out, experts, k):
        super().__init__()
        self.k, self.router = k, nn.Linear(d, experts)
        first, second = (d**-0.5, hidden**-0.5) if self.spread else (1.0, 1.0)
        drawn = 1 if self.same else experts
        self.w1 = nn.Parameter((torch.randn(drawn, d, hidden) * first).repeat(experts // drawn, 1, 1))
        self.b1 = nn.Parameter(torch.zeros(experts, hidden))
        self.w2 = nn.Parameter((torch.randn(drawn, hidden, d_out) * second).repeat(experts // drawn, 1, 1))
        self.b2 = nn.Parameter(torch.zeros(experts, d_out))

    def expert(self, rows, e):
        return (rows @ self.w1[e] + self.b1[e]).relu() @ self.w2[e] + self.b2[e]

    def forward(self, x):
        logits = self.router(x)
        largest, idx = logits.topk(self.k, -1)
        weights = largest.softmax(-1) if self.renormalize else logits.softmax(-1).gather(-1, idx)
        out = 0
        for e in range(len(self.w1)):
            out = out + (weights * (idx == e)).sum(1, keepdim=True) * self.expert(x, e)
        return out, logits, idx

    def learn(self, optimizer, x, y, balance, z):
        return self.one(optimizer, x, y, balance, z)

    def one(self, optimizer, x, y, balance, z, *, clear=True, after=False, everything=False):
        out, logits, idx = self(x)
        error = F.mse_loss(out, y)
        even, small = losses(logits, idx)
        if clear:
            optimizer.zero_grad()
        total = error + balance * even + z * small
        total.backward()
        optimizer.step()
        if after:
            return F.mse_loss(self(x)[0], y).item()
        return (total if everything else error).item()


@mistake("MoE", "the weights are renormalized: with k = 1 the router learns nothing", see="13.2")
class MoE(Base):
    renormalize = True


@mistake("MoE", "all experts begin with the same weights; each must be drawn for itself", see="13.9")
class MoE(Base):
    same = True


@mistake("MoE", "the weights have variance 1 at the start, whatever the width", see="13.9")
class MoE(Base):
    spread = False


@mistake("MoE", "the lambda in the loop reads e when it is called: every expert is the last one", see="13.9")
class MoE(Base):
    def expert(self, rows, e):
        return super().expert(rows, len(self.w1) - 1)


@mistake("MoE", "the bias b2 is added after the weighting instead of inside the expert", see="13.9")
class MoE(Base):
    def forward(self, x):
        out, logits, idx = super().forward(x)
        weights = logits.softmax(-1).gather(-1, idx)
        return out + ((1 - weights)[..., None] * self.b2[idx]).sum(1), logits, idx


@mistake("MoE", "old gradients are not cleared before the step", see="13.9")
class MoE(Base):
    def learn(self, optimizer, x, y, balance, z):
        return self.one(optimizer, x, y, balance, z, clear=False)


@mistake("MoE", "the balancing loss is left out of the sum", see="13.9")
class MoE(Base):
    def learn(self, optimizer, x, y, balance, z):
        return self.one(optimizer, x, y, 0.0, z)


@mistake("MoE", "the z-loss is left out of the sum", see="13.9")
class MoE(Base):
    def learn(self, optimizer, x, y, balance, z):
        return self.one(optimizer, x, y, balance, 0.0)


@mistake("MoE", "the returned number holds the router losses too; only the squared error was asked for", see="13.9")
class MoE(Base):
    def learn(self, optimizer, x, y, balance, z):
        return self.one(optimizer, x, y, balance, z, everything=True)


@mistake("MoE", "the error is measured after the step instead of before it", see="13.9")
class MoE(Base):
    def learn(self, optimizer, x, y, balance, z):
        return self.one(optimizer, x, y, balance, z, after=True)


@accepted("MoE", "all experts at once, weighted by a table of gates")
class MoE(nn.Module):
    def __init__(self, d, hidden, d_out, experts, k):
        super().__init__()
        self.k = k
        self.router = nn.Linear(d, experts)
        self.w1, self.b1 = nn.Parameter(torch.empty(experts, d, hidden)), nn.Parameter(torch.zeros(experts, hidden))
        self.w2, self.b2 = nn.Parameter(torch.empty(experts, hidden, d_out)), nn.Parameter(torch.zeros(experts, d_out))
        nn.init.normal_(self.w1, std=1 / math.sqrt(d))
        nn.init.normal_(self.w2, std=1 / math.sqrt(hidden))

    def forward(self, x):
        logits = self.router(x)
        weights, idx = logits.softmax(-1).topk(self.k)
        gates = torch.zeros_like(logits).scatter(1, idx, weights)
        hidden = torch.einsum("td,edh->eth", x, self.w1).add(self.b1[:, None]).relu()
        outputs = torch.einsum("eth,eho->eto", hidden, self.w2) + self.b2[:, None]
        return torch.einsum("te,eto->to", gates, outputs), logits, idx

    def learn(self, optimizer, x, y, balance, z):
        optimizer.zero_grad(set_to_none=False)
        out, logits, idx = self(x)
        share = F.one_hot(idx, logits.shape[1]).float().mean((0, 1))
        loss = (out - y).pow(2).mean()
        extra = balance * logits.shape[1] * share @ logits.softmax(-1).mean(0)
        (loss + extra + z * torch.logsumexp(logits, -1).pow(2).mean()).backward()
        optimizer.step()
        return float(loss)


@accepted("MoE", "segments of sorted tokens, and three backward passes")
class MoE(Base):
    def forward(self, x):
        logits = self.router(x)
        idx = logits.argsort(-1, descending=True)[:, : self.k]
        weights = logits.softmax(-1).gather(-1, idx)
        order = idx.flatten().argsort()
        token, out = order // self.k, x.new_zeros(len(x), self.w2.shape[2])
        counts = idx.flatten().bincount(minlength=len(self.w1)).tolist()
        scales = weights.flatten()[order].split(counts)
        for e, (part, scale) in enumerate(zip(token.split(counts), scales, strict=True)):
            out = out.index_add(0, part, self.expert(x[part], e) * scale[:, None])
        return out, logits, idx

    def learn(self, optimizer, x, y, balance, z):
        optimizer.zero_grad()
        error = F.mse_loss(self(x)[0], y)
        error.backward()
        for weight, which in ((balance, 0), (z, 1)):
            _, logits, idx = self(x)
            (weight * losses(logits, idx)[which]).backward()
        optimizer.step()
        return error.detach().item()
