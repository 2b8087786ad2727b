"""Wrong and right ways to write the exercises of lesson 03."""

import math
from fnmatch import fnmatch
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn
from torchgrade.lessons import accepted, mistake

# 3.1 Linear


@mistake("Linear", "the weight is a plain tensor: no optimizer sees it and no state_dict saves it", see="3.1")
class Linear(nn.Module):
    def __init__(self, d_in, d_out, bias=True):
        super().__init__()
        bound = d_in**-0.5
        self.weight = torch.empty(d_out, d_in).uniform_(-bound, bound)
        self.bias = nn.Parameter(torch.empty(d_out).uniform_(-bound, bound)) if bias else None

    def forward(self, x):
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias


@mistake("Linear", "weight and bias are buffers: saved, but never learned", see="3.1")
class Linear(nn.Module):
    def __init__(self, d_in, d_out, bias=True):
        super().__init__()
        bound = d_in**-0.5
        self.register_buffer("weight", torch.empty(d_out, d_in).uniform_(-bound, bound))
        self.register_buffer("bias", torch.empty(d_out).uniform_(-bound, bound) if bias else None)

    def forward(self, x):
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias


@mistake("Linear", "the bound is 1/d_in; the square root is missing", see="3.1")
class Linear(nn.Module):
    def __init__(self, d_in, d_out, bias=True):
        super().__init__()
        bound = 1 / d_in
        self.weight = nn.Parameter(torch.empty(d_out, d_in).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(d_out).uniform_(-bound, bound)) if bias else None

    def forward(self, x):
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias


@mistake("Linear", "the bound counts the outputs; each output adds up d_in products", see="3.1")
class Linear(nn.Module):
    def __init__(self, d_in, d_out, bias=True):
        super().__init__()
        bound = d_out**-0.5
        self.weight = nn.Parameter(torch.empty(d_out, d_in).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(d_out).uniform_(-bound, bound)) if bias else None

    def forward(self, x):
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias


@mistake("Linear", "all weights are positive: rand gives numbers from 0 to 1", see="3.1")
class Linear(nn.Module):
    def __init__(self, d_in, d_out, bias=True):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(d_out, d_in) * d_in**-0.5)
        self.bias = nn.Parameter(torch.rand(d_out) * d_in**-0.5) if bias else None

    def forward(self, x):
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias


@mistake("Linear", "the bias starts at zero instead of being drawn like the weight", see="3.1")
class Linear(nn.Module):
    def __init__(self, d_in, d_out, bias=True):
        super().__init__()
        bound = d_in**-0.5
        self.weight = nn.Parameter(torch.empty(d_out, d_in).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(d_out)) if bias else None

    def forward(self, x):
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias


@mistake("Linear", "the weight is detached in forward, so it receives no gradient", see="2.3")
class Linear(nn.Module):
    def __init__(self, d_in, d_out, bias=True):
        super().__init__()
        bound = d_in**-0.5
        self.weight = nn.Parameter(torch.empty(d_out, d_in).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(d_out).uniform_(-bound, bound)) if bias else None

    def forward(self, x):
        y = x @ self.weight.data.T
        return y if self.bias is None else y + self.bias


@mistake("Linear", "bias=False is ignored", see="3.1")
class Linear(nn.Module):
    def __init__(self, d_in, d_out, bias=True):
        super().__init__()
        bound = d_in**-0.5
        self.weight = nn.Parameter(torch.empty(d_out, d_in).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(d_out).uniform_(-bound, bound))

    def forward(self, x):
        return x @ self.weight.T + self.bias


@mistake("Linear", "torch's own layer is inherited instead of rebuilt", see="3.1")
class Linear(nn.Linear):
    pass


@accepted("Linear", "einsum, and register_parameter for the missing bias")
class Linear(nn.Module):
    def __init__(self, d_in, d_out, bias=True):
        super().__init__()
        bound = 1 / math.sqrt(d_in)
        self.weight = nn.Parameter((2 * torch.rand(d_out, d_in) - 1) * bound)
        if bias:
            self.bias = nn.Parameter((2 * torch.rand(d_out) - 1) * bound)
        else:
            self.register_parameter("bias", None)

    def forward(self, x):
        y = torch.einsum("...i,oi->...o", x, self.weight)
        if self.bias is not None:
            y = y + self.bias
        return y


@accepted("Linear", "empty parameters, filled under no_grad by nn.init")
class Linear(nn.Module):
    def __init__(self, d_in, d_out, bias=True):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(d_out, d_in))
        self.bias = nn.Parameter(torch.empty(d_out)) if bias else None
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(d_in**-0.5), d_in**-0.5)

    def forward(self, x):
        y = torch.matmul(x, self.weight.mT)
        return y + self.bias if self.bias is not None else y


# 3.2 polyline


@mistake("polyline", "the output weights are the slopes; a unit stays on, so they must be changes of slope", see="3.2")
def polyline(xs, ys):
    slopes = ys.diff() / xs.diff()
    net = nn.Sequential(nn.Linear(1, len(slopes)), nn.ReLU(), nn.Linear(len(slopes), 1))
    with torch.no_grad():
        net[0].weight.fill_(1)
        net[0].bias.copy_(-xs[:-1])
        net[2].weight.copy_(slopes)
        net[2].bias.copy_(ys[:1])
    return net


@mistake("polyline", "a slope is a rise divided by its step; all steps are taken for 1", see="3.2")
def polyline(xs, ys):
    rises = ys.diff()
    net = nn.Sequential(nn.Linear(1, len(rises)), nn.ReLU(), nn.Linear(len(rises), 1))
    with torch.no_grad():
        net[0].weight.fill_(1)
        net[0].bias.copy_(-xs[:-1])
        net[2].weight.copy_(rises.diff(prepend=torch.zeros(1)))
        net[2].bias.copy_(ys[:1])
    return net


