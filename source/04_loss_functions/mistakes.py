"""Wrong and right ways to write the exercises of lesson 04."""

import math

import torch
import torch.nn.functional as F
from torchgrade.lessons import accepted, mistake

# 4.1 huber


@mistake("huber", "different shapes are broadcast: every prediction meets every target; refuse them", see="4.1")
def huber(prediction, target, delta=1.0):
    size = (prediction - target).abs()
    return torch.where(size <= delta, 0.5 * size.square(), delta * (size - 0.5 * delta)).mean()


@mistake("huber", "the result is divided by delta, which is smooth_l1_loss", see="4.1")
def huber(prediction, target, delta=1.0):
    if prediction.shape != target.shape:
        raise ValueError("shapes differ")
    size = (prediction - target).abs()
    return torch.where(size <= delta, 0.5 * size.square() / delta, size - 0.5 * delta).mean()


@mistake("huber", "only positive errors can exceed delta here: the comparison needs |e|", see="4.1")
def huber(prediction, target, delta=1.0):
    if prediction.shape != target.shape:
        raise ValueError("shapes differ")
    error = prediction - target
    return torch.where(error <= delta, 0.5 * error.square(), delta * (error.abs() - 0.5 * delta)).mean()


@mistake("huber", "|e| written as the root of e² has no slope at 0: the gradient there is NaN", see="4.1")
def huber(prediction, target, delta=1.0):
    if prediction.shape != target.shape:
        raise ValueError("shapes differ")
    size = (prediction - target).square().sqrt()
    return torch.where(size <= delta, 0.5 * size.square(), delta * (size - 0.5 * delta)).mean()


@mistake("huber", "the two pieces do not meet at delta: the linear one starts at δ(|e| − ½δ)", see="4.1")
def huber(prediction, target, delta=1.0):
    if prediction.shape != target.shape:
        raise ValueError("shapes differ")
    size = (prediction - target).abs()
    return torch.where(size <= delta, 0.5 * size.square(), delta * (size - 0.5)).mean()


@mistake("huber", "huber_loss is called instead of building it", see="4.1")
def huber(prediction, target, delta=1.0):
    if prediction.shape != target.shape:
        raise ValueError("shapes differ")
    return F.huber_loss(prediction, target, delta=delta)


@accepted("huber", "the quadratic part of a clamped error plus a linear rest")
def huber(prediction, target, delta=1.0):
    if prediction.size() != target.size():
        raise ValueError("prediction and target must have one shape")
    error = prediction - target
    near = error.clamp(-delta, delta)
    return (near * (error - 0.5 * near)).mean()


@accepted("huber", "a mask instead of where, added up and divided by the number of elements")
def huber(prediction, target, delta=1.0):
    if list(prediction.shape) != list(target.shape):
        raise ValueError("prediction and target must have one shape")
    size = torch.abs(prediction - target)
    far = size > delta
    return ((size[~far] ** 2 / 2).sum() + (delta * size[far] - delta**2 / 2).sum()) / size.numel()


# 4.1 quantile_loss


@mistake("quantile_loss", "the sign of u is turned around, which makes q the (1 − q)-quantile", see="4.1")
def quantile_loss(prediction, target, q):
    over = prediction - target[:, None]
    return torch.maximum(q * over, (q - 1) * over).mean()


@mistake("quantile_loss", "(n,) against (n, k) lines up targets with quantiles instead of rows", see="4.1")
def quantile_loss(prediction, target, q):
    short = target - prediction
    return torch.maximum(q * short, (q - 1) * short).mean()


@mistake("quantile_loss", "a target below the prediction costs (1 − q) times a negative number", see="4.1")
def quantile_loss(prediction, target, q):
    short = target[:, None] - prediction
    return (torch.where(short >= 0, q, 1 - q) * short).mean()


@mistake("quantile_loss", "the costs are added up over the quantiles; the mean is over all n · k", see="4.1")
def quantile_loss(prediction, target, q):
    short = target[:, None] - prediction
    return torch.maximum(q * short, (q - 1) * short).sum(1).mean()


@mistake("quantile_loss", "a tensor made from Python numbers has no history, so nothing is learned", see="4.1")
def quantile_loss(prediction, target, q):
    costs = []
    for row, truth in zip(prediction.tolist(), target.tolist(), strict=True):
        for guess, share in zip(row, q.tolist(), strict=True):
            costs.append(share * (truth - guess) if truth >= guess else (1 - share) * (guess - truth))
    return torch.tensor(costs, dtype=prediction.dtype, requires_grad=True).mean()


