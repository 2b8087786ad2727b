"""Wrong and right ways to write the exercises of lesson 05."""

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn
from torchgrade.lessons import accepted, mistake

# 5.1 SGD


@mistake("SGD", "a generator such as model.parameters() is empty after the first walk; keep a list", see="5.1")
class SGD:
    def __init__(self, parameters, lr, momentum=0.0, weight_decay=0.0):
        self.parameters = parameters
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.velocities = {}

    @torch.no_grad()
    def step(self):
        for p in self.parameters:
            if p.grad is not None:
                g = p.grad + self.weight_decay * p
                v = self.momentum * self.velocities.get(p, torch.zeros_like(p)) + g
                self.velocities[p] = v
                p -= self.lr * v


@mistake(
    "SGD", "the rate is put into the velocity, so a later change of the rate does not reach old gradients", see="5.1"
)
class SGD:
    def __init__(self, parameters, lr, momentum=0.0, weight_decay=0.0):
        self.parameters = list(parameters)
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.velocities = [torch.zeros_like(p) for p in self.parameters]

    @torch.no_grad()
    def step(self):
        for p, v in zip(self.parameters, self.velocities, strict=True):
            if p.grad is not None:
                v.mul_(self.momentum).add_(self.lr * (p.grad + self.weight_decay * p))
                p -= v


@mistake("SGD", "weight decay is added into p.grad in place; step must leave the gradient as it is", see="5.1")
class SGD:
    def __init__(self, parameters, lr, momentum=0.0, weight_decay=0.0):
        self.parameters = list(parameters)
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.velocities = [torch.zeros_like(p) for p in self.parameters]

    @torch.no_grad()
    def step(self):
        for p, v in zip(self.parameters, self.velocities, strict=True):
            if p.grad is not None:
                p.grad += self.weight_decay * p
                v.mul_(self.momentum).add_(p.grad)
                p -= self.lr * v


@mistake("SGD", "the velocity is an average, (1 - momentum) · g, instead of a sum of gradients", see="5.1")
class SGD:
    def __init__(self, parameters, lr, momentum=0.0, weight_decay=0.0):
        self.parameters = list(parameters)
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.velocities = [torch.zeros_like(p) for p in self.parameters]

    @torch.no_grad()
    def step(self):
        for p, v in zip(self.parameters, self.velocities, strict=True):
            if p.grad is not None:
                v.lerp_(p.grad + self.weight_decay * p, 1 - self.momentum)
                p -= self.lr * v


@mistake("SGD", "the first gradient becomes the velocity itself, an alias that the next step writes into", see="1.1")
class SGD:
    def __init__(self, parameters, lr, momentum=0.0, weight_decay=0.0):
        self.parameters = list(parameters)
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.velocities = [None for _ in self.parameters]

    @torch.no_grad()
    def step(self):
        for i, p in enumerate(self.parameters):
            if p.grad is None:
                continue
            g = p.grad if self.weight_decay == 0 else p.grad + self.weight_decay * p
            if self.velocities[i] is None:
                self.velocities[i] = g
            else:
                g += self.momentum * self.velocities[i]
                self.velocities[i] = g
            p -= self.lr * g


@mistake("SGD", "a parameter without a gradient coasts on its old velocity; it must be left alone", see="5.1")
class SGD:
    def __init__(self, parameters, lr, momentum=0.0, weight_decay=0.0):
        self.parameters = list(parameters)
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.velocities = [torch.zeros_like(p) for p in self.parameters]

    @torch.no_grad()
    def step(self):
        for p, v in zip(self.parameters, self.velocities, strict=True):
            g = 0.0 if p.grad is None else p.grad + self.weight_decay * p
            v.mul_(self.momentum).add_(g)
            p -= self.lr * v


@mistake("SGD", "p = p - ... makes a new tensor; the model keeps the old one", see="5.1")
class SGD:
    def __init__(self, parameters, lr, momentum=0.0, weight_decay=0.0):
        self.parameters = list(parameters)
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.velocities = [torch.zeros_like(p) for p in self.parameters]

    @torch.no_grad()
    def step(self):
        for p, v in zip(self.parameters, self.velocities, strict=True):
            if p.grad is not None:
                v.mul_(self.momentum).add_(p.grad + self.weight_decay * p)
                p = p - self.lr * v


@mistake("SGD", "torch's own optimizer is used instead of building it", see="5.1")
class SGD(torch.optim.SGD):
    def __init__(self, parameters, lr, momentum=0.0, weight_decay=0.0):
        super().__init__(parameters, lr, momentum=momentum, weight_decay=weight_decay)


@accepted("SGD", "p.data and a dict of velocities")
class SGD:
    def __init__(self, parameters, lr, momentum=0.0, weight_decay=0.0):
        self.parameters, self.velocity = [*parameters], {}
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay

    def step(self):
        for p in self.parameters:
            if p.grad is None:
                continue
            g = p.grad + self.weight_decay * p.data
            self.velocity[p] = g if p not in self.velocity else self.momentum * self.velocity[p] + g
            p.data -= self.lr * self.velocity[p]


@accepted("SGD", "copy_ under no_grad")
class SGD:
    def __init__(self, parameters, lr, momentum=0.0, weight_decay=0.0):
        self.pairs = [(p, torch.zeros_like(p, requires_grad=False)) for p in parameters]
        self.lr, self.mu, self.decay = lr, momentum, weight_decay

    @torch.no_grad()
    def step(self):
        for p, v in self.pairs:
            if p.grad is not None:
                v.copy_(self.mu * v + p.grad + self.decay * p)
                p.copy_(p - self.lr * v)


# 5.2 AdamW: `_adamw` is not at hand in a notebook, so each variant is written out.


@mistake("AdamW", "weight decay is added to the gradient, so it is divided by √v like everything else", see="5.2")
class AdamW:
    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        self.parameters, self.lr, self.betas = list(parameters), lr, betas
        self.eps, self.decay = eps, weight_decay
        self.state = [[torch.zeros_like(p), torch.zeros_like(p), 0] for p in self.parameters]

    @torch.no_grad()
    def step(self):
        b1, b2 = self.betas
        for p, state in zip(self.parameters, self.state, strict=True):
            if p.grad is None:
                continue
            g = p.grad + self.decay * p
            state[0] = b1 * state[0] + (1 - b1) * g
            state[1] = b2 * state[1] + (1 - b2) * g**2
            state[2] += 1
            m, v = state[0] / (1 - b1 ** state[2]), state[1] / (1 - b2 ** state[2])
            p -= self.lr * m / (v.sqrt() + self.eps)