@mistake("polyline", "the line starts at height 0 instead of ys[0]: the output's bias is forgotten", see="3.2")
def polyline(xs, ys):
    slopes = ys.diff() / xs.diff()
    net = nn.Sequential(nn.Linear(1, len(slopes)), nn.ReLU(), nn.Linear(len(slopes), 1))
    with torch.no_grad():
        net[0].weight.fill_(1)
        net[0].bias.copy_(-xs[:-1])
        net[2].weight.copy_(slopes.diff(prepend=torch.zeros(1)))
        net[2].bias.zero_()
    return net


@mistake("polyline", "relu(x + corner) bends at minus the corner; the bias needs a minus", see="3.2")
def polyline(xs, ys):
    slopes = ys.diff() / xs.diff()
    net = nn.Sequential(nn.Linear(1, len(slopes)), nn.ReLU(), nn.Linear(len(slopes), 1))
    with torch.no_grad():
        net[0].weight.fill_(1)
        net[0].bias.copy_(xs[:-1])
        net[2].weight.copy_(slopes.diff(prepend=torch.zeros(1)))
        net[2].bias.copy_(ys[:1])
    return net


@mistake("polyline", "the first slope is missing: the changes alone leave the first piece flat", see="3.2")
def polyline(xs, ys):
    slopes = ys.diff() / xs.diff()
    net = nn.Sequential(nn.Linear(1, len(slopes)), nn.ReLU(), nn.Linear(len(slopes), 1))
    with torch.no_grad():
        net[0].weight.fill_(1)
        net[0].bias.copy_(-xs[:-1])
        net[2].weight.copy_(slopes.diff(prepend=slopes[:1]))
        net[2].bias.copy_(ys[:1])
    return net


@accepted("polyline", "a loop over the corners and a state_dict")
def polyline(xs, ys):
    units, slope, changes = len(xs) - 1, 0.0, []
    for i in range(units):
        now = ((ys[i + 1] - ys[i]) / (xs[i + 1] - xs[i])).item()
        changes.append(now - slope)
        slope = now
    net = nn.Sequential(nn.Linear(1, units), nn.ReLU(), nn.Linear(units, 1))
    numbers = {"0.weight": torch.ones(units, 1), "0.bias": -xs[:units], "2.weight": torch.tensor([changes])}
    net.load_state_dict(numbers | {"2.bias": ys[:1]})
    return net


@accepted("polyline", "mirrored units that are off to the right of their corner, so the height is that of the last one")
def polyline(xs, ys):
    slopes = ys.diff() / xs.diff()
    net = nn.Sequential(nn.Linear(1, len(slopes)), nn.ReLU(), nn.Linear(len(slopes), 1))
    with torch.no_grad():
        net[0].weight.fill_(-1)
        net[0].bias.copy_(xs[1:])
        net[2].weight.copy_(slopes.diff(append=torch.zeros(1)))
        net[2].bias.copy_(ys[-1:])
    return net


@accepted("polyline", "units that reach 1 at the next corner, and output weights to match")
def polyline(xs, ys):
    steps = xs.diff()
    slopes = ys.diff() / steps
    net = nn.Sequential(nn.Linear(1, len(steps)), nn.ReLU(), nn.Linear(len(steps), 1))
    net[0].weight.data, net[0].bias.data = 1 / steps[:, None], -xs[:-1] / steps
    net[2].weight.data = (slopes - torch.cat([torch.zeros(1), slopes[:-1]]))[None] * steps
    net[2].bias.data = ys[:1].clone()
    return net


# 3.3 scaled_normal_


@mistake("scaled_normal_", "the standard deviation is gain / fan; the square root is missing", see="3.3")
def scaled_normal_(weight, mode="fan_in", gain=1.0):
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(mode)
    fan = weight.shape[mode == "fan_in"] * math.prod(weight.shape[2:])
    with torch.no_grad():
        return weight.normal_(0, gain / fan)


@mistake("scaled_normal_", "the gain stands inside the square root", see="3.3")
def scaled_normal_(weight, mode="fan_in", gain=1.0):
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(mode)
    fan = weight.shape[mode == "fan_in"] * math.prod(weight.shape[2:])
    with torch.no_grad():
        return weight.normal_(0, math.sqrt(gain / fan))


@mistake("scaled_normal_", "fan-in and fan-out are exchanged: a weight is (out, in)", see="3.3")
def scaled_normal_(weight, mode="fan_in", gain=1.0):
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(mode)
    fan = weight.shape[mode == "fan_out"] * math.prod(weight.shape[2:])
    with torch.no_grad():
        return weight.normal_(0, gain / math.sqrt(fan))


@mistake("scaled_normal_", "the kernel of a convolution is not counted in the fan", see="3.3")
def scaled_normal_(weight, mode="fan_in", gain=1.0):
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(mode)
    fan = weight.shape[mode == "fan_in"]
    with torch.no_grad():
        return weight.normal_(0, gain / math.sqrt(fan))


@mistake("scaled_normal_", "the numbers are uniform; the task asks for normal ones", see="3.3")
def scaled_normal_(weight, mode="fan_in", gain=1.0):
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(mode)
    fan = weight.shape[mode == "fan_in"] * math.prod(weight.shape[2:])
    bound = gain * math.sqrt(3 / fan)
    with torch.no_grad():
        return weight.uniform_(-bound, bound)