@accepted("quantile_loss", "two clamps, one for each side")
def quantile_loss(prediction, target, q):
    short = target.unsqueeze(1) - prediction
    return (q * short.clamp(min=0) + (1 - q) * (-short).clamp(min=0)).mean()


@accepted("quantile_loss", "half the absolute error, tilted")
def quantile_loss(prediction, target, q):
    short = target.view(-1, 1) - prediction
    return (short.abs() / 2 + (q - 0.5) * short).mean()


# 4.2 bce_with_logits


@mistake("bce_with_logits", "the logarithm of a sigmoid that rounded to 0 is infinite: use logsigmoid", see="4.2")
def bce_with_logits(logits, target, pos_weight=None):
    p = logits.sigmoid()
    weight = 1.0 if pos_weight is None else pos_weight
    return -(weight * target * p.log() + (1 - target) * (1 - p).log()).mean()


@mistake("bce_with_logits", "a clamped probability hides the infinity, and costs the loss and its gradient", see="4.2")
def bce_with_logits(logits, target, pos_weight=None):
    p = logits.sigmoid().clamp(1e-12, 1 - 1e-12)
    weight = 1.0 if pos_weight is None else pos_weight
    return -(weight * target * p.log() + (1 - target) * (1 - p).log()).mean()


@mistake("bce_with_logits", "pos_weight multiplies both terms; it belongs to the yes term only", see="4.2")
def bce_with_logits(logits, target, pos_weight=None):
    loss = -target * F.logsigmoid(logits) - (1 - target) * F.logsigmoid(-logits)
    return (loss if pos_weight is None else loss * pos_weight).mean()


@mistake("bce_with_logits", "pos_weight multiplies the no term", see="4.2")
def bce_with_logits(logits, target, pos_weight=None):
    yes, no = -target * F.logsigmoid(logits), -(1 - target) * F.logsigmoid(-logits)
    return (yes + (no if pos_weight is None else no * pos_weight)).mean()


@mistake("bce_with_logits", "soft labels are rounded to yes or no", see="4.2")
def bce_with_logits(logits, target, pos_weight=None):
    weight = 1.0 if pos_weight is None else pos_weight
    return torch.where(target > 0.5, -weight * F.logsigmoid(logits), -F.logsigmoid(-logits)).mean()


@mistake("bce_with_logits", "pos_weight is laid along the examples instead of the labels", see="4.2")
def bce_with_logits(logits, target, pos_weight=None):
    yes, no = -target * F.logsigmoid(logits), -(1 - target) * F.logsigmoid(-logits)
    if pos_weight is not None:
        yes = yes * pos_weight[:, None]
    return (yes + no).mean()


@mistake("bce_with_logits", "the weighted mean divides by the weights; the task divides by n · labels", see="4.2")
def bce_with_logits(logits, target, pos_weight=None):
    weight = torch.ones_like(logits) if pos_weight is None else 1 + (pos_weight - 1) * target
    loss = -target * F.logsigmoid(logits) * weight - (1 - target) * F.logsigmoid(-logits)
    return loss.sum() / weight.sum()


@mistake("bce_with_logits", "the ready-made loss is called instead of building it", see="4.2")
def bce_with_logits(logits, target, pos_weight=None):
    return F.binary_cross_entropy_with_logits(logits, target, pos_weight=pos_weight)


@accepted("bce_with_logits", "softplus, with both terms joined")
def bce_with_logits(logits, target, pos_weight=None):
    weight = target if pos_weight is None else target * pos_weight
    return (weight * F.softplus(-logits) + (1 - target) * F.softplus(logits)).mean()


@accepted("bce_with_logits", "max(z, 0) − zy + ln(1 + e^−|z|), as TensorFlow documents it, with a weight")
def bce_with_logits(logits, target, pos_weight=None):
    weight = 1 if pos_weight is None else 1 + (pos_weight - 1) * target
    tail = torch.log1p((-logits.abs()).exp()) + (-logits).clamp(min=0)
    return ((1 - target) * logits + weight * tail).mean()


# 4.3 cross_entropy


@mistake("cross_entropy", "softmax first and a logarithm after it: a small probability rounds to 0", see="4.3")
def cross_entropy(logits, target, ignore_index=-100, label_smoothing=0.0):
    kept = target != ignore_index
    log_p = logits[kept].softmax(1).log()
    right = log_p.gather(1, target[kept][:, None])
    return -(1 - label_smoothing) * right.mean() - label_smoothing * log_p.mean()