@mistake("AdamW", "eps is added under the square root; it belongs behind it", see="5.2")
class AdamW:
    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        self.parameters, self.lr, self.betas = list(parameters), lr, betas
        self.eps, self.decay = eps, weight_decay
        self.state = [[torch.zeros_like(p), torch.zeros_like(p), 0] for p in self.parameters]

    @torch.no_grad()
    def step(self):
        b1, b2 = self.betas
        for p, state in zip(self.parameters, self.state, strict=True):
            if p.grad is None:
                continue
            p *= 1 - self.lr * self.decay
            state[0] = b1 * state[0] + (1 - b1) * p.grad
            state[1] = b2 * state[1] + (1 - b2) * p.grad**2
            state[2] += 1
            m, v = state[0] / (1 - b1 ** state[2]), state[1] / (1 - b2 ** state[2])
            p -= self.lr * m / (v + self.eps).sqrt()


@mistake("AdamW", "eps is added before the bias correction of v", see="5.2")
class AdamW:
    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        self.parameters, self.lr, self.betas = list(parameters), lr, betas
        self.eps, self.decay = eps, weight_decay
        self.state = [[torch.zeros_like(p), torch.zeros_like(p), 0] for p in self.parameters]

    @torch.no_grad()
    def step(self):
        b1, b2 = self.betas
        for p, state in zip(self.parameters, self.state, strict=True):
            if p.grad is None:
                continue
            p *= 1 - self.lr * self.decay
            state[0] = b1 * state[0] + (1 - b1) * p.grad
            state[1] = b2 * state[1] + (1 - b2) * p.grad**2
            state[2] += 1
            rate = self.lr * math.sqrt(1 - b2 ** state[2]) / (1 - b1 ** state[2])
            p -= rate * state[0] / (state[1].sqrt() + self.eps)


@mistake("AdamW", "the bias correction is missing: the first steps are far too small or too large", see="5.2")
class AdamW:
    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        self.parameters, self.lr, self.betas = list(parameters), lr, betas
        self.eps, self.decay = eps, weight_decay
        self.state = [[torch.zeros_like(p), torch.zeros_like(p)] for p in self.parameters]

    @torch.no_grad()
    def step(self):
        b1, b2 = self.betas
        for p, state in zip(self.parameters, self.state, strict=True):
            if p.grad is None:
                continue
            p *= 1 - self.lr * self.decay
            state[0] = b1 * state[0] + (1 - b1) * p.grad
            state[1] = b2 * state[1] + (1 - b2) * p.grad**2
            p -= self.lr * state[0] / (state[1].sqrt() + self.eps)


@mistake("AdamW", "one counter for all parameters counts steps that a parameter did not make", see="5.2")
class AdamW:
    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        self.parameters, self.lr, self.betas = list(parameters), lr, betas
        self.eps, self.decay, self.t = eps, weight_decay, 0
        self.state = [[torch.zeros_like(p), torch.zeros_like(p)] for p in self.parameters]

    @torch.no_grad()
    def step(self):
        b1, b2 = self.betas
        self.t += 1
        for p, state in zip(self.parameters, self.state, strict=True):
            if p.grad is None:
                continue
            p *= 1 - self.lr * self.decay
            state[0] = b1 * state[0] + (1 - b1) * p.grad
            state[1] = b2 * state[1] + (1 - b2) * p.grad**2
            m, v = state[0] / (1 - b1**self.t), state[1] / (1 - b2**self.t)
            p -= self.lr * m / (v.sqrt() + self.eps)


@mistake("AdamW", "a parameter without a gradient decays all the same; it must be left alone", see="5.2")
class AdamW:
    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        self.parameters, self.lr, self.betas = list(parameters), lr, betas
        self.eps, self.decay = eps, weight_decay
        self.state = [[torch.zeros_like(p), torch.zeros_like(p), 0] for p in self.parameters]

    @torch.no_grad()
    def step(self):
        b1, b2 = self.betas
        for p, state in zip(self.parameters, self.state, strict=True):
            p *= 1 - self.lr * self.decay
            if p.grad is None:
                continue
            state[0] = b1 * state[0] + (1 - b1) * p.grad
            state[1] = b2 * state[1] + (1 - b2) * p.grad**2
            state[2] += 1
            m, v = state[0] / (1 - b1 ** state[2]), state[1] / (1 - b2 ** state[2])
            p -= self.lr * m / (v.sqrt() + self.eps)


@mistake("AdamW", "the decay is not multiplied by the learning rate", see="5.2")
class AdamW:
    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        self.parameters, self.lr, self.betas = list(parameters), lr, betas
        self.eps, self.decay = eps, weight_decay
        self.state = [[torch.zeros_like(p), torch.zeros_like(p), 0] for p in self.parameters]

    @torch.no_grad()
    def step(self):
        b1, b2 = self.betas
        for p, state in zip(self.parameters, self.state, strict=True):
            if p.grad is None:
                continue
            p *= 1 - self.decay
            state[0] = b1 * state[0] + (1 - b1) * p.grad
            state[1] = b2 * state[1] + (1 - b2) * p.grad**2
            state[2] += 1
            m, v = state[0] / (1 - b1 ** state[2]), state[1] / (1 - b2 ** state[2])
            p -= self.lr * m / (v.sqrt() + self.eps)


@mistake("AdamW", "the gradient is squared in place: the caller's grad changes", see="1.1")
class AdamW:
    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        self.parameters, self.lr, self.betas = list(parameters), lr, betas
        self.eps, self.decay = eps, weight_decay
        self.state = [[torch.zeros_like(p), torch.zeros_like(p), 0] for p in self.parameters]

    @torch.no_grad()
    def step(self):
        b1, b2 = self.betas
        for p, state in zip(self.parameters, self.state, strict=True):
            if p.grad is None:
                continue
            p *= 1 - self.lr * self.decay
            state[0] = b1 * state[0] + (1 - b1) * p.grad
            state[1] = b2 * state[1] + (1 - b2) * p.grad.square_()
            state[2] += 1
            m, v = state[0] / (1 - b1 ** state[2]), state[1] / (1 - b2 ** state[2])
            p -= self.lr * m / (v.sqrt() + self.eps)


@mistake("AdamW", "torch's own optimizer is used instead of building it", see="5.2")
class AdamW(torch.optim.AdamW):
    pass


@accepted("AdamW", "the corrections folded into rate and root, as PyTorch does")
class AdamW:
    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        self.params, self.lr, self.betas, self.eps, self.wd = [*parameters], lr, betas, eps, weight_decay
        self.memory = {}

    @torch.no_grad()
    def step(self):
        b1, b2 = self.betas
        for p in self.params:
            if p.grad is None:
                continue
            m, v, t = self.memory.get(p, (torch.zeros_like(p), torch.zeros_like(p), 0))
            m, v, t = b1 * m + (1 - b1) * p.grad, b2 * v + (1 - b2) * p.grad * p.grad, t + 1
            self.memory[p] = m, v, t
            p.sub_(self.lr * self.wd * p)
            p.addcdiv_(m, v.sqrt() / math.sqrt(1 - b2**t) + self.eps, value=-self.lr / (1 - b1**t))