@mistake("scaled_normal_", "a new tensor is returned and the weight stays as it was", see="3.3")
def scaled_normal_(weight, mode="fan_in", gain=1.0):
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(mode)
    fan = weight.shape[mode == "fan_in"] * math.prod(weight.shape[2:])
    return torch.randn_like(weight) * gain / math.sqrt(fan)


@mistake("scaled_normal_", "an unknown mode is taken for fan_out", see="3.3")
def scaled_normal_(weight, mode="fan_in", gain=1.0):
    fan = weight.shape[mode == "fan_in"] * math.prod(weight.shape[2:])
    with torch.no_grad():
        return weight.normal_(0, gain / math.sqrt(fan))


@mistake("scaled_normal_", "nn.init's function is called instead of building it", see="3.3")
def scaled_normal_(weight, mode="fan_in", gain=1.0):
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(mode)
    with torch.no_grad():
        return nn.init.kaiming_normal_(weight, mode=mode, nonlinearity="linear").mul_(gain)


@accepted("scaled_normal_", "the fan by counting the numbers of one row or column")
def scaled_normal_(weight, mode="fan_in", gain=1.0):
    if mode == "fan_in":
        fan = weight[0].numel()
    elif mode == "fan_out":
        fan = weight[:, 0].numel()
    else:
        raise ValueError(f"unknown mode {mode}")
    weight.data.normal_(std=gain * fan**-0.5)
    return weight


@accepted("scaled_normal_", "nn.init.normal_, with a fan computed by hand")
def scaled_normal_(weight, mode="fan_in", gain=1.0):
    axis = {"fan_out": 0, "fan_in": 1}.get(mode)
    if axis is None:
        raise ValueError(mode)
    kernel = weight.numel() // (weight.shape[0] * weight.shape[1])
    return nn.init.normal_(weight, std=gain / (weight.shape[axis] * kernel) ** 0.5)


# 3.4 LayerNorm


@mistake("LayerNorm", "the variance divides by n - 1; LayerNorm's divides by n", see="3.4")
class LayerNorm(nn.Module):
    def __init__(self, width, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x):
        wide = x.float() if x.dtype is torch.bfloat16 else x
        var, mean = torch.var_mean(wide, -1, keepdim=True)
        return ((wide - mean) / (var + self.eps).sqrt() * self.weight + self.bias).to(x.dtype)


@mistake("LayerNorm", "eps is added to the standard deviation; it belongs inside the root", see="3.4")
class LayerNorm(nn.Module):
    def __init__(self, width, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x):
        wide = x.float() if x.dtype is torch.bfloat16 else x
        var, mean = torch.var_mean(wide, -1, correction=0, keepdim=True)
        return ((wide - mean) / (var.sqrt() + self.eps) * self.weight + self.bias).to(x.dtype)


@mistake("LayerNorm", "each feature is normalized over the examples: that is BatchNorm", see="3.4")
class LayerNorm(nn.Module):
    def __init__(self, width, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x):
        wide = x.float() if x.dtype is torch.bfloat16 else x
        var, mean = torch.var_mean(wide, 0, correction=0, keepdim=True)
        return ((wide - mean) / (var + self.eps).sqrt() * self.weight + self.bias).to(x.dtype)


@mistake("LayerNorm", "the whole example shares one mean; each position has its own", see="3.4")
class LayerNorm(nn.Module):
    def __init__(self, width, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x):
        wide = x.float() if x.dtype is torch.bfloat16 else x
        axes = tuple(range(1, x.ndim)) or (0,)
        var, mean = torch.var_mean(wide, axes, correction=0, keepdim=True)
        return ((wide - mean) / (var + self.eps).sqrt() * self.weight + self.bias).to(x.dtype)


@mistake("LayerNorm", "mean and variance are computed in bfloat16", see="3.4")
class LayerNorm(nn.Module):
    def __init__(self, width, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x):
        centered = x - x.mean(-1, keepdim=True)
        scale = (centered.square().mean(-1, keepdim=True) + self.eps).rsqrt()
        return (centered * scale * self.weight + self.bias).to(x.dtype)


@mistake("LayerNorm", "the variance as mean(x²) - mean(x)² cancels far from 0", see="1.4")
class LayerNorm(nn.Module):
    def __init__(self, width, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x):
        wide = x.float() if x.dtype is torch.bfloat16 else x
        mean = wide.mean(-1, keepdim=True)
        var = (wide.square().mean(-1, keepdim=True) - mean.square()).clamp(min=0)
        return ((wide - mean) / (var + self.eps).sqrt() * self.weight + self.bias).to(x.dtype)


@mistake("LayerNorm", "the statistics are computed under no_grad, so part of the gradient is missing", see="3.4")
class LayerNorm(nn.Module):
    def __init__(self, width, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x):
        wide = x.float() if x.dtype is torch.bfloat16 else x
        with torch.no_grad():
            var, mean = torch.var_mean(wide, -1, correction=0, keepdim=True)
        return ((wide - mean) / (var + self.eps).sqrt() * self.weight + self.bias).to(x.dtype)


@mistake("LayerNorm", "x is centered in place: the caller's numbers change", see="1.1")
class LayerNorm(nn.Module):
    def __init__(self, width, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x):
        wide = x.float() if x.dtype is torch.bfloat16 else x
        if not wide.requires_grad:
            wide -= wide.mean(-1, keepdim=True)
        else:
            wide = wide - wide.mean(-1, keepdim=True)
        scale = (wide.square().mean(-1, keepdim=True) + self.eps).rsqrt()
        return (wide * scale * self.weight + self.bias).to(x.dtype)