@mistake("cross_entropy", "softmax is applied twice", see="4.3")
def cross_entropy(logits, target, ignore_index=-100, label_smoothing=0.0):
    kept = target != ignore_index
    log_p = logits[kept].softmax(1).log_softmax(1)
    right = log_p.gather(1, target[kept][:, None])
    return -(1 - label_smoothing) * right.mean() - label_smoothing * log_p.mean()


@mistake("cross_entropy", "ignored positions add nothing to the sum but still count in the division", see="4.3")
def cross_entropy(logits, target, ignore_index=-100, label_smoothing=0.0):
    kept = target != ignore_index
    log_p = logits.log_softmax(1)
    right = log_p.gather(1, target.where(kept, 0)[:, None]).squeeze(1)
    each = -(1 - label_smoothing) * right - label_smoothing * log_p.mean(1)
    return (each * kept).mean()


@mistake("cross_entropy", "only −100 is ignored, whatever ignore_index says", see="4.3")
def cross_entropy(logits, target, ignore_index=-100, label_smoothing=0.0):
    kept = target >= 0
    log_p = logits[kept].log_softmax(1)
    right = log_p.gather(1, target[kept][:, None])
    return -(1 - label_smoothing) * right.mean() - label_smoothing * log_p.mean()


@mistake("cross_entropy", "smoothing spreads ε over the wrong classes only; it is the mean over all C", see="4.3")
def cross_entropy(logits, target, ignore_index=-100, label_smoothing=0.0):
    kept = target != ignore_index
    log_p = logits[kept].log_softmax(1)
    right = log_p.gather(1, target[kept][:, None])
    wrong = (log_p.sum(1, keepdim=True) - right) / (logits.shape[1] - 1)
    return -((1 - label_smoothing) * right + label_smoothing * wrong).mean()


@mistake("cross_entropy", "smoothing also averages over the ignored positions", see="4.3")
def cross_entropy(logits, target, ignore_index=-100, label_smoothing=0.0):
    kept = target != ignore_index
    log_p = logits.log_softmax(1)
    right = log_p[kept].gather(1, target[kept][:, None])
    return -(1 - label_smoothing) * right.mean() - label_smoothing * log_p.mean()


@mistake("cross_entropy", "one maximum for the whole batch: rows far below it underflow", see="4.3")
def cross_entropy(logits, target, ignore_index=-100, label_smoothing=0.0):
    kept = target != ignore_index
    if not kept.any():
        return logits.new_tensor(math.nan)
    shifted = logits[kept] - logits.max()
    log_p = shifted - shifted.exp().sum(1, keepdim=True).log()
    right = log_p.gather(1, target[kept][:, None])
    return -(1 - label_smoothing) * right.mean() - label_smoothing * log_p.mean()


@mistake("cross_entropy", "a small number inside the logarithm caps the loss of confident mistakes", see="4.3")
def cross_entropy(logits, target, ignore_index=-100, label_smoothing=0.0):
    kept = target != ignore_index
    log_p = (logits[kept].softmax(1) + 1e-12).log()
    right = log_p.gather(1, target[kept][:, None])
    return -(1 - label_smoothing) * right.mean() - label_smoothing * log_p.mean()


@mistake("cross_entropy", "where nothing counts, 0 is returned; the task wants NaN, so that it is noticed", see="4.3")
def cross_entropy(logits, target, ignore_index=-100, label_smoothing=0.0):
    kept = target != ignore_index
    log_p = logits.log_softmax(1)
    right = log_p.gather(1, target.where(kept, 0)[:, None]).squeeze(1)
    each = -(1 - label_smoothing) * right - label_smoothing * log_p.mean(1)
    return (each * kept).sum() / kept.sum().clamp(min=1)


@mistake("cross_entropy", "the ready-made loss is called instead of building it", see="4.3")
def cross_entropy(logits, target, ignore_index=-100, label_smoothing=0.0):
    return F.cross_entropy(logits, target, ignore_index=ignore_index, label_smoothing=label_smoothing)


@accepted("cross_entropy", "logsumexp minus the target's logit, position by position")
def cross_entropy(logits, target, ignore_index=-100, label_smoothing=0.0):
    kept = target != ignore_index
    safe = torch.where(kept, target, 0)
    total = logits.logsumexp(1)
    right = total - logits[torch.arange(len(target)), safe]
    spread = total - logits.mean(1)
    return (((1 - label_smoothing) * right + label_smoothing * spread) * kept).sum() / kept.sum()