@accepted("AdamW", "running products of the betas instead of a counter")
class AdamW:
    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        self.lr, self.betas, self.eps, self.weight_decay = lr, betas, eps, weight_decay
        self.slots = [{"p": p, "m": 0.0, "v": 0.0, "left1": 1.0, "left2": 1.0} for p in parameters]

    def step(self):
        b1, b2 = self.betas
        for slot in self.slots:
            p = slot["p"]
            if p.grad is None:
                continue
            slot["m"] = b1 * slot["m"] + (1 - b1) * p.grad
            slot["v"] = b2 * slot["v"] + (1 - b2) * p.grad**2
            slot["left1"], slot["left2"] = slot["left1"] * b1, slot["left2"] * b2
            root = (slot["v"] / (1 - slot["left2"])).sqrt() + self.eps
            decayed = p.data - self.lr * self.weight_decay * p.data
            p.data.copy_(decayed - self.lr * (slot["m"] / (1 - slot["left1"])) / root)


# 5.3 orthogonalize


@mistake("orthogonalize", "a tall matrix is not transposed: the table is as large as its long side", see="5.3")
def orthogonalize(g, steps=5):
    x = g / (g.norm() + 1e-7)
    for _ in range(steps):
        table = x @ x.mT
        x = 3.4445 * x + (-4.7750 * table + 2.0315 * table @ table) @ x
    return x


@mistake("orthogonalize", "A² squares each entry; it must be the matrix product A A", see="5.3")
def orthogonalize(g, steps=5):
    x = g / (g.norm() + 1e-7)
    tall = len(g) > g.shape[1]
    x = x.mT if tall else x
    for _ in range(steps):
        table = x @ x.mT
        x = 3.4445 * x + (-4.7750 * table + 2.0315 * table**2) @ x
    return x.mT if tall else x


@mistake("orthogonalize", "the matrix is divided by its largest singular value instead of by its norm", see="5.3")
def orthogonalize(g, steps=5):
    x = g / (torch.linalg.matrix_norm(g, 2) + 1e-7)
    tall = len(g) > g.shape[1]
    x = x.mT if tall else x
    for _ in range(steps):
        table = x @ x.mT
        x = 3.4445 * x + (-4.7750 * table + 2.0315 * table @ table) @ x
    return x.mT if tall else x


@mistake("orthogonalize", "zeros are divided by zero: the 1e-7 is missing", see="5.3")
def orthogonalize(g, steps=5):
    x = g / g.norm()
    tall = len(g) > g.shape[1]
    x = x.mT if tall else x
    for _ in range(steps):
        table = x @ x.mT
        x = 3.4445 * x + (-4.7750 * table + 2.0315 * table @ table) @ x
    return x.mT if tall else x


@mistake("orthogonalize", "g is scaled in place: the caller's momentum changes", see="1.1")
def orthogonalize(g, steps=5):
    g /= g.norm() + 1e-7
    x = g.mT if len(g) > g.shape[1] else g
    for _ in range(steps):
        table = x @ x.mT
        x = 3.4445 * x + (-4.7750 * table + 2.0315 * table @ table) @ x
    return x.mT if len(g) > g.shape[1] else x


@mistake("orthogonalize", "the number of steps is always 5, whatever the caller asks for", see="5.3")
def orthogonalize(g, steps=5):
    x = g / (g.norm() + 1e-7)
    tall = len(g) > g.shape[1]
    x = x.mT if tall else x
    for _ in range(5):
        table = x @ x.mT
        x = 3.4445 * x + (-4.7750 * table + 2.0315 * table @ table) @ x
    return x.mT if tall else x


@mistake("orthogonalize", "the singular values become exactly 1; the polynomial only brings them near", see="5.3")
def orthogonalize(g, steps=5):
    u, _, vt = torch.linalg.svd(g, full_matrices=False)
    return u @ vt


@accepted("orthogonalize", "for tall matrices the table of columns, from the right")
def orthogonalize(g, steps=5):
    x = g / (g.square().sum().sqrt() + 1e-7)
    for _ in range(steps):
        if x.shape[0] > x.shape[1]:
            table = x.mT @ x
            x = 3.4445 * x + x @ (-4.7750 * table + 2.0315 * table @ table)
        else:
            table = x @ x.mT
            x = 3.4445 * x + (-4.7750 * table + 2.0315 * table @ table) @ x
    return x


@accepted("orthogonalize", "recursion for the transpose")
def orthogonalize(g, steps=5):
    if g.shape[0] > g.shape[1]:
        return orthogonalize(g.T, steps).T
    x = g / (torch.linalg.norm(g) + 1e-7)
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x - 4.7750 * a @ x + 2.0315 * a @ (a @ x)
    return x


# 5.4 lr_at


@mistake("lr_at", "the first step has a rate of 0: warm-up counts from step + 1", see="5.4")
def lr_at(step, warmup, total, peak, floor=0.0):
    if step < warmup:
        return peak * step / warmup
    if step >= total:
        return floor
    done = (step - warmup) / (total - warmup)
    return floor + (peak - floor) * (1 + math.cos(math.pi * done)) / 2