@mistake("LayerNorm", "torch's operator is called instead of building it", see="3.4")
class LayerNorm(nn.Module):
    def __init__(self, width, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x):
        wide = x.float() if x.dtype is torch.bfloat16 else x
        return F.layer_norm(wide, self.weight.shape, self.weight, self.bias, self.eps).to(x.dtype)


@accepted("LayerNorm", "var_mean and a division")
class LayerNorm(nn.Module):
    def __init__(self, width, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width)), eps

    def forward(self, x):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        var, mean = torch.var_mean(wide, dim=-1, correction=0, keepdim=True)
        return (self.bias + self.weight * (wide - mean) / torch.sqrt(var + self.eps)).to(x.dtype)


@accepted("LayerNorm", "always in float64 inside")
class LayerNorm(nn.Module):
    def __init__(self, width, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width)), eps

    def forward(self, x):
        wide = x.double()
        deviation = wide - wide.sum(-1, keepdim=True) / x.shape[-1]
        variance = deviation.pow(2).sum(-1, keepdim=True) / x.shape[-1]
        return (deviation / (variance + self.eps) ** 0.5 * self.weight + self.bias).type_as(x)


# 3.5 BatchNorm1d


@mistake("BatchNorm1d", "running_var keeps the variance divided by batch; it must be divided by batch - 1", see="3.5")
class BatchNorm1d(nn.Module):
    def __init__(self, width, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x):
        mean, var = self.running_mean, self.running_var
        if self.training:
            if len(x) < 2:
                raise ValueError("a batch of one")
            mean, var = x.mean(0), x.var(0, correction=0)
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(var, self.momentum)
        return (x - mean) / torch.sqrt(var + self.eps) * self.weight + self.bias


@mistake("BatchNorm1d", "the batch is normalized with the variance divided by batch - 1", see="3.5")
class BatchNorm1d(nn.Module):
    def __init__(self, width, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x):
        mean, var = self.running_mean, self.running_var
        if self.training:
            if len(x) < 2:
                raise ValueError("a batch of one")
            mean, var = x.mean(0), x.var(0)
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(var, self.momentum)
        return (x - mean) / torch.sqrt(var + self.eps) * self.weight + self.bias


@mistake("BatchNorm1d", "momentum weighs the old average; it is the share of the new batch", see="3.5")
class BatchNorm1d(nn.Module):
    def __init__(self, width, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x):
        mean, var = self.running_mean, self.running_var
        if self.training:
            if len(x) < 2:
                raise ValueError("a batch of one")
            mean, var = x.mean(0), x.var(0, correction=0)
            with torch.no_grad():
                self.running_mean.lerp_(mean, 1 - self.momentum)
                self.running_var.lerp_(x.var(0), 1 - self.momentum)
        return (x - mean) / torch.sqrt(var + self.eps) * self.weight + self.bias


@mistake("BatchNorm1d", "eval mode still uses the statistics of the batch", see="3.5")
class BatchNorm1d(nn.Module):
    def __init__(self, width, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x):
        mean, var = x.mean(0), x.var(0, correction=0)
        if self.training:
            if len(x) < 2:
                raise ValueError("a batch of one")
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(x.var(0), self.momentum)
        return (x - mean) / torch.sqrt(var + self.eps) * self.weight + self.bias


@mistake("BatchNorm1d", "the running averages are updated in eval mode too", see="3.5")
class BatchNorm1d(nn.Module):
    def __init__(self, width, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x):
        mean, var = self.running_mean.clone(), self.running_var.clone()
        if self.training:
            if len(x) < 2:
                raise ValueError("a batch of one")
            mean, var = x.mean(0), x.var(0, correction=0)
        if len(x) > 1:
            with torch.no_grad():
                self.running_mean.lerp_(x.mean(0), self.momentum)
                self.running_var.lerp_(x.var(0), self.momentum)
        return (x - mean) / torch.sqrt(var + self.eps) * self.weight + self.bias