@accepted("cross_entropy", "a table of target probabilities times the log-probabilities")
def cross_entropy(logits, target, ignore_index=-100, label_smoothing=0.0):
    kept, classes = target != ignore_index, logits.shape[1]
    wanted = F.one_hot(target[kept], classes) * (1 - label_smoothing) + label_smoothing / classes
    z = logits[kept]
    z = z - z.amax(1, keepdim=True).detach()
    return -(wanted * (z - z.exp().sum(1, keepdim=True).log())).sum(1).mean()


# 4.4 focal_loss


@mistake("focal_loss", "the mean is taken before p is computed, so all examples share one p", see="4.4")
def focal_loss(logits, target, gamma=2.0, alpha=None):
    cost = F.binary_cross_entropy_with_logits(logits, target)
    weight = 1.0 if alpha is None else torch.where(target == 1, alpha, 1 - alpha).mean()
    return weight * (1 - (-cost).exp()) ** gamma * cost


@mistake("focal_loss", "p is the probability of yes for a no as well; it must be that of the right answer", see="4.4")
def focal_loss(logits, target, gamma=2.0, alpha=None):
    cost = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    weight = 1.0 if alpha is None else torch.where(target == 1, alpha, 1 - alpha)
    return (weight * (gamma * F.logsigmoid(-logits)).exp() * cost).mean()


@mistake("focal_loss", "the factor is p_t^γ: it silences the hard examples instead of the easy ones", see="4.4")
def focal_loss(logits, target, gamma=2.0, alpha=None):
    signed = logits * (2 * target - 1)
    weight = 1.0 if alpha is None else torch.where(target == 1, alpha, 1 - alpha)
    return -(weight * (gamma * F.logsigmoid(signed)).exp() * F.logsigmoid(signed)).mean()


@mistake("focal_loss", "alpha multiplies every example alike; a no gets 1 − alpha", see="4.4")
def focal_loss(logits, target, gamma=2.0, alpha=None):
    signed = logits * (2 * target - 1)
    weight = 1.0 if alpha is None else alpha
    return -(weight * (gamma * F.logsigmoid(-signed)).exp() * F.logsigmoid(signed)).mean()


@mistake("focal_loss", "the factor is detached, so the gradient misses half of the product rule", see="4.4")
def focal_loss(logits, target, gamma=2.0, alpha=None):
    signed = logits * (2 * target - 1)
    with torch.no_grad():
        factor = (gamma * F.logsigmoid(-signed)).exp()
        if alpha is not None:
            factor = factor * torch.where(target == 1, alpha, 1 - alpha)
    return -(factor * F.logsigmoid(signed)).mean()


@mistake("focal_loss", "a power below 1 has an infinite slope at 0, and infinity times 0 is NaN", see="4.4")
def focal_loss(logits, target, gamma=2.0, alpha=None):
    signed = logits * (2 * target - 1)
    weight = 1.0 if alpha is None else torch.where(target == 1, alpha, 1 - alpha)
    return -(weight * (-signed).sigmoid() ** gamma * F.logsigmoid(signed)).mean()


@mistake("focal_loss", "the sum is divided by the number of yes, not by the number of elements", see="4.4")
def focal_loss(logits, target, gamma=2.0, alpha=None):
    signed = logits * (2 * target - 1)
    weight = 1.0 if alpha is None else torch.where(target == 1, alpha, 1 - alpha)
    loss = -weight * (gamma * F.logsigmoid(-signed)).exp() * F.logsigmoid(signed)
    return loss.sum() / target.sum().clamp(min=1)


@accepted("focal_loss", "softplus, and alpha written without where")
def focal_loss(logits, target, gamma=2.0, alpha=None):
    sign = 1 - 2 * target
    loss = torch.exp(-gamma * F.softplus(-sign * logits)) * F.softplus(sign * logits)
    return loss.mean() if alpha is None else (loss * (alpha * target + (1 - alpha) * (1 - target))).mean()


@accepted("focal_loss", "yes and no separately, from PyTorch's stable loss")
def focal_loss(logits, target, gamma=2.0, alpha=None):
    cost = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    against = F.binary_cross_entropy_with_logits(logits, 1 - target, reduction="none")
    loss = torch.exp(-gamma * against) * cost
    if alpha is None:
        return loss.mean()
    yes = target > 0.5
    return (alpha * loss[yes].sum() + (1 - alpha) * loss[~yes].sum()) / loss.numel()