@mistake("lr_at", "the cosine counts from step 0 instead of from the end of the warm-up", see="5.4")
def lr_at(step, warmup, total, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    if step >= total:
        return floor
    return floor + (peak - floor) * (1 + math.cos(math.pi * step / total)) / 2


@mistake("lr_at", "beyond the end the cosine rises again", see="5.4")
def lr_at(step, warmup, total, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    if total == warmup:
        return floor
    done = (step - warmup) / (total - warmup)
    return floor + (peak - floor) * (1 + math.cos(math.pi * done)) / 2


@mistake("lr_at", "the floor is added on top, so the rate begins above its peak", see="5.4")
def lr_at(step, warmup, total, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    if step >= total:
        return floor
    return floor + peak * (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2


@mistake("lr_at", "after the end the rate is 0 instead of the floor", see="5.4")
def lr_at(step, warmup, total, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    if step >= total:
        return 0.0
    done = (step - warmup) / (total - warmup)
    return floor + (peak - floor) * (1 + math.cos(math.pi * done)) / 2


@mistake("lr_at", "warm-up of the whole run divides by zero", see="5.4")
def lr_at(step, warmup, total, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    done = min(1.0, (step - warmup) / (total - warmup))
    return floor + (peak - floor) * (1 + math.cos(math.pi * done)) / 2


@accepted("lr_at", "cosine as sine squared, cases in another order")
def lr_at(step, warmup, total, peak, floor=0.0):
    if step >= total:
        return float(floor)
    if step < warmup:
        return peak * ((step + 1) / warmup)
    return peak - (peak - floor) * math.sin(math.pi / 2 * (step - warmup) / (total - warmup)) ** 2


@accepted("lr_at", "a weighted mean of peak and floor")
def lr_at(step, warmup, total, peak, floor=0.0):
    if step < warmup:
        return (step + 1) * peak / warmup
    q = 1.0 if total == warmup else min(step - warmup, total - warmup) / (total - warmup)
    share = 0.5 + 0.5 * math.cos(math.pi * q)
    return share * peak + (1 - share) * floor


# 5.5 clip_gradients


@mistake("clip_gradients", "each gradient is clipped by its own norm; the norm must be that of all together", see="5.5")
def clip_gradients(parameters, max_norm):
    norms = []
    for p in parameters:
        if p.grad is not None:
            norms.append(p.grad.norm().item())
            if max_norm < norms[-1] < math.inf:
                p.grad.mul_(max_norm / norms[-1])
    return math.sqrt(sum(norm**2 for norm in norms))


@mistake("clip_gradients", "short gradients are made longer: clipping only ever shortens", see="5.5")
def clip_gradients(parameters, max_norm):
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = math.sqrt(sum(g.square().sum().item() for g in gradients))
    if 0 < norm < math.inf:
        for g in gradients:
            g.mul_(max_norm / norm)
    return norm


@mistake("clip_gradients", "a generator is walked through twice; the second walk finds nothing", see="5.5")
def clip_gradients(parameters, max_norm):
    norm = math.sqrt(sum(p.grad.square().sum().item() for p in parameters if p.grad is not None))
    if max_norm < norm < math.inf:
        for p in parameters:
            if p.grad is not None:
                p.grad.mul_(max_norm / norm)
    return norm


@mistake("clip_gradients", "the norms are added instead of their squares", see="5.5")
def clip_gradients(parameters, max_norm):
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = sum((g.norm().item() for g in gradients), 0.0)
    if max_norm < norm < math.inf:
        for g in gradients:
            g.mul_(max_norm / norm)
    return norm


@mistake("clip_gradients", "an infinite norm sets gradients to 0 or NaN; they must be left as they are", see="5.5")
def clip_gradients(parameters, max_norm):
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = math.sqrt(sum(g.square().sum().item() for g in gradients))
    if norm > max_norm:
        for g in gradients:
            g.mul_(max_norm / norm)
    return norm


@mistake("clip_gradients", "new gradients are assigned instead of scaling them in place", see="5.5")
def clip_gradients(parameters, max_norm):
    with_gradient = [p for p in parameters if p.grad is not None]
    norm = math.sqrt(sum(p.grad.square().sum().item() for p in with_gradient))
    if max_norm < norm < math.inf:
        for p in with_gradient:
            p.grad = p.grad * (max_norm / norm)
    return norm


@mistake("clip_gradients", "the norm after clipping is returned, which hides how large the gradient was", see="5.5")
def clip_gradients(parameters, max_norm):
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = math.sqrt(sum(g.square().sum().item() for g in gradients))
    if max_norm < norm < math.inf:
        for g in gradients:
            g.mul_(max_norm / norm)
        norm = float(max_norm)
    return norm


@mistake("clip_gradients", "torch's own clipping is called instead of building it", see="5.5")
def clip_gradients(parameters, max_norm):
    with_gradient = [p for p in parameters if p.grad is not None]
    norm = nn.utils.get_total_norm([p.grad for p in with_gradient])
    if norm.isfinite():
        nn.utils.clip_grad_norm_(with_gradient, max_norm)
    return norm.item()


@accepted("clip_gradients", "one long vector, and a millionth added to the norm as PyTorch does")
def clip_gradients(parameters, max_norm):
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return 0.0
    norm = torch.cat([g.reshape(-1) for g in gradients]).norm().item()
    if math.isfinite(norm) and norm > max_norm:
        for g in gradients:
            g *= max_norm / (norm + 1e-6)
    return norm


@accepted("clip_gradients", "a norm of norms")
def clip_gradients(parameters, max_norm):
    parameters = [*parameters]
    norms = torch.tensor([p.grad.norm() for p in parameters if p.grad is not None] or [0.0])
    norm = norms.norm()
    if norm.isfinite() and norm > max_norm:
        for p in parameters:
            if p.grad is not None:
                p.grad.copy_(p.grad * (max_norm / norm))
    return norm.item()


# 5.6 accumulate


@mistake("accumulate", "a mean of means: micro-batches of unequal size weigh the same", see="5.6")
def accumulate(model, optimizer, micro_batches):
    micro_batches = [(x, y) for x, y in micro_batches if (y != -100).any()]
    if not micro_batches:
        return 0.0
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x), y) / len(micro_batches)
        loss.backward()
        total += loss.item()
    optimizer.step()
    return total


@mistake("accumulate", "ignored targets are counted: N is the number of targets that count", see="5.6")
def accumulate(model, optimizer, micro_batches):
    if all((y == -100).all() for _, y in micro_batches):
        return 0.0
    n = sum(len(y) for _, y in micro_batches)
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x), y, reduction="sum") / n
        loss.backward()
        total += loss.item()
    optimizer.step()
    return total


@mistake("accumulate", "one optimizer step for each micro-batch instead of one for all", see="5.6")
def accumulate(model, optimizer, micro_batches):
    n = sum((y != -100).sum().item() for _, y in micro_batches)
    total = 0.0
    if n:
        for x, y in micro_batches:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y, reduction="sum") / n
            loss.backward()
            optimizer.step()
            total += loss.item()
    return total


@mistake("accumulate", "gradients are cleared inside the loop, so only the last micro-batch counts", see="5.6")
def accumulate(model, optimizer, micro_batches):
    n = sum((y != -100).sum().item() for _, y in micro_batches)
    if n == 0:
        return 0.0
    total = 0.0
    for x, y in micro_batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y, reduction="sum") / n
        loss.backward()
        total += loss.item()
    optimizer.step()
    return total


@mistake("accumulate", "gradients left over from before are added to the new ones", see="5.6")
def accumulate(model, optimizer, micro_batches):
    n = sum((y != -100).sum().item() for _, y in micro_batches)
    if n == 0:
        return 0.0
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x), y, reduction="sum") / n
        loss.backward()
        total += loss.item()
    optimizer.step()
    optimizer.zero_grad()
    return total


@mistake("accumulate", "the losses are summed and differentiated at the end: all graphs stay in memory", see="5.6")
def accumulate(model, optimizer, micro_batches):
    n = sum((y != -100).sum().item() for _, y in micro_batches)
    if n == 0:
        return 0.0
    loss = sum(F.cross_entropy(model(x), y, reduction="sum") for x, y in micro_batches) / n
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake("accumulate", "the micro-batches are joined into one: that needs the memory of the big batch", see="5.6")
def accumulate(model, optimizer, micro_batches):
    xs, ys = (torch.cat(parts) for parts in zip(*micro_batches, strict=True))
    if (ys == -100).all():
        return 0.0
    loss = F.cross_entropy(model(xs), ys)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake("accumulate", "a step is made although no target counts, and weight decay changes the weights", see="5.6")