@mistake("BatchNorm1d", "the averages are plain tensors: not saved, not moved", see="3.1")
class BatchNorm1d(nn.Module):
    def __init__(self, width, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.running_mean, self.running_var = torch.zeros(width), torch.ones(width)

    def forward(self, x):
        mean, var = self.running_mean, self.running_var
        if self.training:
            if len(x) < 2:
                raise ValueError("a batch of one")
            mean, var = x.mean(0), x.var(0, correction=0)
            with torch.no_grad():
                self.running_mean = (1 - self.momentum) * self.running_mean + self.momentum * mean
                self.running_var = (1 - self.momentum) * self.running_var + self.momentum * x.var(0)
        return (x - mean) / torch.sqrt(var + self.eps) * self.weight + self.bias


@mistake("BatchNorm1d", "the averages are parameters: an optimizer would change them", see="3.1")
class BatchNorm1d(nn.Module):
    def __init__(self, width, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.running_mean = nn.Parameter(torch.zeros(width))
        self.running_var = nn.Parameter(torch.ones(width))

    def forward(self, x):
        mean, var = self.running_mean, self.running_var
        if self.training:
            if len(x) < 2:
                raise ValueError("a batch of one")
            mean, var = x.mean(0), x.var(0, correction=0)
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(x.var(0), self.momentum)
        return (x - mean) / torch.sqrt(var + self.eps) * self.weight + self.bias


@mistake("BatchNorm1d", "the averages keep the history of all batches: update them under no_grad", see="3.5")
class BatchNorm1d(nn.Module):
    def __init__(self, width, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x):
        mean, var = self.running_mean, self.running_var
        if self.training:
            if len(x) < 2:
                raise ValueError("a batch of one")
            mean, var = x.mean(0), x.var(0, correction=0)
            self.running_mean = (1 - self.momentum) * self.running_mean + self.momentum * mean
            self.running_var = (1 - self.momentum) * self.running_var + self.momentum * x.var(0)
        return (x - mean) / torch.sqrt(var + self.eps) * self.weight + self.bias


@mistake("BatchNorm1d", "the batch's statistics are detached; gradients must flow through them", see="3.5")
class BatchNorm1d(nn.Module):
    def __init__(self, width, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x):
        mean, var = self.running_mean, self.running_var
        if self.training:
            if len(x) < 2:
                raise ValueError("a batch of one")
            with torch.no_grad():
                mean, var = x.mean(0), x.var(0, correction=0)
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(x.var(0), self.momentum)
        return (x - mean) / torch.sqrt(var + self.eps) * self.weight + self.bias


@mistake("BatchNorm1d", "a batch of one in train mode gives zeros instead of an error", see="3.5")
class BatchNorm1d(nn.Module):
    def __init__(self, width, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x):
        mean, var = self.running_mean, self.running_var
        if self.training:
            mean, var = x.mean(0), x.var(0, correction=0)
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(var * len(x) / max(len(x) - 1, 1), self.momentum)
        return (x - mean) / torch.sqrt(var + self.eps) * self.weight + self.bias


@accepted("BatchNorm1d", "buffers assigned anew, from detached statistics")
class BatchNorm1d(nn.Module):
    def __init__(self, width, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x):
        if not self.training:
            return (x - self.running_mean) * (self.running_var + self.eps).rsqrt() * self.weight + self.bias
        batch, m = x.shape[0], self.momentum
        if batch == 1:
            raise ValueError("expected more than one example in train mode")
        mean = x.mean(0)
        var = (x - mean).square().mean(0)
        self.running_mean = (1 - m) * self.running_mean + m * mean.detach()
        self.running_var = (1 - m) * self.running_var + m * var.detach() * batch / (batch - 1)
        return (x - mean) * (var + self.eps).rsqrt() * self.weight + self.bias


@accepted("BatchNorm1d", "nn.Buffer, and in-place arithmetic on .data")
class BatchNorm1d(nn.Module):
    def __init__(self, width, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.running_mean, self.running_var = nn.Buffer(torch.zeros(width)), nn.Buffer(torch.ones(width))

    def forward(self, x):
        mean, var = self.running_mean, self.running_var
        if self.training:
            if x.size(0) <= 1:
                raise ValueError("no variance of one example")
            var, mean = torch.var_mean(x, 0, correction=0)
            self.running_mean.mul_(1 - self.momentum).add_(x.data.mean(0), alpha=self.momentum)
            self.running_var.mul_(1 - self.momentum).add_(x.data.var(0), alpha=self.momentum)
        return self.weight * (x - mean) / (var + self.eps) ** 0.5 + self.bias


# 3.6 freeze


@mistake("freeze", "tensors are counted instead of the numbers in them", see="3.6")
def freeze(module, pattern):
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if fnmatch(name, pattern):
            parameter.requires_grad_(False)
            parameter.grad = None
    flags = [p.requires_grad for p in module.parameters()]
    return sum(flags), len(flags) - sum(flags)


@mistake("freeze", "a shared parameter is found under its first name only", see="3.6")
def freeze(module, pattern):
    counts = {True: 0, False: 0}
    for name, parameter in module.named_parameters():
        if fnmatch(name, pattern):
            parameter.requires_grad_(False)
            parameter.grad = None
        counts[parameter.requires_grad] += parameter.numel()
    return counts[True], counts[False]


@mistake("freeze", "a shared parameter is counted once for each of its names", see="3.6")
def freeze(module, pattern):
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if fnmatch(name, pattern):
            parameter.requires_grad_(False)
            parameter.grad = None
    counts = {True: 0, False: 0}
    for _, parameter in module.named_parameters(remove_duplicate=False):
        counts[parameter.requires_grad] += parameter.numel()
    return counts[True], counts[False]


@mistake("freeze", "a part of the name is enough to fit; the pattern describes the whole name", see="3.6")
def freeze(module, pattern):
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if pattern.strip("*") in name:
            parameter.requires_grad_(False)
            parameter.grad = None
    counts = {True: 0, False: 0}
    for parameter in module.parameters():
        counts[parameter.requires_grad] += parameter.numel()
    return counts[True], counts[False]


@mistake("freeze", "parameters that do not fit are thawed; they must stay as they are", see="3.6")
def freeze(module, pattern):
    fits = {id(p) for name, p in module.named_parameters(remove_duplicate=False) if fnmatch(name, pattern)}
    counts = {True: 0, False: 0}
    for parameter in module.parameters():
        parameter.requires_grad_(id(parameter) not in fits)
        if not parameter.requires_grad:
            parameter.grad = None
        counts[parameter.requires_grad] += parameter.numel()
    return counts[True], counts[False]


@mistake("freeze", "buffers are counted among the frozen numbers", see="3.1")
def freeze(module, pattern):
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if fnmatch(name, pattern):
            parameter.requires_grad_(False)
            parameter.grad = None
    trainable = sum(p.numel() for p in module.parameters() if p.requires_grad)
    distinct = {value.data_ptr(): value.numel() for value in module.state_dict().values()}
    return trainable, sum(distinct.values()) - trainable


@mistake("freeze", "the old gradient stays, and the next step still moves the frozen parameter", see="3.6")
def freeze(module, pattern):
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if fnmatch(name, pattern):
            parameter.requires_grad_(False)
    counts = {True: 0, False: 0}
    for parameter in module.parameters():
        counts[parameter.requires_grad] += parameter.numel()
    return counts[True], counts[False]


@mistake("freeze", "all gradients are cleared, also those of parameters that stay trainable", see="3.6")
def freeze(module, pattern):
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if fnmatch(name, pattern):
            parameter.requires_grad_(False)
    module.zero_grad()
    counts = {True: 0, False: 0}
    for parameter in module.parameters():
        parameter.grad = None
        counts[parameter.requires_grad] += parameter.numel()
    return counts[True], counts[False]


@accepted("freeze", "one dict from identity to parameter")
def freeze(module, pattern):
    distinct = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        distinct[id(parameter)] = parameter
        if fnmatch(name, pattern):
            parameter.requires_grad = False
            parameter.grad = None
    sizes = [(p.numel(), p.requires_grad) for p in distinct.values()]
    return sum(n for n, learns in sizes if learns), sum(n for n, learns in sizes if not learns)


@accepted("freeze", "collect first, then freeze")
def freeze(module, pattern):
    chosen = [p for name, p in module.named_parameters(remove_duplicate=False) if fnmatch(name, pattern)]
    for parameter in chosen:
        parameter.requires_grad_(False)
        parameter.grad = None
    frozen = sum(p.numel() for p in module.parameters() if not p.requires_grad)
    return sum(p.numel() for p in module.parameters()) - frozen, frozen


# 3.7 DigitNet


@mistake("DigitNet", "the output is a softmax; F.cross_entropy wants logits", see="3.7")
class DigitNet(nn.Module):
    def __init__(self, inputs, hidden, classes, depth):
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))
        self.layers = nn.ModuleList(nn.Linear(hidden if i else inputs, hidden) for i in range(depth))
        self.head = nn.Linear(hidden, classes)

    def fit_inputs(self, x):
        self.mean, self.std = x.mean(0), x.std(0).clamp(min=1e-3)

    def forward(self, x):
        x = (x - self.mean) / self.std
        for layer in self.layers:
            x = layer(x).relu()
        return self.head(x).softmax(-1)


@mistake("DigitNet", "a ReLU follows the head, so no logit is negative", see="3.7")
class DigitNet(nn.Module):
    def __init__(self, inputs, hidden, classes, depth):
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))
        self.layers = nn.ModuleList(nn.Linear(hidden if i else inputs, hidden) for i in range(depth))
        self.head = nn.Linear(hidden, classes)

    def fit_inputs(self, x):
        self.mean, self.std = x.mean(0), x.std(0).clamp(min=1e-3)

    def forward(self, x):
        x = (x - self.mean) / self.std
        for layer in [*self.layers, self.head]:
            x = layer(x).relu()
        return x