# 4.5 kl_divergence


@mistake("kl_divergence", "the arguments are exchanged: this is KL(q‖p)", see="4.5")
def kl_divergence(p_logits, q_logits):
    log_p, log_q = p_logits.log_softmax(-1), q_logits.log_softmax(-1)
    return (log_q.exp() * torch.where(log_q > -torch.inf, log_q - log_p, 0.0)).sum(-1).mean()


@mistake("kl_divergence", "the mean also runs over the classes, which must be added up", see="4.5")
def kl_divergence(p_logits, q_logits):
    log_p, log_q = p_logits.log_softmax(-1), q_logits.log_softmax(-1)
    return (log_p.exp() * torch.where(log_p > -torch.inf, log_p - log_q, 0.0)).mean()


@mistake("kl_divergence", "batchmean divides by the first axis only", see="4.5")
def kl_divergence(p_logits, q_logits):
    log_p, log_q = p_logits.log_softmax(-1), q_logits.log_softmax(-1)
    total = (log_p.exp() * torch.where(log_p > -torch.inf, log_p - log_q, 0.0)).sum()
    return total / (len(p_logits) if p_logits.ndim > 1 else 1)


@mistake("kl_divergence", "this is the cross-entropy of q; the entropy of p must be subtracted", see="4.5")
def kl_divergence(p_logits, q_logits):
    p, log_q = p_logits.softmax(-1), q_logits.log_softmax(-1)
    return -(p * torch.where(p > 0, log_q, 0.0)).sum(-1).mean()


@mistake("kl_divergence", "where p is 0, 0 · ∞ makes NaN: select instead of multiplying", see="4.5")
def kl_divergence(p_logits, q_logits):
    log_p, log_q = p_logits.log_softmax(-1), q_logits.log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1).mean()


@mistake("kl_divergence", "the teacher is detached: no gradient reaches p's logits", see="4.5")
def kl_divergence(p_logits, q_logits):
    log_p, log_q = p_logits.detach().log_softmax(-1), q_logits.log_softmax(-1)
    return (log_p.exp() * torch.where(log_p > -torch.inf, log_p - log_q, 0.0)).sum(-1).mean()


@mistake("kl_divergence", "nan_to_num also turns a true infinity into a large number", see="4.5")
def kl_divergence(p_logits, q_logits):
    log_p, log_q = p_logits.log_softmax(-1), q_logits.log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).nan_to_num().sum(-1).mean()


@mistake("kl_divergence", "logarithms of softmax instead of log_softmax: a small probability rounds to 0", see="4.3")
def kl_divergence(p_logits, q_logits):
    p, q = p_logits.softmax(-1), q_logits.softmax(-1)
    return (p * torch.where(p > 0, p.log() - q.log(), 0.0)).sum(-1).mean()


@accepted("kl_divergence", "F.kl_div element by element, with log_target")
def kl_divergence(p_logits, q_logits):
    log_p, log_q = F.log_softmax(p_logits, -1), F.log_softmax(q_logits, -1)
    each = F.kl_div(log_q, log_p, reduction="none", log_target=True)
    return torch.where(log_p > -torch.inf, each, 0.0).sum(-1).mean()


@accepted("kl_divergence", "cross-entropy minus entropy, over flattened rows")
def kl_divergence(p_logits, q_logits):
    classes = p_logits.shape[-1]
    log_p, log_q = p_logits.reshape(-1, classes).log_softmax(1), q_logits.reshape(-1, classes).log_softmax(1)
    p, possible = log_p.exp(), log_p > -torch.inf
    costs = -(p * log_q.where(possible, 0.0)).sum(1) + (p * log_p.where(possible, 0.0)).sum(1)
    return costs.mean()


# 4.6 info_nce


@mistake("info_nce", "dot products instead of cosines: the rows are not scaled to length 1", see="4.6")
def info_nce(a, b, temperature=0.1):
    table, partner = a @ b.mT / temperature, torch.arange(len(a))
    return (F.cross_entropy(table, partner) + F.cross_entropy(table.mT, partner)) / 2


@mistake("info_nce", "only one direction is asked: each a looks for its b, but no b for its a", see="4.6")
def info_nce(a, b, temperature=0.1):
    table = F.normalize(a, dim=1) @ F.normalize(b, dim=1).mT / temperature
    return F.cross_entropy(table, torch.arange(len(a)))