def accumulate(model, optimizer, micro_batches):
    n = max(1, sum((y != -100).sum().item() for _, y in micro_batches))
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x), y, reduction="sum") / n
        loss.backward()
        total += loss.item()
    optimizer.step()
    return total


@accepted("accumulate", "means weighted by their share of the targets")
def accumulate(model, optimizer, micro_batches):
    counts = [int((y != -100).sum()) for _, y in micro_batches]
    if not any(counts):
        return 0.0
    optimizer.zero_grad()
    total = 0.0
    for (x, y), count in zip(micro_batches, counts, strict=True):
        if count:
            loss = F.cross_entropy(model(x), y) * count / sum(counts)
            loss.backward()
            total += loss.item()
        else:
            (0.0 * model(x).sum()).backward()
    optimizer.step()
    return total


@accepted("accumulate", "sums first, gradients divided at the end")
def accumulate(model, optimizer, micro_batches):
    optimizer.zero_grad()
    total, n = 0.0, 0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x), y, reduction="sum")
        loss.backward()
        total, n = total + loss.item(), n + (y != -100).sum().item()
    if n == 0:
        return 0.0
    for group in optimizer.param_groups:
        for p in group["params"]:
            p.grad /= n
    optimizer.step()
    return total / n


# 5.7 fit


@mistake("fit", "gradients are cleared once per epoch, so each step sees those of all batches before it", see="5.7")
def fit(model, train, validation, epochs, batch_size, lr, patience, seed=0):
    (x, y), (x_val, y_val) = train, validation
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9)
    order = torch.Generator().manual_seed(seed)
    best, best_epoch, history = math.inf, 0, []
    for epoch in range(epochs):
        model.train()
        optimizer.zero_grad()
        for ids in torch.randperm(len(x), generator=order).split(batch_size):
            F.cross_entropy(model(x[ids]), y[ids]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            history.append(F.cross_entropy(model(x_val), y_val).item())
        if history[-1] < best:
            best, best_epoch, best_state = history[-1], epoch, copy.deepcopy(model.state_dict())
        if epoch - best_epoch >= patience:
            break
    model.load_state_dict(best_state)
    return history


@mistake(
    "fit", "model.train() stands before the loop: from the second epoch on the model trains in eval mode", see="5.7"
)
def fit(model, train, validation, epochs, batch_size, lr, patience, seed=0):
    (x, y), (x_val, y_val) = train, validation
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9)
    order = torch.Generator().manual_seed(seed)
    best, best_epoch, history = math.inf, 0, []
    model.train()
    for epoch in range(epochs):
        for ids in torch.randperm(len(x), generator=order).split(batch_size):
            optimizer.zero_grad()
            F.cross_entropy(model(x[ids]), y[ids]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            history.append(F.cross_entropy(model(x_val), y_val).item())
        if history[-1] < best:
            best, best_epoch, best_state = history[-1], epoch, copy.deepcopy(model.state_dict())
        if epoch - best_epoch >= patience:
            break
    model.load_state_dict(best_state)
    return history


@mistake("fit", "the best state is kept by reference, so it goes on training", see="5.7")
def fit(model, train, validation, epochs, batch_size, lr, patience, seed=0):
    (x, y), (x_val, y_val) = train, validation
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9)
    order = torch.Generator().manual_seed(seed)
    best, best_epoch, history = math.inf, 0, []
    for epoch in range(epochs):
        model.train()
        for ids in torch.randperm(len(x), generator=order).split(batch_size):
            optimizer.zero_grad()
            F.cross_entropy(model(x[ids]), y[ids]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            history.append(F.cross_entropy(model(x_val), y_val).item())
        if history[-1] < best:
            best, best_epoch, best_state = history[-1], epoch, dict(model.state_dict())
        if epoch - best_epoch >= patience:
            break
    model.load_state_dict(best_state)
    return history


@mistake("fit", "only the parameters are kept; batch norm's running statistics are buffers", see="5.7")
def fit(model, train, validation, epochs, batch_size, lr, patience, seed=0):
    (x, y), (x_val, y_val) = train, validation
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9)
    order = torch.Generator().manual_seed(seed)
    best, best_epoch, history = math.inf, 0, []
    for epoch in range(epochs):
        model.train()
        for ids in torch.randperm(len(x), generator=order).split(batch_size):
            optimizer.zero_grad()
            F.cross_entropy(model(x[ids]), y[ids]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            history.append(F.cross_entropy(model(x_val), y_val).item())
        if history[-1] < best:
            best, best_epoch = history[-1], epoch
            best_weights = [p.detach().clone() for p in model.parameters()]
        if epoch - best_epoch >= patience:
            break
    with torch.no_grad():
        for p, kept in zip(model.parameters(), best_weights, strict=True):
            p.copy_(kept)
    return history


@mistake("fit", "the generator is made anew in every epoch, so each epoch has the same order", see="5.7")
def fit(model, train, validation, epochs, batch_size, lr, patience, seed=0):
    (x, y), (x_val, y_val) = train, validation
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9)
    best, best_epoch, history = math.inf, 0, []
    for epoch in range(epochs):
        order = torch.Generator().manual_seed(seed)
        model.train()
        for ids in torch.randperm(len(x), generator=order).split(batch_size):
            optimizer.zero_grad()
            F.cross_entropy(model(x[ids]), y[ids]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            history.append(F.cross_entropy(model(x_val), y_val).item())
        if history[-1] < best:
            best, best_epoch, best_state = history[-1], epoch, copy.deepcopy(model.state_dict())
        if epoch - best_epoch >= patience:
            break
    model.load_state_dict(best_state)
    return history


@mistake("fit", "the counter of patience is never set back after an improvement", see="5.7")
def fit(model, train, validation, epochs, batch_size, lr, patience, seed=0):
    (x, y), (x_val, y_val) = train, validation
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9)
    order = torch.Generator().manual_seed(seed)
    best, waited, history = math.inf, 0, []
    for _ in range(epochs):
        model.train()
        for ids in torch.randperm(len(x), generator=order).split(batch_size):
            optimizer.zero_grad()
            F.cross_entropy(model(x[ids]), y[ids]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            history.append(F.cross_entropy(model(x_val), y_val).item())
        if history[-1] < best:
            best, best_state = history[-1], copy.deepcopy(model.state_dict())
        else:
            waited += 1
            if waited >= patience:
                break
    model.load_state_dict(best_state)
    return history


@mistake("fit", "it stops one epoch too late: patience looks without progress are enough", see="5.7")
def fit(model, train, validation, epochs, batch_size, lr, patience, seed=0):
    (x, y), (x_val, y_val) = train, validation
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9)
    order = torch.Generator().manual_seed(seed)
    best, best_epoch, history = math.inf, 0, []
    for epoch in range(epochs):
        model.train()
        for ids in torch.randperm(len(x), generator=order).split(batch_size):
            optimizer.zero_grad()
            F.cross_entropy(model(x[ids]), y[ids]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            history.append(F.cross_entropy(model(x_val), y_val).item())
        if history[-1] < best:
            best, best_epoch, best_state = history[-1], epoch, copy.deepcopy(model.state_dict())
        if epoch - best_epoch > patience:
            break
    model.load_state_dict(best_state)
    return history


@mistake(
    "fit", "validation runs in training mode: dropout is on, and batch norm learns from validation data", see="5.7"
)
def fit(model, train, validation, epochs, batch_size, lr, patience, seed=0):
    (x, y), (x_val, y_val) = train, validation
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9)
    order = torch.Generator().manual_seed(seed)
    best, best_epoch, history = math.inf, 0, []
    model.train()
    for epoch in range(epochs):
        for ids in torch.randperm(len(x), generator=order).split(batch_size):
            optimizer.zero_grad()
            F.cross_entropy(model(x[ids]), y[ids]).backward()
            optimizer.step()
        with torch.no_grad():
            history.append(F.cross_entropy(model(x_val), y_val).item())
        if history[-1] < best:
            best, best_epoch, best_state = history[-1], epoch, copy.deepcopy(model.state_dict())
        if epoch - best_epoch >= patience:
            break
    model.load_state_dict(best_state)
    return history