@mistake("DigitNet", "mean and std are plain tensors, so they are not saved", see="3.1")
class DigitNet(nn.Module):
    def __init__(self, inputs, hidden, classes, depth):
        super().__init__()
        self.mean, self.std = torch.zeros(inputs), torch.ones(inputs)
        self.layers = nn.ModuleList(nn.Linear(hidden if i else inputs, hidden) for i in range(depth))
        self.head = nn.Linear(hidden, classes)

    def fit_inputs(self, x):
        self.mean, self.std = x.mean(0), x.std(0).clamp(min=1e-3)

    def forward(self, x):
        x = (x - self.mean) / self.std
        for layer in self.layers:
            x = layer(x).relu()
        return self.head(x)


@mistake("DigitNet", "mean and std are parameters, so an optimizer changes them", see="3.1")
class DigitNet(nn.Module):
    def __init__(self, inputs, hidden, classes, depth):
        super().__init__()
        self.mean, self.std = nn.Parameter(torch.zeros(inputs)), nn.Parameter(torch.ones(inputs))
        self.layers = nn.ModuleList(nn.Linear(hidden if i else inputs, hidden) for i in range(depth))
        self.head = nn.Linear(hidden, classes)

    def fit_inputs(self, x):
        self.mean.data, self.std.data = x.mean(0), x.std(0).clamp(min=1e-3)

    def forward(self, x):
        x = (x - self.mean) / self.std
        for layer in self.layers:
            x = layer(x).relu()
        return self.head(x)


@mistake("DigitNet", "the layers stand in a Python list, which registers nothing", see="3.1")
class DigitNet(nn.Module):
    def __init__(self, inputs, hidden, classes, depth):
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))
        self.layers = [nn.Linear(hidden if i else inputs, hidden) for i in range(depth)]
        self.head = nn.Linear(hidden, classes)

    def fit_inputs(self, x):
        self.mean, self.std = x.mean(0), x.std(0).clamp(min=1e-3)

    def forward(self, x):
        x = (x - self.mean) / self.std
        for layer in self.layers:
            x = layer(x).relu()
        return self.head(x)


@mistake("DigitNet", "the hidden layers after the first are one and the same layer", see="3.6")
class DigitNet(nn.Module):
    def __init__(self, inputs, hidden, classes, depth):
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))
        self.layers = nn.ModuleList([nn.Linear(inputs, hidden), *[nn.Linear(hidden, hidden)] * (depth - 1)])
        self.head = nn.Linear(hidden, classes)

    def fit_inputs(self, x):
        self.mean, self.std = x.mean(0), x.std(0).clamp(min=1e-3)

    def forward(self, x):
        x = (x - self.mean) / self.std
        for layer in self.layers:
            x = layer(x).relu()
        return self.head(x)