@mistake("info_nce", "the two directions are added; the task wants their mean", see="4.6")
def info_nce(a, b, temperature=0.1):
    table, partner = F.normalize(a, dim=1) @ F.normalize(b, dim=1).mT / temperature, torch.arange(len(a))
    return F.cross_entropy(table, partner) + F.cross_entropy(table.mT, partner)


@mistake("info_nce", "the table is multiplied by the temperature; a small one must make softmax pickier", see="4.6")
def info_nce(a, b, temperature=0.1):
    table, partner = F.normalize(a, dim=1) @ F.normalize(b, dim=1).mT * temperature, torch.arange(len(a))
    return (F.cross_entropy(table, partner) + F.cross_entropy(table.mT, partner)) / 2


@mistake("info_nce", "columns are scaled to length 1; a vector is a row here", see="4.6")
def info_nce(a, b, temperature=0.1):
    table, partner = F.normalize(a, dim=0) @ F.normalize(b, dim=0).mT / temperature, torch.arange(len(a))
    return (F.cross_entropy(table, partner) + F.cross_entropy(table.mT, partner)) / 2


@mistake("info_nce", "b is detached: its encoder learns nothing", see="4.6")
def info_nce(a, b, temperature=0.1):
    table, partner = F.normalize(a, dim=1) @ F.normalize(b.detach(), dim=1).mT / temperature, torch.arange(len(a))
    return (F.cross_entropy(table, partner) + F.cross_entropy(table.mT, partner)) / 2


@mistake("info_nce", "the lengths are taken as constants, so the gradient also changes a vector's length", see="4.6")
def info_nce(a, b, temperature=0.1):
    with torch.no_grad():
        a_length, b_length = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    table, partner = (a / a_length) @ (b / b_length).mT / temperature, torch.arange(len(a))
    return (F.cross_entropy(table, partner) + F.cross_entropy(table.mT, partner)) / 2


@mistake("info_nce", "one softmax over the whole table lets the pairs compete with each other", see="4.6")
def info_nce(a, b, temperature=0.1):
    table = F.normalize(a, dim=1) @ F.normalize(b, dim=1).mT / temperature
    return -table.flatten().log_softmax(0).view_as(table).diagonal().mean()


@accepted("info_nce", "logsumexp of rows and columns minus the diagonal")
def info_nce(a, b, temperature=0.1):
    a, b = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
    table = torch.einsum("id,jd->ij", a, b) / temperature
    return (table.logsumexp(1) + table.logsumexp(0)).mean() / 2 - table.diagonal().mean()


@accepted("info_nce", "cosine_similarity, and one cross-entropy over both directions stacked")
def info_nce(a, b, temperature=0.1):
    table = F.cosine_similarity(a.unsqueeze(1), b.unsqueeze(0), dim=-1) / temperature
    return F.cross_entropy(torch.cat([table, table.T]), torch.arange(len(a)).repeat(2))


# 4.7 bits_per_symbol


@mistake("bits_per_symbol", "softmax before F.cross_entropy is one too many", see="4.3")
def bits_per_symbol(model, batches, pad):
    nats, count = 0.0, 0
    with torch.no_grad():
        for ids in batches:
            probabilities, target = model(ids[:, :-1]).softmax(-1).flatten(0, 1), ids[:, 1:].flatten()
            nats += F.cross_entropy(probabilities, target, ignore_index=pad, reduction="sum").item()
            count += (target != pad).sum().item()
    return nats / count / math.log(2)


@mistake("bits_per_symbol", "padding is counted as if it had been predicted", see="4.7")
def bits_per_symbol(model, batches, pad):
    nats, count = 0.0, 0
    with torch.no_grad():
        for ids in batches:
            logits, target = model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()
            nats += F.cross_entropy(logits, target, reduction="sum").item()
            count += target.numel()
    return nats / count / math.log(2)


@mistake("bits_per_symbol", "padding costs nothing, but the division still counts it", see="4.7")
def bits_per_symbol(model, batches, pad):
    nats, count = 0.0, 0
    with torch.no_grad():
        for ids in batches:
            logits, target = model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()
            nats += F.cross_entropy(logits, target, ignore_index=pad, reduction="sum").item()
            count += target.numel()
    return nats / count / math.log(2)