@accepted("fit", "cleared after each step, tensors cloned one by one, an explicit counter")
def fit(model, train, validation, epochs, batch_size, lr, patience, seed=0):
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    optimizer.zero_grad()
    generator = torch.Generator()
    generator.manual_seed(seed)
    history, waited = [], 0
    while len(history) < epochs and waited < patience:
        model.train()
        order = torch.randperm(len(train[0]), generator=generator)
        for start in range(0, len(order), batch_size):
            ids = order[start : start + batch_size]
            F.cross_entropy(model(train[0][ids]), train[1][ids]).backward()
            optimizer.step()
            optimizer.zero_grad()
        model.eval()
        with torch.inference_mode():
            loss = F.cross_entropy(model(validation[0]), validation[1]).item()
        if all(loss < old for old in history):
            waited, kept = 0, {name: tensor.clone() for name, tensor in model.state_dict().items()}
        else:
            waited += 1
        history.append(loss)
    model.load_state_dict(kept)
    return history


@accepted("fit", "a copy of the whole model is kept")
def fit(model, train, validation, epochs, batch_size, lr, patience, seed=0):
    (x, y), (x_val, y_val) = train, validation
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9)
    order = torch.Generator().manual_seed(seed)
    history, best_epoch = [], -1
    for epoch in range(epochs):
        model.train(True)
        for ids in torch.randperm(len(x), generator=order).split(batch_size):
            loss = F.cross_entropy(model(x[ids]), y[ids])
            for p in model.parameters():
                p.grad = None
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            history.append(F.cross_entropy(model.eval()(x_val), y_val).item())
        if best_epoch < 0 or history[epoch] < history[best_epoch]:
            best_epoch, best_model = epoch, copy.deepcopy(model)
        elif epoch - best_epoch == patience:
            break
    model.load_state_dict(best_model.state_dict())
    return history


# 5.8 Trainer


@mistake("Trainer", "the optimizer's averages are not in the checkpoint, so it starts with fresh ones", see="5.8")
class Trainer:
    def __init__(self, model, optimizer, x, y, *, batch_size, schedule, clip, seed=0):
        self.model, self.optimizer, self.x, self.y = model, optimizer, x, y
        self.batch_size, self.schedule, self.clip, self.seed, self.step = batch_size, schedule, clip, seed, 0

    def train(self, steps):
        self.model.train()
        losses = []
        for _ in range(steps):
            ids = batch_ids(self.step, len(self.x), self.batch_size, self.seed)
            for group in self.optimizer.param_groups:
                group["lr"] = self.schedule(self.step)
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(self.x[ids]), self.y[ids])
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimizer.step()
            self.step += 1
            losses.append(loss.item())
        return losses

    def checkpoint(self):
        return copy.deepcopy({"step": self.step, "model": self.model.state_dict(), "rng": torch.get_rng_state()})

    def restore(self, checkpoint):
        self.step = checkpoint["step"]
        self.model.load_state_dict(checkpoint["model"])
        torch.set_rng_state(checkpoint["rng"])


@mistake("Trainer", "the state of the random numbers is not in the checkpoint: dropout draws other masks", see="5.8")
class Trainer:
    def __init__(self, model, optimizer, x, y, *, batch_size, schedule, clip, seed=0):
        self.model, self.optimizer, self.x, self.y = model, optimizer, x, y
        self.batch_size, self.schedule, self.clip, self.seed, self.step = batch_size, schedule, clip, seed, 0

    def train(self, steps):
        self.model.train()
        losses = []
        for _ in range(steps):
            ids = batch_ids(self.step, len(self.x), self.batch_size, self.seed)
            for group in self.optimizer.param_groups:
                group["lr"] = self.schedule(self.step)
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(self.x[ids]), self.y[ids])
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimizer.step()
            self.step += 1
            losses.append(loss.item())
        return losses

    def checkpoint(self):
        return copy.deepcopy([self.step, self.model.state_dict(), self.optimizer.state_dict()])

    def restore(self, checkpoint):
        self.step, weights, averages = copy.deepcopy(checkpoint)
        self.model.load_state_dict(weights)
        self.optimizer.load_state_dict(averages)


@mistake("Trainer", "the random numbers are seeded anew at a resume instead of continued", see="5.8")
class Trainer:
    def __init__(self, model, optimizer, x, y, *, batch_size, schedule, clip, seed=0):
        self.model, self.optimizer, self.x, self.y = model, optimizer, x, y
        self.batch_size, self.schedule, self.clip, self.seed, self.step = batch_size, schedule, clip, seed, 0

    def train(self, steps):
        self.model.train()
        losses = []
        for _ in range(steps):
            ids = batch_ids(self.step, len(self.x), self.batch_size, self.seed)
            for group in self.optimizer.param_groups:
                group["lr"] = self.schedule(self.step)
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(self.x[ids]), self.y[ids])
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimizer.step()
            self.step += 1
            losses.append(loss.item())
        return losses

    def checkpoint(self):
        states = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        return copy.deepcopy({"step": self.step, **states})

    def restore(self, checkpoint):
        checkpoint = copy.deepcopy(checkpoint)
        self.step = checkpoint["step"]
        self.model.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        torch.manual_seed(self.seed)