@mistake("DigitNet", "fit_inputs stores the statistics under other names, and forward never uses them", see="3.7")
class DigitNet(nn.Module):
    def __init__(self, inputs, hidden, classes, depth):
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))
        self.layers = nn.ModuleList(nn.Linear(hidden if i else inputs, hidden) for i in range(depth))
        self.head = nn.Linear(hidden, classes)

    def fit_inputs(self, x):
        self.input_mean, self.input_std = x.mean(0), x.std(0).clamp(min=1e-3)

    def forward(self, x):
        x = (x - self.mean) / self.std
        for layer in self.layers:
            x = layer(x).relu()
        return self.head(x)


@accepted("DigitNet", "buffers written in place, layers appended one by one")
class DigitNet(nn.Module):
    def __init__(self, inputs, hidden, classes, depth):
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))
        self.layers = nn.ModuleList()
        for size in [inputs] + [hidden] * (depth - 1):
            self.layers.append(nn.Linear(size, hidden))
        self.head = nn.Linear(hidden, classes)

    def fit_inputs(self, x):
        self.mean.copy_(x.mean(0))
        self.std.copy_(x.std(0).clamp_min(1e-3))

    def forward(self, x):
        h = (x - self.mean) / self.std
        for layer in self.layers:
            h = torch.relu(layer(h))
        return self.head(h)


@accepted("DigitNet", "an nn.Sequential as container, and nn.Buffer")
class DigitNet(nn.Module):
    def __init__(self, inputs, hidden, classes, depth):
        super().__init__()
        self.mean, self.std = nn.Buffer(torch.zeros(inputs)), nn.Buffer(torch.ones(inputs))
        sizes = [inputs] + [hidden] * depth
        self.layers = nn.Sequential(*[nn.Linear(a, b) for a, b in pairwise(sizes)])
        self.head = nn.Linear(hidden, classes)

    def fit_inputs(self, x):
        self.mean = x.mean(dim=0)
        self.std = torch.clamp(x.std(dim=0), min=1e-3)

    def forward(self, x):
        x = (x - self.mean) / self.std
        for layer in self.layers:
            x = F.relu(layer(x))
        return self.head(x)


# 3.8 CharMLP


class Block(nn.Module):
    def __init__(self, hidden, zero=True):
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.first, self.second = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        if zero:
            nn.init.zeros_(self.second.weight)
            nn.init.zeros_(self.second.bias)

    def forward(self, h):
        return h + self.second(F.relu(self.first(self.norm(h))))


@mistake("CharMLP", "the blocks replace the stream instead of adding to it", see="3.8")
class CharMLP(nn.Module):
    def __init__(self, symbols, reach, width, hidden, blocks):
        super().__init__()
        self.reach, self.embedding = reach, nn.Embedding(symbols, width)
        self.stem, self.blocks = nn.Linear(reach * width, hidden), nn.ModuleList(Block(hidden) for _ in range(blocks))
        self.norm, self.head = nn.LayerNorm(hidden), nn.Linear(hidden, symbols)

    def forward(self, ids):
        e = F.pad(self.embedding(ids), (0, 0, self.reach - 1, 0))
        h = self.stem(e.unfold(1, self.reach, 1).mT.flatten(2))
        for block in self.blocks:
            h = block.second(block.first(block.norm(h)).relu())
        return self.head(self.norm(h))


@mistake("CharMLP", "second does not start at zero, so twenty blocks begin as noise", see="3.8")
class CharMLP(nn.Module):
    def __init__(self, symbols, reach, width, hidden, blocks):
        super().__init__()
        self.reach, self.embedding = reach, nn.Embedding(symbols, width)
        self.stem = nn.Linear(reach * width, hidden)
        self.blocks = nn.ModuleList(Block(hidden, zero=False) for _ in range(blocks))
        self.norm, self.head = nn.LayerNorm(hidden), nn.Linear(hidden, symbols)

    def forward(self, ids):
        e = F.pad(self.embedding(ids), (0, 0, self.reach - 1, 0))
        h = self.stem(e.unfold(1, self.reach, 1).mT.flatten(2))
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h))


@mistake("CharMLP", "first starts at zero too, so after ReLU no block can ever learn", see="3.8")
class CharMLP(nn.Module):
    def __init__(self, symbols, reach, width, hidden, blocks):
        super().__init__()
        self.reach, self.embedding = reach, nn.Embedding(symbols, width)
        self.stem, self.blocks = nn.Linear(reach * width, hidden), nn.ModuleList(Block(hidden) for _ in range(blocks))
        for block in self.blocks:
            nn.init.zeros_(block.first.weight)
            nn.init.zeros_(block.first.bias)
        self.norm, self.head = nn.LayerNorm(hidden), nn.Linear(hidden, symbols)

    def forward(self, ids):
        e = F.pad(self.embedding(ids), (0, 0, self.reach - 1, 0))
        h = self.stem(e.unfold(1, self.reach, 1).mT.flatten(2))
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h))


@mistake("CharMLP", "one block object is repeated, so all blocks share their numbers", see="3.6")
class CharMLP(nn.Module):
    def __init__(self, symbols, reach, width, hidden, blocks):
        super().__init__()
        self.reach, self.embedding = reach, nn.Embedding(symbols, width)
        self.stem, self.blocks = nn.Linear(reach * width, hidden), nn.ModuleList([Block(hidden)] * blocks)
        self.norm, self.head = nn.LayerNorm(hidden), nn.Linear(hidden, symbols)

    def forward(self, ids):
        e = F.pad(self.embedding(ids), (0, 0, self.reach - 1, 0))
        h = self.stem(e.unfold(1, self.reach, 1).mT.flatten(2))
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h))