@mistake("bits_per_symbol", "a mean of batch means counts symbols of small batches more", see="4.7")
def bits_per_symbol(model, batches, pad):
    means = []
    with torch.no_grad():
        for ids in batches:
            target = ids[:, 1:].flatten()
            if (target != pad).any():
                logits = model(ids[:, :-1]).flatten(0, 1)
                means.append(F.cross_entropy(logits, target, ignore_index=pad).item())
    return sum(means) / len(means) / math.log(2)


@mistake("bits_per_symbol", "batch means are weighted by rows; rows hold different numbers of symbols", see="4.7")
def bits_per_symbol(model, batches, pad):
    total, rows = 0.0, 0
    with torch.no_grad():
        for ids in batches:
            target = ids[:, 1:].flatten()
            if (target != pad).any():
                logits = model(ids[:, :-1]).flatten(0, 1)
                total += len(ids) * F.cross_entropy(logits, target, ignore_index=pad).item()
                rows += len(ids)
    return total / rows / math.log(2)


@mistake("bits_per_symbol", "a batch of padding only has a mean of NaN, which spoils everything", see="4.7")
def bits_per_symbol(model, batches, pad):
    nats, count = 0.0, 0
    with torch.no_grad():
        for ids in batches:
            logits, target = model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()
            real = (target != pad).sum().item()
            nats += F.cross_entropy(logits, target, ignore_index=pad).item() * real
            count += real
    return nats / count / math.log(2)


@mistake("bits_per_symbol", "the padding symbol is always taken to be 0", see="4.7")
def bits_per_symbol(model, batches, pad):
    nats, count = 0.0, 0
    with torch.no_grad():
        for ids in batches:
            logits, target = model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()
            nats += F.cross_entropy(logits, target, ignore_index=0, reduction="sum").item()
            count += (target != 0).sum().item()
    return nats / count / math.log(2)


@mistake("bits_per_symbol", "gradients are recorded although nothing is trained", see="4.7")
def bits_per_symbol(model, batches, pad):
    nats, count = 0.0, 0
    for ids in batches:
        logits, target = model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()
        nats += F.cross_entropy(logits, target, ignore_index=pad, reduction="sum").item()
        count += (target != pad).sum().item()
    return nats / count / math.log(2)


@accepted("bits_per_symbol", "all costs collected, then one mean")
def bits_per_symbol(model, batches, pad):
    costs = []
    with torch.inference_mode():
        for ids in batches:
            target = ids[:, 1:]
            each = F.cross_entropy(model(ids[:, :-1]).transpose(1, 2), target, reduction="none")
            costs.append(each[target != pad])
    return (torch.cat(costs).double().mean() / math.log(2)).item()


@accepted("bits_per_symbol", "log_softmax and gather, in bits from the start")
@torch.no_grad()
def bits_per_symbol(model, batches, pad):
    bits = count = 0
    for ids in batches:
        target = ids[:, 1:]
        chosen = model(ids[:, :-1]).log_softmax(-1).gather(-1, target[..., None]).squeeze(-1)
        bits -= (chosen * (target != pad)).sum().item() / math.log(2)
        count += int((target != pad).sum())
    return bits / count


# 4.8 gce_loss


@mistake("gce_loss", "the division by q is missing", see="4.8")
def gce_loss(logits, target, q=0.7):
    log_p = logits.log_softmax(1).gather(1, target[:, None])
    return (1 - (q * log_p).exp()).mean()


@mistake("gce_loss", "a power below 1 has an infinite slope at 0, and infinity times 0 is NaN", see="4.8")
def gce_loss(logits, target, q=0.7):
    p = logits.softmax(1).gather(1, target[:, None])
    return ((1 - p**q) / q).mean()


@mistake("gce_loss", "the power is applied to the mean probability instead of each one", see="4.8")
def gce_loss(logits, target, q=0.7):
    p = logits.softmax(1).gather(1, target[:, None]).mean()
    return (1 - p**q) / q


@mistake("gce_loss", "1 − p is raised to the power q; it is p that is, before the subtraction", see="4.8")
def gce_loss(logits, target, q=0.7):
    p = logits.softmax(1).gather(1, target[:, None])
    return ((1 - p) ** q / q).mean()


@mistake("gce_loss", "the softmax runs over the examples instead of the classes", see="4.8")
def gce_loss(logits, target, q=0.7):
    log_p = logits.log_softmax(0).gather(1, target[:, None])
    return (1 - (q * log_p).exp()).mean() / q


@mistake("gce_loss", "log_p[:, target] is an (n, n) table: every row is charged for every label", see="4.8")
def gce_loss(logits, target, q=0.7):
    log_p = logits.log_softmax(1)[:, target]
    return (1 - (q * log_p).exp()).mean() / q