@mistake("Trainer", "the step is not restored: schedule and order of the data start again", see="5.8")
class Trainer:
    def __init__(self, model, optimizer, x, y, *, batch_size, schedule, clip, seed=0):
        self.model, self.optimizer, self.x, self.y = model, optimizer, x, y
        self.batch_size, self.schedule, self.clip, self.seed, self.step = batch_size, schedule, clip, seed, 0

    def train(self, steps):
        self.model.train()
        losses = []
        for _ in range(steps):
            ids = batch_ids(self.step, len(self.x), self.batch_size, self.seed)
            for group in self.optimizer.param_groups:
                group["lr"] = self.schedule(self.step)
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(self.x[ids]), self.y[ids])
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimizer.step()
            self.step += 1
            losses.append(loss.item())
        return losses

    def checkpoint(self):
        states = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        return copy.deepcopy({"random": torch.get_rng_state(), **states})

    def restore(self, checkpoint):
        checkpoint = copy.deepcopy(checkpoint)
        self.model.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        torch.set_rng_state(checkpoint["random"])


@mistake("Trainer", "the checkpoint holds references: training on changes it", see="5.8")
class Trainer:
    def __init__(self, model, optimizer, x, y, *, batch_size, schedule, clip, seed=0):
        self.model, self.optimizer, self.x, self.y = model, optimizer, x, y
        self.batch_size, self.schedule, self.clip, self.seed, self.step = batch_size, schedule, clip, seed, 0

    def train(self, steps):
        self.model.train()
        losses = []
        for _ in range(steps):
            ids = batch_ids(self.step, len(self.x), self.batch_size, self.seed)
            for group in self.optimizer.param_groups:
                group["lr"] = self.schedule(self.step)
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(self.x[ids]), self.y[ids])
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimizer.step()
            self.step += 1
            losses.append(loss.item())
        return losses

    def checkpoint(self):
        states = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        return {"step": self.step, "random": torch.get_rng_state(), **states}

    def restore(self, checkpoint):
        checkpoint = copy.deepcopy(checkpoint)
        self.step = checkpoint["step"]
        self.model.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        torch.set_rng_state(checkpoint["random"])


@mistake(
    "Trainer", "restore hands the optimizer the checkpoint's own tensors, which its steps then overwrite", see="5.8"
)
class Trainer:
    def __init__(self, model, optimizer, x, y, *, batch_size, schedule, clip, seed=0):
        self.model, self.optimizer, self.x, self.y = model, optimizer, x, y
        self.batch_size, self.schedule, self.clip, self.seed, self.step = batch_size, schedule, clip, seed, 0

    def train(self, steps):
        self.model.train()
        losses = []
        for _ in range(steps):
            ids = batch_ids(self.step, len(self.x), self.batch_size, self.seed)
            for group in self.optimizer.param_groups:
                group["lr"] = self.schedule(self.step)
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(self.x[ids]), self.y[ids])
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimizer.step()
            self.step += 1
            losses.append(loss.item())
        return losses

    def checkpoint(self):
        states = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        return copy.deepcopy({"step": self.step, "random": torch.get_rng_state(), **states})

    def restore(self, checkpoint):
        self.step = checkpoint["step"]
        self.model.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        torch.set_rng_state(checkpoint["random"])


@mistake("Trainer", "only parameters are saved; batch norm's running statistics are buffers", see="5.8")
class Trainer:
    def __init__(self, model, optimizer, x, y, *, batch_size, schedule, clip, seed=0):
        self.model, self.optimizer, self.x, self.y = model, optimizer, x, y
        self.batch_size, self.schedule, self.clip, self.seed, self.step = batch_size, schedule, clip, seed, 0

    def train(self, steps):
        self.model.train()
        losses = []
        for _ in range(steps):
            ids = batch_ids(self.step, len(self.x), self.batch_size, self.seed)
            for group in self.optimizer.param_groups:
                group["lr"] = self.schedule(self.step)
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(self.x[ids]), self.y[ids])
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimizer.step()
            self.step += 1
            losses.append(loss.item())
        return losses

    def checkpoint(self):
        weights = {name: p.detach() for name, p in self.model.named_parameters()}
        states = {"model": weights, "optimizer": self.optimizer.state_dict()}
        return copy.deepcopy({"step": self.step, "random": torch.get_rng_state(), **states})

    def restore(self, checkpoint):
        checkpoint = copy.deepcopy(checkpoint)
        self.step = checkpoint["step"]
        self.model.load_state_dict(checkpoint["model"], strict=False)
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        torch.set_rng_state(checkpoint["random"])


@mistake("Trainer", "the model object itself is saved; torch.load(weights_only=True) refuses it", see="5.8")
class Trainer:
    def __init__(self, model, optimizer, x, y, *, batch_size, schedule, clip, seed=0):
        self.model, self.optimizer, self.x, self.y = model, optimizer, x, y
        self.batch_size, self.schedule, self.clip, self.seed, self.step = batch_size, schedule, clip, seed, 0

    def train(self, steps):
        self.model.train()
        losses = []
        for _ in range(steps):
            ids = batch_ids(self.step, len(self.x), self.batch_size, self.seed)
            for group in self.optimizer.param_groups:
                group["lr"] = self.schedule(self.step)
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(self.x[ids]), self.y[ids])
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimizer.step()
            self.step += 1
            losses.append(loss.item())
        return losses

    def checkpoint(self):
        states = {"model": self.model, "optimizer": self.optimizer.state_dict()}
        return copy.deepcopy({"step": self.step, "random": torch.get_rng_state(), **states})

    def restore(self, checkpoint):
        checkpoint = copy.deepcopy(checkpoint)
        self.step = checkpoint["step"]
        self.model.load_state_dict(checkpoint["model"].state_dict())
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        torch.set_rng_state(checkpoint["random"])


@mistake("Trainer", "only the first parameter group follows the schedule", see="5.8")
class Trainer:
    def __init__(self, model, optimizer, x, y, *, batch_size, schedule, clip, seed=0):
        self.model, self.optimizer, self.x, self.y = model, optimizer, x, y
        self.batch_size, self.schedule, self.clip, self.seed, self.step = batch_size, schedule, clip, seed, 0

    def train(self, steps):
        self.model.train()
        losses = []
        for _ in range(steps):
            ids = batch_ids(self.step, len(self.x), self.batch_size, self.seed)
            self.optimizer.param_groups[0]["lr"] = self.schedule(self.step)
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(self.x[ids]), self.y[ids])
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimizer.step()
            self.step += 1
            losses.append(loss.item())
        return losses

    def checkpoint(self):
        states = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        return copy.deepcopy({"step": self.step, "random": torch.get_rng_state(), **states})

    def restore(self, checkpoint):
        checkpoint = copy.deepcopy(checkpoint)
        self.step = checkpoint["step"]
        self.model.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        torch.set_rng_state(checkpoint["random"])