@mistake("CharMLP", "the places before the text hold character 0; they must hold zeros", see="3.8")
class CharMLP(nn.Module):
    def __init__(self, symbols, reach, width, hidden, blocks):
        super().__init__()
        self.reach, self.embedding = reach, nn.Embedding(symbols, width)
        self.stem, self.blocks = nn.Linear(reach * width, hidden), nn.ModuleList(Block(hidden) for _ in range(blocks))
        self.norm, self.head = nn.LayerNorm(hidden), nn.Linear(hidden, symbols)

    def forward(self, ids):
        windows = F.pad(ids, (self.reach - 1, 0)).unfold(1, self.reach, 1)
        h = self.stem(self.embedding(windows).flatten(2))
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h))


@mistake("CharMLP", "the zeros are put behind the text, so the model reads the characters it must predict", see="3.8")
class CharMLP(nn.Module):
    def __init__(self, symbols, reach, width, hidden, blocks):
        super().__init__()
        self.reach, self.embedding = reach, nn.Embedding(symbols, width)
        self.stem, self.blocks = nn.Linear(reach * width, hidden), nn.ModuleList(Block(hidden) for _ in range(blocks))
        self.norm, self.head = nn.LayerNorm(hidden), nn.Linear(hidden, symbols)

    def forward(self, ids):
        e = F.pad(self.embedding(ids), (0, 0, 0, self.reach - 1))
        h = self.stem(e.unfold(1, self.reach, 1).mT.flatten(2))
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h))


@mistake("CharMLP", "unfold's window is the last axis: without .mT the characters are interleaved", see="1.1")
class CharMLP(nn.Module):
    def __init__(self, symbols, reach, width, hidden, blocks):
        super().__init__()
        self.reach, self.embedding = reach, nn.Embedding(symbols, width)
        self.stem, self.blocks = nn.Linear(reach * width, hidden), nn.ModuleList(Block(hidden) for _ in range(blocks))
        self.norm, self.head = nn.LayerNorm(hidden), nn.Linear(hidden, symbols)

    def forward(self, ids):
        e = F.pad(self.embedding(ids), (0, 0, self.reach - 1, 0))
        h = self.stem(e.unfold(1, self.reach, 1).flatten(2))
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h))


@mistake("CharMLP", "the norm comes after the addition; a block normalizes what goes into first", see="3.8")
class CharMLP(nn.Module):
    def __init__(self, symbols, reach, width, hidden, blocks):
        super().__init__()
        self.reach, self.embedding = reach, nn.Embedding(symbols, width)
        self.stem, self.blocks = nn.Linear(reach * width, hidden), nn.ModuleList(Block(hidden) for _ in range(blocks))
        self.norm, self.head = nn.LayerNorm(hidden), nn.Linear(hidden, symbols)

    def forward(self, ids):
        e = F.pad(self.embedding(ids), (0, 0, self.reach - 1, 0))
        h = self.stem(e.unfold(1, self.reach, 1).mT.flatten(2))
        for block in self.blocks:
            h = block.norm(h + block.second(block.first(h).relu()))
        return self.head(self.norm(h))


@mistake("CharMLP", "the last norm is made but never used", see="3.8")
class CharMLP(nn.Module):
    def __init__(self, symbols, reach, width, hidden, blocks):
        super().__init__()
        self.reach, self.embedding = reach, nn.Embedding(symbols, width)
        self.stem, self.blocks = nn.Linear(reach * width, hidden), nn.ModuleList(Block(hidden) for _ in range(blocks))
        self.norm, self.head = nn.LayerNorm(hidden), nn.Linear(hidden, symbols)

    def forward(self, ids):
        e = F.pad(self.embedding(ids), (0, 0, self.reach - 1, 0))
        h = self.stem(e.unfold(1, self.reach, 1).mT.flatten(2))
        for block in self.blocks:
            h = block(h)
        return self.head(h)


@accepted("CharMLP", "blocks as modules of their own, windows by stacking shifted copies")
class CharMLP(nn.Module):
    def __init__(self, symbols, reach, width, hidden, blocks):
        super().__init__()
        self.reach, self.embedding = reach, nn.Embedding(symbols, width)
        self.stem, self.blocks = nn.Linear(reach * width, hidden), nn.ModuleList([Block(hidden) for _ in range(blocks)])
        self.norm, self.head = nn.LayerNorm(hidden), nn.Linear(hidden, symbols)

    def forward(self, ids):
        e, n = self.embedding(ids), ids.shape[1]
        padded = torch.cat([e.new_zeros(e.shape[0], self.reach - 1, e.shape[2]), e], dim=1)
        side_by_side = torch.cat([padded[:, i : i + n] for i in range(self.reach)], dim=-1)
        h = self.stem(side_by_side)
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h))


@accepted("CharMLP", "nn.Sequential of blocks, einops-free permute and reshape")
class CharMLP(nn.Module):
    def __init__(self, symbols, reach, width, hidden, blocks):
        super().__init__()
        self.reach = reach
        self.embedding = nn.Embedding(symbols, width)
        self.stem = nn.Linear(reach * width, hidden)
        self.blocks = nn.Sequential(*(Block(hidden) for _ in range(blocks)))
        self.norm = nn.LayerNorm(hidden)
        self.head = nn.Linear(hidden, symbols)

    def forward(self, ids):
        batch, n = ids.shape
        e = F.pad(self.embedding(ids), (0, 0, self.reach - 1, 0))
        windows = e.unfold(1, self.reach, 1).permute(0, 1, 3, 2).reshape(batch, n, -1)
        return self.head(self.norm(self.blocks(self.stem(windows))))