@accepted("gce_loss", "expm1, which stays accurate for a small q")
def gce_loss(logits, target, q=0.7):
    log_p = logits[torch.arange(len(target)), target] - logits.logsumexp(1)
    return (-torch.expm1(q * log_p) / q).mean()


@accepted("gce_loss", "from PyTorch's cross-entropy of each row")
def gce_loss(logits, target, q=0.7):
    cost = F.cross_entropy(logits, target, reduction="none")
    return ((1 - torch.exp(-q * cost)) / q).sum() / len(target)


# 4.8 calibration_error


@mistake("calibration_error", "bins count alike, however few rows they hold", see="4.8")
def calibration_error(probabilities, target, bins=10):
    confidence, predicted = probabilities.max(1)
    gaps = []
    for i in range(bins):
        inside = (confidence > i / bins) & (confidence <= (i + 1) / bins)
        if inside.any():
            right = (predicted == target)[inside].double().mean()
            gaps.append((right - confidence[inside].mean()).abs().item())
    return sum(gaps) / len(gaps)


@mistake(
    "calibration_error", "gaps above and below the diagonal cancel: the absolute value is missing inside", see="4.8"
)
def calibration_error(probabilities, target, bins=10):
    confidence, predicted = probabilities.max(1)
    return abs((predicted == target).to(confidence.dtype).mean().item() - confidence.mean().item())


@mistake("calibration_error", "bins are closed on the left, so a confidence of 1 is in none", see="4.8")
def calibration_error(probabilities, target, bins=10):
    confidence, predicted = probabilities.max(1)
    right, error = (predicted == target).to(probabilities.dtype), 0.0
    for i in range(bins):
        inside = (confidence >= i / bins) & (confidence < (i + 1) / bins)
        if inside.any():
            error += inside.sum().item() * (right[inside].mean() - confidence[inside].mean()).abs().item()
    return error / len(target)


@mistake(
    "calibration_error", "the confidence is the probability of the true class, not of the predicted one", see="4.8"
)
def calibration_error(probabilities, target, bins=10):
    confidence = probabilities.gather(1, target[:, None]).squeeze(1)
    right, error = (probabilities.argmax(1) == target).to(probabilities.dtype), 0.0
    for i in range(bins):
        inside = (confidence > i / bins) & (confidence <= (i + 1) / bins)
        if inside.any():
            error += inside.sum().item() * (right[inside].mean() - confidence[inside].mean()).abs().item()
    return error / len(target)


@mistake("calibration_error", "the largest gap is reported instead of the expected one", see="4.8")
def calibration_error(probabilities, target, bins=10):
    confidence, predicted = probabilities.max(1)
    gaps = [0.0]
    for i in range(bins):
        inside = (confidence > i / bins) & (confidence <= (i + 1) / bins)
        if inside.any():
            right = (predicted == target)[inside].double().mean()
            gaps.append((right - confidence[inside].mean()).abs().item())
    return max(gaps)


@mistake("calibration_error", "the gap is measured against the middle of the bin, not its mean confidence", see="4.8")
def calibration_error(probabilities, target, bins=10):
    confidence, predicted = probabilities.max(1)
    right, error = (predicted == target).to(probabilities.dtype), 0.0
    for i in range(bins):
        inside = (confidence > i / bins) & (confidence <= (i + 1) / bins)
        if inside.any():
            error += inside.sum().item() * abs(right[inside].mean().item() - (i + 0.5) / bins)
    return error / len(target)


@accepted("calibration_error", "bin numbers by rounding up, added up by index")
def calibration_error(probabilities, target, bins=10):
    confidence, predicted = probabilities.max(1)
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    gaps = torch.zeros(bins, dtype=probabilities.dtype)
    gaps.index_add_(0, place, (predicted == target).to(probabilities.dtype) - confidence)
    return gaps.abs().sum().item() / len(target)


@accepted("calibration_error", "bucketize over the inner edges")
def calibration_error(probabilities, target, bins=10):
    confidence, predicted = probabilities.amax(1), probabilities.argmax(1)
    place = torch.bucketize(confidence, torch.arange(1, bins, dtype=confidence.dtype) / bins)
    error = 0.0
    for i in place.unique():
        inside = place == i
        hits = (predicted[inside] == target[inside]).to(confidence.dtype).sum()
        error += (hits - confidence[inside].sum()).abs().item()
    return error / len(target)