@mistake("Trainer", "the rate is set after the update, so every step uses the rate of the one before", see="5.8")
class Trainer:
    def __init__(self, model, optimizer, x, y, *, batch_size, schedule, clip, seed=0):
        self.model, self.optimizer, self.x, self.y = model, optimizer, x, y
        self.batch_size, self.schedule, self.clip, self.seed, self.step = batch_size, schedule, clip, seed, 0

    def train(self, steps):
        self.model.train()
        losses = []
        for _ in range(steps):
            ids = batch_ids(self.step, len(self.x), self.batch_size, self.seed)
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(self.x[ids]), self.y[ids])
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimizer.step()
            for group in self.optimizer.param_groups:
                group["lr"] = self.schedule(self.step)
            self.step += 1
            losses.append(loss.item())
        return losses

    def checkpoint(self):
        states = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        return copy.deepcopy({"step": self.step, "random": torch.get_rng_state(), **states})

    def restore(self, checkpoint):
        checkpoint = copy.deepcopy(checkpoint)
        self.step = checkpoint["step"]
        self.model.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        torch.set_rng_state(checkpoint["random"])


@mistake("Trainer", "gradients are clipped before backward has made them", see="5.8")
class Trainer:
    def __init__(self, model, optimizer, x, y, *, batch_size, schedule, clip, seed=0):
        self.model, self.optimizer, self.x, self.y = model, optimizer, x, y
        self.batch_size, self.schedule, self.clip, self.seed, self.step = batch_size, schedule, clip, seed, 0

    def train(self, steps):
        self.model.train()
        losses = []
        for _ in range(steps):
            ids = batch_ids(self.step, len(self.x), self.batch_size, self.seed)
            for group in self.optimizer.param_groups:
                group["lr"] = self.schedule(self.step)
            loss = F.cross_entropy(self.model(self.x[ids]), self.y[ids])
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.step += 1
            losses.append(loss.item())
        return losses

    def checkpoint(self):
        states = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        return copy.deepcopy({"step": self.step, "random": torch.get_rng_state(), **states})

    def restore(self, checkpoint):
        checkpoint = copy.deepcopy(checkpoint)
        self.step = checkpoint["step"]
        self.model.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        torch.set_rng_state(checkpoint["random"])


@mistake("Trainer", "the model is never put into training mode, so it trains as the caller left it", see="5.8")
class Trainer:
    def __init__(self, model, optimizer, x, y, *, batch_size, schedule, clip, seed=0):
        self.model, self.optimizer, self.x, self.y = model, optimizer, x, y
        self.batch_size, self.schedule, self.clip, self.seed, self.step = batch_size, schedule, clip, seed, 0

    def train(self, steps):
        losses = []
        for _ in range(steps):
            ids = batch_ids(self.step, len(self.x), self.batch_size, self.seed)
            for group in self.optimizer.param_groups:
                group["lr"] = self.schedule(self.step)
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(self.x[ids]), self.y[ids])
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimizer.step()
            self.step += 1
            losses.append(loss.item())
        return losses

    def checkpoint(self):
        states = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        return copy.deepcopy({"step": self.step, "random": torch.get_rng_state(), **states})

    def restore(self, checkpoint):
        checkpoint = copy.deepcopy(checkpoint)
        self.step = checkpoint["step"]
        self.model.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        torch.set_rng_state(checkpoint["random"])


@mistake("Trainer", "every call of train starts a new epoch, so a resume inside an epoch sees other batches", see="5.8")
class Trainer:
    def __init__(self, model, optimizer, x, y, *, batch_size, schedule, clip, seed=0):
        self.model, self.optimizer, self.x, self.y = model, optimizer, x, y
        self.batch_size, self.schedule, self.clip, self.seed, self.step = batch_size, schedule, clip, seed, 0

    def train(self, steps):
        self.model.train()
        losses = []
        for place in range(steps):
            ids = batch_ids(place, len(self.x), self.batch_size, self.seed)
            for group in self.optimizer.param_groups:
                group["lr"] = self.schedule(self.step)
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(self.x[ids]), self.y[ids])
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimizer.step()
            self.step += 1
            losses.append(loss.item())
        return losses

    def checkpoint(self):
        states = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        return copy.deepcopy({"step": self.step, "random": torch.get_rng_state(), **states})

    def restore(self, checkpoint):
        checkpoint = copy.deepcopy(checkpoint)
        self.step = checkpoint["step"]
        self.model.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        torch.set_rng_state(checkpoint["random"])


@accepted("Trainer", "a checkpoint written to memory by torch.save and read back, which copies everything")
class Trainer:
    def __init__(self, model, optimizer, x, y, *, batch_size, schedule, clip, seed=0):
        self.model, self.optimizer, self.data = model, optimizer, (x, y)
        self.settings, self.schedule, self.clip, self.step = (len(x), batch_size, seed), schedule, clip, 0

    def train(self, steps):
        (x, y), (n, size, seed), losses = self.data, self.settings, []
        while len(losses) < steps:
            ids = batch_ids(self.step, n, size, seed)
            self.model.train()
            rate = self.schedule(self.step)
            self.optimizer.zero_grad()
            loss = nn.CrossEntropyLoss()(self.model(x[ids]), y[ids])
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            for group in self.optimizer.param_groups:
                group.update(lr=rate)
            self.optimizer.step()
            losses.append(loss.detach().item())
            self.step += 1
        return losses

    def checkpoint(self):
        import io

        file = io.BytesIO()
        everything = (self.step, self.model.state_dict(), self.optimizer.state_dict(), torch.get_rng_state())
        torch.save(everything, file)
        file.seek(0)
        return {"saved": torch.load(file, weights_only=True)}

    def restore(self, checkpoint):
        self.step, weights, averages, numbers = copy.deepcopy(checkpoint["saved"])
        self.model.load_state_dict(weights)
        self.optimizer.load_state_dict(averages)
        torch.random.set_rng_state(numbers)


@accepted("Trainer", "tensors cloned by hand in both directions")
class Trainer:
    def __init__(self, model, optimizer, x, y, *, batch_size, schedule, clip, seed=0):
        self.model, self.optimizer, self.x, self.y = model, optimizer, x, y
        self.batch_size, self.schedule, self.clip, self.seed, self.step = batch_size, schedule, clip, seed, 0

    def train(self, steps):
        return [self.once() for _ in range(steps)]

    def once(self):
        self.model.train()
        ids = batch_ids(self.step, self.x.shape[0], self.batch_size, self.seed)
        loss = F.cross_entropy(self.model(self.x[ids]), self.y[ids])
        self.model.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([*self.model.parameters()], self.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule(self.step)
        self.optimizer.step()
        self.step += 1
        return float(loss)

    def copied(self, value):
        if isinstance(value, torch.Tensor):
            return value.detach().clone()
        if isinstance(value, dict):
            return {key: self.copied(item) for key, item in value.items()}
        return [self.copied(item) for item in value] if isinstance(value, list) else value

    def checkpoint(self):
        states = {"w": dict(self.model.state_dict()), "o": self.optimizer.state_dict()}
        return self.copied({"t": self.step, "r": torch.get_rng_state(), **states})

    def restore(self, checkpoint):
        mine = self.copied(checkpoint)
        self.step = mine["t"]
        self.model.load_state_dict(mine["w"])
        self.optimizer.load_state_dict(mine["o"])
        torch.set_rng_state(mine["r"])
