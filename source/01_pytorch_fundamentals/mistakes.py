"""Wrong and right ways to write the exercises of lesson 01."""

import math

import torch
from torchgrade.lessons import accepted, mistake

# 1.1 windows


@mistake("windows", "the last complete window is missing: there are (n - size) // step + 1 of them", see="1.1")
def windows(x, size, step):
    return x.as_strided(((len(x) - size) // step, size), (step * x.stride(0), x.stride(0)))


@mistake("windows", "the last window must fit: windows that would run over the end do not count", see="1.1")
def windows(x, size, step):
    return x.as_strided((len(x) // step, size), (step * x.stride(0), x.stride(0)))


@mistake("windows", "the windows are a copy; they must be views on x's storage", see="1.1")
def windows(x, size, step):
    return torch.stack([x[i : i + size] for i in range(0, len(x) - size + 1, step)])


@mistake("windows", "the windows are a copy; they must be views on x's storage", see="1.1")
def windows(x, size, step):
    return x.unfold(0, size, step).contiguous()


@mistake("windows", "the strides assume that neighbors of x are 1 apart on the tape; ask x.stride(0)", see="1.1")
def windows(x, size, step):
    return x.as_strided(((len(x) - size) // step + 1, size), (step, 1))


@mistake("windows", "the windows start at the beginning of the storage instead of the beginning of x", see="1.1")
def windows(x, size, step):
    count = (len(x) - size) // step + 1
    return x.as_strided((count, size), (step * x.stride(0), x.stride(0)), storage_offset=0)


@mistake("windows", "the windows are a copy; they must be views on x's storage", see="1.1")
def windows(x, size, step):
    starts = torch.arange(0, len(x) - size + 1, step)
    return x[starts[:, None] + torch.arange(size)]


@accepted("windows", "unfold writes the same card")
def windows(x, size, step):
    return x.unfold(0, size, step)


@accepted("windows", "all windows first, then every step-th of them: slices of a view are views")
def windows(x, size, step):
    return x.as_strided((len(x) - size + 1, size), (x.stride(0), x.stride(0)))[::step]


# 1.2 batched_outer


@mistake("batched_outer", "the axes of a and b are swapped: the result is (batch, m, n)", see="1.2")
def batched_outer(a, b):
    return a[:, None, :] * b[:, :, None]


@mistake("batched_outer", "a reshape repairs the shape but not the order of the numbers", see="1.1")
def batched_outer(a, b):
    return (a[:, None, :] * b[:, :, None]).reshape(len(a), a.shape[1], b.shape[1])


@mistake("batched_outer", "unsqueeze_ changes the caller's tensors; unsqueeze makes new cards", see="1.1")
def batched_outer(a, b):
    return a.unsqueeze_(2) * b.unsqueeze_(1)


@mistake("batched_outer", "einsum is called instead of building the product by broadcasting", see="1.2")
def batched_outer(a, b):
    return torch.einsum("bn,bm->bnm", a, b)


@mistake("batched_outer", "a Python loop walks over the batch", see="1.6")
def batched_outer(a, b):
    return torch.stack([x[:, None] * y for x, y in zip(a, b, strict=True)])


@mistake("batched_outer", "b's first row is used for every example", see="1.2")
def batched_outer(a, b):
    return a[:, :, None] * b[0]


@accepted("batched_outer", "unsqueeze instead of None")
def batched_outer(a, b):
    return a.unsqueeze(-1) * b.unsqueeze(-2)


@accepted("batched_outer", "expanded by hand before multiplying")
def batched_outer(a, b):
    shape = (a.shape[0], a.shape[1], b.shape[1])
    return a.unsqueeze(2).expand(shape).mul(b.unsqueeze(1).expand(shape))


# 1.3 masked_mean


@mistake("masked_mean", "the sum is divided by the length of the row, not by how many numbers count", see="1.3")
def masked_mean(x, mask, dim, keepdim=False):
    if not x.is_floating_point():
        x = x.float()
    return x.where(mask, 0.0).mean(dim, keepdim=keepdim)


@mistake("masked_mean", "numbers that do not count are multiplied by 0, but NaN * 0 is NaN: select instead", see="1.3")
def masked_mean(x, mask, dim, keepdim=False):
    count = mask.expand_as(x).sum(dim, keepdim=keepdim).clamp(min=1)
    return (x * mask).sum(dim, keepdim=keepdim) / count


@mistake("masked_mean", "where nothing counts, 0 is divided by 0", see="1.3")
def masked_mean(x, mask, dim, keepdim=False):
    if not x.is_floating_point():
        x = x.float()
    return x.where(mask, 0.0).sum(dim, keepdim=keepdim) / mask.expand_as(x).sum(dim, keepdim=keepdim)


@mistake("masked_mean", "the caller's x is overwritten where the mask is False", see="1.1")
def masked_mean(x, mask, dim, keepdim=False):
    mask = mask.expand_as(x)
    x[~mask] = 0
    return x.sum(dim, keepdim=keepdim) / mask.sum(dim, keepdim=keepdim).clamp(min=1)


@mistake("masked_mean", "a small number added to the count makes every mean a little too small", see="1.3")
def masked_mean(x, mask, dim, keepdim=False):
    if not x.is_floating_point():
        x = x.float()
    return x.where(mask, 0.0).sum(dim, keepdim=keepdim) / (mask.expand_as(x).sum(dim, keepdim=keepdim) + 1e-6)


@mistake("masked_mean", "the mask is counted before it is stretched to x's shape", see="1.2")
def masked_mean(x, mask, dim, keepdim=False):
    if not x.is_floating_point():
        x = x.float()
    mask = mask.reshape((1,) * (x.ndim - mask.ndim) + tuple(mask.shape))
    return x.where(mask, 0.0).sum(dim, keepdim=keepdim) / mask.sum(dim, keepdim=keepdim).clamp(min=1)


@mistake("masked_mean", "nan_to_num also hides the NaN that count", see="1.3")
def masked_mean(x, mask, dim, keepdim=False):
    if not x.is_floating_point():
        x = x.float()
    total = x.where(mask, 0.0).sum(dim, keepdim=keepdim)
    return (total / mask.expand_as(x).sum(dim, keepdim=keepdim)).nan_to_num(0.0)


@accepted("masked_mean", "masked_fill of the complement, and an explicit zero where nothing counts")
def masked_mean(x, mask, dim, keepdim=False):
    x = x if x.is_floating_point() else x.to(torch.float32)
    mask = torch.broadcast_to(mask, x.shape)
    count = mask.sum(dim, keepdim=keepdim)
    total = x.masked_fill(~mask, 0).sum(dim, keepdim=keepdim)
    return torch.where(count > 0, total / count, torch.zeros_like(total))


@accepted("masked_mean", "nansum over a copy would hide NaN that count; this one replaces the complement only")
def masked_mean(x, mask, dim, keepdim=False):
    x = x.clone() if x.is_floating_point() else x.float()
    mask = mask.expand(x.shape)
    x[~mask] = 0
    return x.sum(dim, keepdim) / torch.clamp_min(mask.sum(dim, keepdim), 1)


# 1.4 pairwise_sq_dist


@mistake("pairwise_sq_dist", "‖x‖² − 2x·y + ‖y‖² cancels far from the origin, clamped or not", see="1.4")
def pairwise_sq_dist(x, y):
    return x.square().sum(-1)[:, None] - 2 * x @ y.T + y.square().sum(-1)


@mistake("pairwise_sq_dist", "‖x‖² − 2x·y + ‖y‖² cancels far from the origin, clamped or not", see="1.4")
def pairwise_sq_dist(x, y):
    return (x.square().sum(-1)[:, None] - 2 * x @ y.T + y.square().sum(-1)).clamp(min=0)


@mistake("pairwise_sq_dist", "the square root is taken; the distance asked for is squared", see="1.4")
def pairwise_sq_dist(x, y):
    return (x[:, None] - y).square().sum(-1).sqrt()


@mistake("pairwise_sq_dist", "the mean over the coordinates is taken instead of the sum", see="1.3")
def pairwise_sq_dist(x, y):
    return (x[:, None] - y).square().mean(-1)


@mistake("pairwise_sq_dist", "torch.cdist is called instead of building it", see="1.4")
def pairwise_sq_dist(x, y):
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()


@mistake("pairwise_sq_dist", "x is moved near the origin in place: the caller's points move too", see="1.1")
def pairwise_sq_dist(x, y):
    center = y.mean(0)
    x -= center
    return (x[:, None] - (y - center)).square().sum(-1)


@accepted("pairwise_sq_dist", "the difference squared by einsum")
def pairwise_sq_dist(x, y):
    difference = x.unsqueeze(1) - y.unsqueeze(0)
    return torch.einsum("nmd,nmd->nm", difference, difference)


@accepted("pairwise_sq_dist", "coordinate axis first")
def pairwise_sq_dist(x, y):
    return (x.T[:, :, None] - y.T[:, None, :]).pow(2).sum(0)


# 1.5 count_pairs


@mistake("count_pairs", "repeated pairs overwrite each other: counts[first, second] += 1 adds 1 once", see="1.5")
def count_pairs(first, second, size):
    counts = torch.zeros(size, size, dtype=torch.int64)
    counts[first, second] += 1
    return counts


@mistake("count_pairs", "rows and columns are swapped", see="1.5")
def count_pairs(first, second, size):
    return torch.bincount(second * size + first, minlength=size * size).view(size, size)


@mistake("count_pairs", "bincount stops at the largest pair it has seen; give it minlength", see="1.5")
def count_pairs(first, second, size):
    return torch.bincount(first * size + second).view(size, size)


@mistake("count_pairs", "the counter's dtype is too small, so large counts wrap around", see="1.4")
def count_pairs(first, second, size):
    counts = torch.zeros(size, size, dtype=torch.int16)
    one = torch.ones(len(first), dtype=torch.int16)
    return counts.index_put_((first, second), one, accumulate=True).long()


@mistake("count_pairs", "a 16-bit float counter gets stuck", see="1.4")
def count_pairs(first, second, size):
    counts = torch.zeros(size * size, dtype=torch.float16)
    one = torch.ones(len(first), dtype=torch.float16)
    return counts.index_add_(0, first * size + second, one).view(size, size).long()


@mistake("count_pairs", "a Python loop walks over the pairs", see="1.5")
def count_pairs(first, second, size):
    counts = torch.zeros(size, size, dtype=torch.int64)
    for i, j in zip(first.tolist(), second.tolist(), strict=True):
        counts[i, j] += 1
    return counts


@mistake("count_pairs", "first is changed in place", see="1.1")
def count_pairs(first, second, size):
    first *= size
    first += second
    return torch.bincount(first, minlength=size * size).view(size, size)


@accepted("count_pairs", "index_put_ that accumulates")
def count_pairs(first, second, size):
    counts = torch.zeros(size, size, dtype=torch.int64)
    return counts.index_put_((first, second), torch.ones_like(first), accumulate=True)


@accepted("count_pairs", "scatter_add_ into a flat table")
def count_pairs(first, second, size):
    flat = torch.zeros(size**2, dtype=torch.long)
    flat.scatter_add_(0, first * size + second, torch.ones_like(first))
    return flat.reshape(size, size)


# 1.6 scores_per_head


@mistake("scores_per_head", "a reshape does not move the head axis: it shreds the numbers", see="1.1")
def scores_per_head(q, k):
    batch, queries, heads, d = q.shape
    return q.reshape(batch, heads, queries, d) @ k.reshape(batch, heads, k.shape[1], d).mT


@mistake("scores_per_head", "the keys are reshaped where their axes must be moved", see="1.1")
def scores_per_head(q, k):
    batch, keys, heads, d = k.shape
    return q.transpose(1, 2) @ k.reshape(batch, heads, d, keys)


@mistake("scores_per_head", "the scores are scaled; the exercise asks for the plain dot product", see="1.6")
def scores_per_head(q, k):
    return torch.einsum("bihd,bjhd->bhij", q, k) / math.sqrt(q.shape[-1])


@mistake("scores_per_head", "the heads are summed together: a letter is missing on the right of the arrow", see="1.6")
def scores_per_head(q, k):
    return torch.einsum("bihd,bjhd->bij", q, k)[:, None].expand(-1, q.shape[2], -1, -1)


@mistake("scores_per_head", "the result's axes come out in another order than asked for", see="1.6")
def scores_per_head(q, k):
    return torch.einsum("bihd,bjhd->bhji", q, k)


@mistake("scores_per_head", "a Python loop walks over the heads", see="1.6")
def scores_per_head(q, k):
    return torch.stack([q[:, :, h] @ k[:, :, h].mT for h in range(q.shape[2])], dim=1)


@accepted("scores_per_head", "axes moved, then @")
def scores_per_head(q, k):
    return q.permute(0, 2, 1, 3) @ k.permute(0, 2, 3, 1)


@accepted("scores_per_head", "a broadcast product and a sum")
def scores_per_head(q, k):
    return (q.transpose(1, 2)[:, :, :, None] * k.transpose(1, 2)[:, :, None]).sum(-1)


# 1.7 r_squared


@mistake("r_squared", "a (n,) minus a (n, 1) is a (n, n) table of residuals", see="1.2")
def r_squared(x, y):
    centered = x - x.mean()
    design = torch.stack([centered, torch.ones_like(x)], dim=1)
    predicted = design @ torch.linalg.lstsq(design, y[:, None]).solution
    return 1 - (y - predicted).square().mean() / y.var(correction=0)


@mistake("r_squared", "x is centered in place: the caller's data changes", see="1.1")
def r_squared(x, y):
    x -= x.mean()
    design = torch.stack([x, torch.ones_like(x)], dim=1)
    predicted = (design @ torch.linalg.lstsq(design, y[:, None]).solution).squeeze(1)
    return 1 - (y - predicted).square().mean() / y.var(correction=0)


@mistake("r_squared", "var() divides by n − 1, the mean of the squared residuals by n", see="1.7")
def r_squared(x, y):
    centered = x - x.mean()
    design = torch.stack([centered, torch.ones_like(x)], dim=1)
    predicted = (design @ torch.linalg.lstsq(design, y[:, None]).solution).squeeze(1)
    return 1 - (y - predicted).square().mean() / y.var()


@mistake("r_squared", "x is centered in place: the caller's data changes", see="1.1")
def r_squared(x_in, y):
    x = x_in
    x -= x.mean()
    slope = (x * y).mean() / x.square().mean()
    return 1 - (y - y.mean() - slope * x).square().mean() / y.var(correction=0)


@mistake("r_squared", "a line through the origin was fitted: the intercept is missing", see="1.7")
def r_squared(x, y):
    slope = (x * y).sum() / x.square().sum()
    return 1 - (y - slope * x).square().mean() / y.var(correction=0)


@accepted("r_squared", "slope and intercept in closed form, sums instead of means")
def r_squared(x, y):
    dx, dy = x - x.mean(), y - y.mean()
    slope = (dx * dy).sum() / dx.square().sum()
    return 1 - (dy - slope * dx).square().sum() / dy.square().sum()


@accepted("r_squared", "for a straight line R² is the squared correlation")
def r_squared(x, y):
    return torch.corrcoef(torch.stack([x, y]))[0, 1] ** 2


# 1.8 the bigram model


@mistake("fit_bigrams", "the columns are normalized: P(last | next) instead of P(next | last)", see="1.8")
def fit_bigrams(ids, size, smoothing=1.0):
    counts = torch.bincount(ids[:-1] * size + ids[1:], minlength=size * size).view(size, size) + smoothing
    return counts / counts.sum(dim=0, keepdim=True)


@mistake("fit_bigrams", "without keepdim=True the sums are laid along the columns", see="1.2")
def fit_bigrams(ids, size, smoothing=1.0):
    counts = torch.bincount(ids[:-1] * size + ids[1:], minlength=size * size).view(size, size) + smoothing
    return counts / counts.sum(dim=1)


@mistake("fit_bigrams", "the smoothing is always 1, whatever the caller asks for", see="1.8")
def fit_bigrams(ids, size, smoothing=1.0):
    counts = torch.bincount(ids[:-1] * size + ids[1:], minlength=size * size).view(size, size) + 1.0
    return counts / counts.sum(dim=1, keepdim=True)


@mistake("fit_bigrams", "the smoothing is added after dividing, so rows no longer sum to 1", see="1.8")
def fit_bigrams(ids, size, smoothing=1.0):
    counts = torch.bincount(ids[:-1] * size + ids[1:], minlength=size * size).view(size, size)
    return counts / counts.sum(dim=1, keepdim=True).clamp(min=1) + smoothing / size


@mistake("fit_bigrams", "repeated pairs are counted once", see="1.5")
def fit_bigrams(ids, size, smoothing=1.0):
    counts = torch.full((size, size), float(smoothing))
    counts[ids[:-1], ids[1:]] += 1
    return counts / counts.sum(dim=1, keepdim=True)


@mistake("bits_per_character", "the natural logarithm measures nats, not bits", see="1.8")
def bits_per_character(probabilities, ids):
    return -probabilities[ids[:-1], ids[1:]].log().mean().item()


@mistake("bits_per_character", "the logarithm of the mean is not the mean of the logarithms", see="1.8")
def bits_per_character(probabilities, ids):
    return -probabilities[ids[:-1], ids[1:]].mean().log2().item()


@mistake("bits_per_character", "rows and columns are swapped: the row is the last character", see="1.8")
def bits_per_character(probabilities, ids):
    return -probabilities[ids[1:], ids[:-1]].log2().mean().item()


@mistake("bits_per_character", "n characters have n − 1 pairs", see="1.8")
def bits_per_character(probabilities, ids):
    return -probabilities[ids[:-1], ids[1:]].log2().sum().item() / len(ids)


@mistake("generate", "the likeliest character is always taken; that is not drawing", see="1.8")
def generate(probabilities, start, length):
    drawn, last = [], start
    for _ in range(length):
        last = probabilities[last].argmax().item()
        drawn.append(last)
    return torch.tensor(drawn)


@mistake("generate", "every character is drawn from the row of the start", see="1.8")
def generate(probabilities, start, length):
    return torch.multinomial(probabilities[start], length, replacement=True)


@mistake("generate", "the start is part of the result", see="1.8")
def generate(probabilities, start, length):
    drawn = [start]
    while len(drawn) < length:
        drawn.append(torch.multinomial(probabilities[drawn[-1]], 1).item())
    return torch.tensor(drawn)


@mistake("generate", "the seed is set inside, so every call gives the same text", see="1.8")
def generate(probabilities, start, length):
    torch.manual_seed(0)
    drawn, last = [], start
    for _ in range(length):
        last = torch.multinomial(probabilities[last], 1).item()
        drawn.append(last)
    return torch.tensor(drawn)


@mistake("generate", "all characters that can follow are drawn equally often", see="1.8")
def generate(probabilities, start, length):
    drawn, last = [], start
    for _ in range(length):
        last = torch.multinomial((probabilities[last] > 0).float(), 1).item()
        drawn.append(last)
    return torch.tensor(drawn)


@accepted("fit_bigrams", "scatter-add in float64, then float32")
def fit_bigrams(ids, size, smoothing=1.0):
    counts = torch.full((size, size), smoothing, dtype=torch.float64)
    counts.index_put_((ids[:-1], ids[1:]), torch.ones(len(ids) - 1, dtype=torch.float64), accumulate=True)
    return (counts / counts.sum(1, keepdim=True)).float()


@accepted("fit_bigrams", "one-hot vectors and a matrix product")
def fit_bigrams(ids, size, smoothing=1.0):
    one_hot = torch.nn.functional.one_hot(ids, size).float()
    counts = one_hot[:-1].T @ one_hot[1:] + smoothing
    return counts / counts.sum(1)[:, None]


@accepted("bits_per_character", "log first, then look up")
def bits_per_character(probabilities, ids):
    return float(-probabilities.log()[ids[:-1], ids[1:]].mean() / math.log(2))


@accepted("bits_per_character", "gather, one row per last character")
def bits_per_character(probabilities, ids):
    rows = probabilities[ids[:-1]]
    return -rows.gather(1, ids[1:, None]).log2().sum().item() / (len(ids) - 1)


@accepted("generate", "inverse transform: a uniform number looked up in the running sum")
def generate(probabilities, start, length):
    running, drawn, last = probabilities.cumsum(1), torch.empty(length, dtype=torch.int64), start
    for i in range(length):
        last = int((torch.rand(()) * running[last, -1] >= running[last]).sum())
        drawn[i] = last
    return drawn


@accepted("generate", "a Categorical distribution per step")
def generate(probabilities, start, length):
    drawn = []
    for _ in range(length):
        start = torch.distributions.Categorical(probabilities[start]).sample()
        drawn.append(start)
    return torch.stack(drawn)
