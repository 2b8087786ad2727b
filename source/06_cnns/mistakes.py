"""Wrong and right ways to write the exercises of lesson 06."""

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn
from torchgrade.lessons import accepted, mistake


def _windows(x, kernel, stride, dilation):
    """All windows of x: (batch, c, h, w) as (batch, c, h', w', k_h, k_w)."""
    for axis in (0, 1):
        x = x.unfold(2 + axis, dilation[axis] * (kernel[axis] - 1) + 1, stride[axis])[..., :: dilation[axis]]
    return x


class _Block(nn.Module):
    """The parts of a residual block, named as the exercise asks."""

    def __init__(self, c_in, c_out, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(c_out), nn.BatchNorm2d(c_out)
        self.shortcut = nn.Identity()
        if c_in != c_out or stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))


class _Shapes(nn.Module):
    """The parts of the project's network."""

    def __init__(self, classes, width):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.block1, self.block2 = ResidualBlock(width, width), ResidualBlock(width, 2 * width, 2)
        self.head = nn.Linear(2 * width, classes)

    def features(self, images):
        return self.block2(self.block1(F.relu(self.norm(self.stem(images)))))

    def classify(self, maps):
        return self.head(maps.mean((2, 3)))

    def forward(self, images):
        return self.classify(self.features(images))


# 6.1 convolve


@mistake("convolve", "the kernel is turned around; PyTorch's convolution does not do that", see="6.1")
def convolve(x, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    x = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    out = torch.einsum("bchwuv,ocuv->bohw", _windows(x, weight.shape[2:], stride, dilation), weight.flip(2, 3))
    return out if bias is None else out + bias[:, None, None]


@mistake("convolve", "F.pad counts from the last axis: the width's padding comes first", see="6.1")
def convolve(x, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    x = F.pad(x, (padding[0], padding[0], padding[1], padding[1]))
    out = torch.einsum("bchwuv,ocuv->bohw", _windows(x, weight.shape[2:], stride, dilation), weight)
    return out if bias is None else out + bias[:, None, None]


@mistake("convolve", "the bias is added along the width instead of along the channels", see="1.2")
def convolve(x, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    x = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    out = torch.einsum("bchwuv,ocuv->bohw", _windows(x, weight.shape[2:], stride, dilation), weight)
    return out if bias is None else out + bias


@mistake("convolve", "the dilation is ignored: the window's cells stay neighbors", see="6.1")
def convolve(x, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    x = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    kernel = weight.shape[2:]
    for axis in (0, 1):
        span = dilation[axis] * (kernel[axis] - 1) + 1
        x = x.unfold(2 + axis, span, stride[axis])[..., : kernel[axis]]
    out = torch.einsum("bchwuv,ocuv->bohw", x, weight)
    return out if bias is None else out + bias[:, None, None]


@mistake("convolve", "each output channel reads only the input channel of its own number", see="6.1")
def convolve(x, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    x = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    windows = _windows(x, weight.shape[2:], stride, dilation)
    if weight.shape[0] != weight.shape[1]:
        out = torch.einsum("bchwuv,ocuv->bohw", windows, weight)
    else:
        out = torch.einsum("bchwuv,ccuv->bchw", windows, weight)
    return out if bias is None else out + bias[:, None, None]


@mistake("convolve", "padding repeats the border instead of putting zeros around it", see="6.1")
def convolve(x, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    x = F.pad(x, (padding[1], padding[1], padding[0], padding[0]), mode="replicate")
    out = torch.einsum("bchwuv,ocuv->bohw", _windows(x, weight.shape[2:], stride, dilation), weight)
    return out if bias is None else out + bias[:, None, None]


@mistake("convolve", "weight.data leaves the graph, so the kernel never learns", see="2.1")
def convolve(x, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    x = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    out = torch.einsum("bchwuv,ocuv->bohw", _windows(x, weight.shape[2:], stride, dilation), weight.data)
    return out if bias is None else out + bias[:, None, None]


@mistake("convolve", "torch's operator is called instead of building it", see="6.1")
def convolve(x, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    return F.conv2d(x, weight, bias, stride, padding, dilation)


@accepted("convolve", "im2col: F.unfold and one matrix product")
def convolve(x, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    kernel = weight.shape[2:]
    columns = F.unfold(x, tuple(kernel), dilation, padding, stride)  # (batch, c_in * k_h * k_w, places)
    out = weight.flatten(1) @ columns
    h = (x.shape[2] + 2 * padding[0] - dilation[0] * (kernel[0] - 1) - 1) // stride[0] + 1
    out = out.unflatten(2, (h, -1))
    return out if bias is None else out + bias.view(-1, 1, 1)


@accepted("convolve", "as_strided: the card of all windows")
def convolve(x, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    x = F.pad(x, (padding[1], padding[1], padding[0], padding[0])).contiguous()
    (b, c, h, w), (kh, kw) = x.shape, weight.shape[2:]
    rows, columns = (
        (n - d * (k - 1) - 1) // s + 1 for n, d, k, s in zip((h, w), dilation, (kh, kw), stride, strict=True)
    )
    sb, sc, sh, sw = x.stride()
    strides = (sb, sc, sh * stride[0], sw * stride[1], sh * dilation[0], sw * dilation[1])
    windows = x.as_strided((b, c, rows, columns, kh, kw), strides)
    out = torch.tensordot(windows, weight, dims=([1, 4, 5], [1, 2, 3])).permute(0, 3, 1, 2)
    return out if bias is None else out + bias[None, :, None, None]


@accepted("convolve", "a loop over the kernel's cells, a shifted picture for each")
def convolve(x, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    x = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    kh, kw = weight.shape[2:]
    h = (x.shape[2] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    w = (x.shape[3] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    out = x.new_zeros(x.shape[0], weight.shape[0], h, w)
    for u in range(kh):
        for v in range(kw):
            part = x[:, :, u * dilation[0] :: stride[0], v * dilation[1] :: stride[1]][:, :, :h, :w]
            out = out + torch.einsum("bchw,oc->bohw", part, weight[:, :, u, v])
    return out if bias is None else out + bias[:, None, None]


# 6.2 stack_geometry


@mistake(
    "stack_geometry", "a layer's own stride does not spread its own window: the jump grows after the field", see="6.2"
)
def stack_geometry(n, layers):
    size, field, jump = n, 1, 1
    for kernel, stride, padding, dilation in layers:
        if size + 2 * padding < dilation * (kernel - 1) + 1:
            raise ValueError("too small")
        size = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        jump *= stride
        field += dilation * (kernel - 1) * jump
    return size, field


@mistake("stack_geometry", "strides of earlier layers are ignored, though they spread the later windows", see="6.2")
def stack_geometry(n, layers):
    size, field = n, 1
    for kernel, stride, padding, dilation in layers:
        if size + 2 * padding < dilation * (kernel - 1) + 1:
            raise ValueError("too small")
        size = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        field += dilation * (kernel - 1)
    return size, field


@mistake("stack_geometry", "the kernels are added up, as if their windows did not overlap", see="6.2")
def stack_geometry(n, layers):
    size = n
    for kernel, stride, padding, dilation in layers:
        if size + 2 * padding < dilation * (kernel - 1) + 1:
            raise ValueError("too small")
        size = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    return size, max(1, sum(layer[0] for layer in layers))


@mistake("stack_geometry", "a dilated window spans d(k - 1) + 1 inputs, not d times k", see="6.2")
def stack_geometry(n, layers):
    size, field, jump = n, 1, 1
    for kernel, stride, padding, dilation in layers:
        if size + 2 * padding < dilation * kernel:
            raise ValueError("too small")
        size = (size + 2 * padding - dilation * kernel) // stride + 1
        field += (dilation * kernel - 1) * jump
        jump *= stride
    return size, field


@mistake("stack_geometry", "an incomplete last window is counted: the division must round down", see="6.1")
def stack_geometry(n, layers):
    size, field, jump = n, 1, 1
    for kernel, stride, padding, dilation in layers:
        if size + 2 * padding < dilation * (kernel - 1) + 1:
            raise ValueError("too small")
        size = math.ceil((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1
        field += dilation * (kernel - 1) * jump
        jump *= stride
    return size, field


@mistake("stack_geometry", "a window that does not fit gives a size of 0 or less instead of an error", see="6.2")
def stack_geometry(n, layers):
    size, field, jump = n, 1, 1
    for kernel, stride, padding, dilation in layers:
        size = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        field += dilation * (kernel - 1) * jump
        jump *= stride
    return size, field


@accepted("stack_geometry", "the field from the last layer back to the first")
def stack_geometry(n, layers):
    size, field = n, 1
    for kernel, stride, padding, dilation in layers:
        size = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        if size < 1:
            raise ValueError(f"a window of {kernel} does not fit")
    for kernel, stride, _, dilation in reversed(layers):
        field = (field - 1) * stride + dilation * (kernel - 1) + 1
    return size, field


@accepted("stack_geometry", "jumps by cumulative products")
def stack_geometry(n, layers):
    jumps = [1]
    for kernel, stride, padding, dilation in layers:
        span = dilation * (kernel - 1) + 1
        if span > n + 2 * padding:
            raise ValueError(f"{span} cells do not fit into {n + 2 * padding}")
        n = len(range(0, n + 2 * padding - span + 1, stride))
        jumps.append(jumps[-1] * stride)
    return n, 1 + sum(layer[3] * (layer[0] - 1) * jump for layer, jump in zip(layers, jumps, strict=False))


# 6.3 max_pool


@mistake("max_pool", "padding with zeros wins where all numbers are negative", see="6.3")
def max_pool(x, size, stride=None, padding=0):
    stride = stride or size
    return F.pad(x, (padding,) * 4).unfold(2, size, stride).unfold(3, size, stride).amax((-2, -1))


@mistake("max_pool", "without a stride the window moves by one instead of by its own size", see="6.3")
def max_pool(x, size, stride=None, padding=0):
    stride = stride or 1
    return F.pad(x, (padding,) * 4, value=-math.inf).unfold(2, size, stride).unfold(3, size, stride).amax((-2, -1))


@mistake("max_pool", "a given stride is ignored: the window always moves by its own size", see="6.3")
def max_pool(x, size, stride=None, padding=0):
    return F.pad(x, (padding,) * 4, value=-math.inf).unfold(2, size, size).unfold(3, size, size).amax((-2, -1))


@mistake("max_pool", "the mean is taken instead of the largest number", see="6.3")
def max_pool(x, size, stride=None, padding=0):
    stride = stride or size
    return F.pad(x, (padding,) * 4).unfold(2, size, stride).unfold(3, size, stride).mean((-2, -1))


@mistake("max_pool", "the maxima are copied into a new tensor without history, so no gradient flows", see="2.1")
def max_pool(x, size, stride=None, padding=0):
    stride = stride or size
    windows = F.pad(x, (padding,) * 4, value=-math.inf).unfold(2, size, stride).unfold(3, size, stride)
    return windows.amax((-2, -1)).detach().requires_grad_()


@mistake("max_pool", "a soft maximum spreads the gradient over the window; only the winner may get it", see="6.3")
def max_pool(x, size, stride=None, padding=0):
    stride = stride or size
    windows = F.pad(x, (padding,) * 4, value=-math.inf).unfold(2, size, stride).unfold(3, size, stride)
    best = windows.amax((-2, -1))
    smooth = torch.logsumexp(windows.flatten(-2), -1)
    return smooth + (best - smooth).detach()


@mistake("max_pool", "torch's operator is called instead of building it", see="6.3")
def max_pool(x, size, stride=None, padding=0):
    return F.max_pool2d(x, size, stride, padding)


@accepted("max_pool", "rows first, then columns")
def max_pool(x, size, stride=None, padding=0):
    stride = size if stride is None else stride
    x = F.pad(x, (padding, padding, padding, padding), value=float("-inf"))
    return x.unfold(2, size, stride).max(-1).values.unfold(3, size, stride).max(-1).values


@accepted("max_pool", "a loop over the window's cells")
def max_pool(x, size, stride=None, padding=0):
    stride = size if stride is None else stride
    x = F.pad(x, (padding,) * 4, value=-math.inf)
    h, w = ((n - size) // stride + 1 for n in x.shape[2:])
    cells = [x[:, :, u::stride, v::stride][:, :, :h, :w] for u in range(size) for v in range(size)]
    return torch.stack(cells).amax(0)


# 6.4 DepthwiseSeparable


@mistake(
    "DepthwiseSeparable", "the stride is in the pointwise layer, so most of what depthwise computes is lost", see="6.4"
)
class DepthwiseSeparable(nn.Module):
    def __init__(self, c_in, c_out, kernel, stride=1):
        super().__init__()
        self.depthwise = nn.Conv2d(c_in, c_in, kernel, 1, kernel // 2, groups=c_in, bias=False)
        self.pointwise = nn.Conv2d(c_in, c_out, 1, stride)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))


@mistake("DepthwiseSeparable", "without groups=c_in the first layer mixes the channels", see="6.4")
class DepthwiseSeparable(nn.Module):
    def __init__(self, c_in, c_out, kernel, stride=1):
        super().__init__()
        self.depthwise = nn.Conv2d(c_in, c_in, kernel, stride, kernel // 2, bias=False)
        self.pointwise = nn.Conv2d(c_in, c_out, 1)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))


@mistake("DepthwiseSeparable", "there is a ReLU in between, which the task leaves out", see="6.4")
class DepthwiseSeparable(nn.Module):
    def __init__(self, c_in, c_out, kernel, stride=1):
        super().__init__()
        self.depthwise = nn.Conv2d(c_in, c_in, kernel, stride, kernel // 2, groups=c_in, bias=False)
        self.pointwise = nn.Conv2d(c_in, c_out, 1)

    def forward(self, x):
        return self.pointwise(F.relu(self.depthwise(x)))


@mistake("DepthwiseSeparable", "a padding of 1 keeps the size for kernels of 3 only", see="6.4")
class DepthwiseSeparable(nn.Module):
    def __init__(self, c_in, c_out, kernel, stride=1):
        super().__init__()
        self.depthwise = nn.Conv2d(c_in, c_in, kernel, stride, 1, groups=c_in, bias=False)
        self.pointwise = nn.Conv2d(c_in, c_out, 1)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))


@accepted("DepthwiseSeparable", "keywords, and padding from (kernel - 1) / 2")
class DepthwiseSeparable(nn.Module):
    def __init__(self, c_in, c_out, kernel, stride=1):
        super().__init__()
        options = {"kernel_size": kernel, "stride": stride, "padding": (kernel - 1) // 2}
        self.depthwise = nn.Conv2d(in_channels=c_in, out_channels=c_in, groups=c_in, bias=False, **options)
        self.pointwise = nn.Conv2d(in_channels=c_in, out_channels=c_out, kernel_size=(1, 1), bias=True)

    def forward(self, x):
        x = self.depthwise(x)
        return self.pointwise(x)


@accepted("DepthwiseSeparable", "the functional operator with the modules' weights")
class DepthwiseSeparable(nn.Module):
    def __init__(self, c_in, c_out, kernel, stride=1):
        super().__init__()
        self.stride, self.padding = stride, kernel // 2
        self.depthwise = nn.Conv2d(c_in, c_in, kernel, groups=c_in, bias=False)
        self.pointwise = nn.Conv2d(c_in, c_out, 1)

    def forward(self, x):
        w = self.depthwise.weight
        alone = F.conv2d(x, w, stride=self.stride, padding=self.padding, groups=w.shape[0])
        return F.conv2d(alone, self.pointwise.weight, self.pointwise.bias)


# 6.5 fold_batchnorm


@mistake(
    "fold_batchnorm", "the scale belongs to the output channels (axis 0 of the weight), not to the input's", see="6.5"
)
def fold_batchnorm(conv, norm):
    folded = copy.deepcopy(conv)
    with torch.no_grad():
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        bias = 0.0 if conv.bias is None else conv.bias
        folded.weight.copy_(conv.weight * scale[None, :, None, None])
        folded.bias = nn.Parameter((bias - norm.running_mean) * scale + norm.bias)
    return folded


@mistake("fold_batchnorm", "eps is added to the standard deviation instead of to the variance", see="3.5")
def fold_batchnorm(conv, norm):
    folded = copy.deepcopy(conv)
    with torch.no_grad():
        scale = norm.weight / (norm.running_var.sqrt() + norm.eps)
        bias = 0.0 if conv.bias is None else conv.bias
        folded.weight.copy_(conv.weight * scale[:, None, None, None])
        folded.bias = nn.Parameter((bias - norm.running_mean) * scale + norm.bias)
    return folded


@mistake("fold_batchnorm", "eps is forgotten", see="6.5")
def fold_batchnorm(conv, norm):
    folded = copy.deepcopy(conv)
    with torch.no_grad():
        scale = norm.weight / norm.running_var.sqrt()
        bias = 0.0 if conv.bias is None else conv.bias
        folded.weight.copy_(conv.weight * scale[:, None, None, None])
        folded.bias = nn.Parameter((bias - norm.running_mean) * scale + norm.bias)
    return folded


@mistake("fold_batchnorm", "the convolution's own bias is added unscaled", see="6.5")
def fold_batchnorm(conv, norm):
    folded = copy.deepcopy(conv)
    with torch.no_grad():
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        bias = 0.0 if conv.bias is None else conv.bias
        folded.weight.copy_(conv.weight * scale[:, None, None, None])
        folded.bias = nn.Parameter(bias - norm.running_mean * scale + norm.bias)
    return folded


@mistake("fold_batchnorm", "conv itself is changed; the task asks for a new layer", see="6.5")
def fold_batchnorm(conv, norm):
    with torch.no_grad():
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        bias = torch.zeros_like(scale) if conv.bias is None else conv.bias
        conv.bias = nn.Parameter((bias - norm.running_mean) * scale + norm.bias)
        conv.weight.mul_(scale[:, None, None, None])
    return conv


@mistake("fold_batchnorm", "stride, padding, dilation and groups of the convolution are lost", see="6.5")
def fold_batchnorm(conv, norm):
    weight_shape = conv.weight.shape
    folded = nn.Conv2d(weight_shape[1], weight_shape[0], weight_shape[2:], dtype=conv.weight.dtype)
    with torch.no_grad():
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        bias = 0.0 if conv.bias is None else conv.bias
        folded.weight.copy_(conv.weight * scale[:, None, None, None])
        folded.bias.copy_((bias - norm.running_mean) * scale + norm.bias)
    return folded


@mistake("fold_batchnorm", "a Sequential of both layers is returned: nothing was folded", see="6.5")
def fold_batchnorm(conv, norm):
    return nn.Sequential(copy.deepcopy(conv), copy.deepcopy(norm)).eval()


@accepted("fold_batchnorm", "a copy of conv with new parameters")
def fold_batchnorm(conv, norm):
    folded = copy.deepcopy(conv)
    scale = (norm.weight * torch.rsqrt(norm.running_var + norm.eps)).detach()
    bias = torch.zeros_like(scale) if conv.bias is None else conv.bias.detach()
    folded.weight = nn.Parameter(conv.weight.detach() * scale.view(-1, 1, 1, 1))
    folded.bias = nn.Parameter(norm.bias.detach() + scale * (bias - norm.running_mean))
    return folded


@accepted("fold_batchnorm", "the offset found by feeding zeros through the norm")
@torch.no_grad()
def fold_batchnorm(conv, norm):
    still = copy.deepcopy(norm).eval()
    width = conv.out_channels
    zero = torch.zeros(1, width, 1, 1, dtype=conv.weight.dtype)
    offset = still(zero)
    scale = still(zero + 1) - offset
    folded = copy.deepcopy(conv)
    own = zero if conv.bias is None else conv.bias.view(1, -1, 1, 1)
    folded.weight.mul_(scale.view(-1, 1, 1, 1))
    folded.bias = nn.Parameter((own * scale + offset).flatten())
    return folded


# 6.6 ResidualBlock


@mistake("ResidualBlock", "the input is not added: there is no way around the two layers", see="6.6")
class ResidualBlock(_Block):
    def forward(self, x):
        return F.relu(self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))


@mistake("ResidualBlock", "ReLU comes before the sum instead of after it", see="6.6")
class ResidualBlock(_Block):
    def forward(self, x):
        return F.relu(self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))) + self.shortcut(x)


@mistake("ResidualBlock", "there is no ReLU between the two convolutions", see="6.6")
class ResidualBlock(_Block):
    def forward(self, x):
        return F.relu(self.norm2(self.conv2(self.norm1(self.conv1(x)))) + self.shortcut(x))


@mistake("ResidualBlock", "the first norm is used twice, so its statistics mix two layers", see="6.6")
class ResidualBlock(_Block):
    def forward(self, x):
        return F.relu(self.norm1(self.conv2(F.relu(self.norm1(self.conv1(x))))) + self.shortcut(x))


@mistake("ResidualBlock", "the sum is written into x: the caller's tensor changes", see="1.1")
class ResidualBlock(_Block):
    def forward(self, x):
        correction = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        x = self.shortcut(x)
        x += correction
        return F.relu(x)


@mistake("ResidualBlock", "the way around is detached, so gradients have to pass both convolutions", see="6.6")
class ResidualBlock(_Block):
    def forward(self, x):
        return F.relu(self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))) + self.shortcut(x.detach()))


@mistake("ResidualBlock", "batch norm comes after ReLU instead of before it", see="6.6")
class ResidualBlock(_Block):
    def forward(self, x):
        return F.relu(self.norm2(self.conv2(self.norm1(F.relu(self.conv1(x))))) + self.shortcut(x))


@accepted("ResidualBlock", "the shortcut is None where nothing is needed")
class ResidualBlock(nn.Module):
    def __init__(self, c_in, c_out, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, kernel_size=3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, kernel_size=3, stride=1, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(c_out)
        self.shortcut = None
        if stride != 1 or c_in != c_out:
            project = nn.Conv2d(c_in, c_out, kernel_size=1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(project, nn.BatchNorm2d(c_out))

    def forward(self, x):
        h = torch.relu(self.norm1(self.conv1(x)))
        h = self.norm2(self.conv2(h))
        h += x if self.shortcut is None else self.shortcut(x)
        return h.relu_()


@accepted("ResidualBlock", "an empty Sequential as the plain way around")
class ResidualBlock(nn.Module):
    def __init__(self, c_in, c_out, stride=1):
        super().__init__()
        conv = {"kernel_size": 3, "padding": 1, "bias": False}
        self.conv1, self.norm1 = nn.Conv2d(c_in, c_out, stride=stride, **conv), nn.BatchNorm2d(c_out)
        self.conv2, self.norm2 = nn.Conv2d(c_out, c_out, **conv), nn.BatchNorm2d(c_out)
        plain = c_in == c_out and stride == 1
        layers = () if plain else (nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))
        self.shortcut = nn.Sequential(*layers)

    def forward(self, x):
        return (self.shortcut(x) + self.norm2(self.conv2(self.norm1(self.conv1(x)).clamp(min=0)))).clamp(min=0)


# 6.7 causal_layer


@mistake("causal_layer", "positions and channels are exchanged by a reshape, which only cuts rows elsewhere", see="1.1")
def causal_layer(x, weight, bias, gap):
    batch, n, width = x.shape
    padded = F.pad(x.reshape(batch, width, n), ((weight.shape[2] - 1) * gap, 0))
    return x + F.conv1d(padded, weight, bias, dilation=gap).reshape(batch, n, width).relu()


@mistake("causal_layer", "padding on both sides lets a position hear later ones", see="6.7")
def causal_layer(x, weight, bias, gap):
    reach = (weight.shape[2] - 1) * gap
    padded = F.pad(x.mT, (reach // 2, reach - reach // 2))
    return x + F.conv1d(padded, weight, bias, dilation=gap).mT.relu()


@mistake("causal_layer", "the kernel is still turned around: its last cell must meet the position itself", see="6.1")
def causal_layer(x, weight, bias, gap):
    padded = F.pad(x.mT, ((weight.shape[2] - 1) * gap, 0))
    return x + F.conv1d(padded, weight.flip(2), bias, dilation=gap).mT.relu()


@mistake("causal_layer", "one more zero on the left hides the position itself", see="6.7")
def causal_layer(x, weight, bias, gap):
    padded = F.pad(x.mT, ((weight.shape[2] - 1) * gap + 1, 0))[..., :-1]
    return x + F.conv1d(padded, weight, bias, dilation=gap).mT.relu()


@mistake("causal_layer", "the gap is forgotten: the kernel's cells meet neighboring positions", see="6.2")
def causal_layer(x, weight, bias, gap):
    padded = F.pad(x.mT, (weight.shape[2] - 1, 0))
    return x + F.conv1d(padded, weight, bias).mT.relu()


@mistake("causal_layer", "ReLU is applied to the sum instead of to what the convolution found", see="6.7")
def causal_layer(x, weight, bias, gap):
    padded = F.pad(x.mT, ((weight.shape[2] - 1) * gap, 0))
    return (x + F.conv1d(padded, weight, bias, dilation=gap).mT).relu()


@accepted("causal_layer", "padding on both sides, and the surplus at the end cut off")
def causal_layer(x, weight, bias, gap):
    n = x.shape[1]
    heard = F.conv1d(x.transpose(1, 2), weight, bias, padding=(weight.shape[2] - 1) * gap, dilation=gap)[:, :, :n]
    return x + F.relu(heard.transpose(1, 2))


@accepted("causal_layer", "a loop over the kernel's cells")
def causal_layer(x, weight, bias, gap):
    n, kernel = x.shape[1], weight.shape[2]
    heard = bias
    for cell in range(kernel):
        back = (kernel - 1 - cell) * gap
        heard = heard + F.pad(x, (0, 0, back, 0))[:, :n] @ weight[:, :, cell].T
    return x + heard.relu()


# 6.8 ShapeNet and grad_cam


@mistake("ShapeNet", "the places are flattened for the linear layer, which fits one picture size only", see="6.3")
class ShapeNet(_Shapes):
    def __init__(self, classes, width):
        super().__init__(classes, width)
        self.head = nn.Linear(2 * width * 10 * 10, classes)

    def classify(self, maps):
        return self.head(maps.flatten(1))


@mistake("ShapeNet", "the largest value of each map is taken instead of the mean over its places", see="6.3")
class ShapeNet(_Shapes):
    def classify(self, maps):
        return self.head(maps.amax((2, 3)))


@mistake("ShapeNet", "there is no ReLU after the stem's batch norm", see="6.8")
class ShapeNet(_Shapes):
    def features(self, images):
        return self.block2(self.block1(self.norm(self.stem(images))))


@mistake("ShapeNet", "the stem's batch norm is owned, and never used", see="6.8")
class ShapeNet(_Shapes):
    def features(self, images):
        return self.block2(self.block1(F.relu(self.stem(images))))


@accepted("ShapeNet", "adaptive pooling, and plain calls one by one")
class ShapeNet(nn.Module):
    def __init__(self, classes, width):
        super().__init__()
        self.stem = nn.Conv2d(1, width, kernel_size=3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.block1 = ResidualBlock(width, width)
        self.block2 = ResidualBlock(width, width * 2, stride=2)
        self.head = nn.Linear(width * 2, classes)

    def features(self, images):
        h = torch.relu(self.norm(self.stem(images)))
        h = self.block1(h)
        return self.block2(h)

    def classify(self, maps):
        return self.head(F.adaptive_avg_pool2d(maps, 1).flatten(1))

    def forward(self, images):
        return self.classify(self.features(images))


@accepted("ShapeNet", "the head before the mean, which is the same: both are linear")
class ShapeNet(_Shapes):
    def classify(self, maps):
        return self.head(maps.movedim(1, -1)).mean((1, 2))


@mistake("grad_cam", "evidence against the class is shown as heat: the ReLU is missing", see="6.8")
def grad_cam(features, classify, images, classes):
    maps = features(images).detach().requires_grad_()
    (slopes,) = torch.autograd.grad(classify(maps).gather(1, classes[:, None]).sum(), maps)
    heat = (slopes.mean((2, 3), keepdim=True) * maps.detach()).sum(1, keepdim=True)
    heat = F.interpolate(heat, size=images.shape[2:], mode="bilinear")[:, 0]
    return heat / heat.amax((1, 2), keepdim=True).clamp(min=1e-30)


@mistake("grad_cam", "the gradient is multiplied place by place; its mean over places is the map's weight", see="6.8")
def grad_cam(features, classify, images, classes):
    maps = features(images).detach().requires_grad_()
    (slopes,) = torch.autograd.grad(classify(maps).gather(1, classes[:, None]).sum(), maps)
    heat = (slopes * maps.detach()).sum(1, keepdim=True).relu()
    heat = F.interpolate(heat, size=images.shape[2:], mode="bilinear")[:, 0]
    return heat / heat.amax((1, 2), keepdim=True).clamp(min=1e-30)


@mistake("grad_cam", "the predicted class is explained instead of the one that was asked about", see="6.8")
def grad_cam(features, classify, images, classes):
    maps = features(images).detach().requires_grad_()
    (slopes,) = torch.autograd.grad(classify(maps).amax(1).sum(), maps)
    heat = (slopes.mean((2, 3), keepdim=True) * maps.detach()).sum(1, keepdim=True).relu()
    heat = F.interpolate(heat, size=images.shape[2:], mode="bilinear")[:, 0]
    return heat / heat.amax((1, 2), keepdim=True).clamp(min=1e-30)


@mistake("grad_cam", "the probability is differentiated instead of the logit", see="6.8")
def grad_cam(features, classify, images, classes):
    maps = features(images).detach().requires_grad_()
    (slopes,) = torch.autograd.grad(classify(maps).softmax(1).gather(1, classes[:, None]).sum(), maps)
    heat = (slopes.mean((2, 3), keepdim=True) * maps.detach()).sum(1, keepdim=True).relu()
    heat = F.interpolate(heat, size=images.shape[2:], mode="bilinear")[:, 0]
    return heat / heat.amax((1, 2), keepdim=True).clamp(min=1e-30)


@mistake("grad_cam", "the whole batch is divided by one largest value; each picture has its own", see="6.8")
def grad_cam(features, classify, images, classes):
    maps = features(images).detach().requires_grad_()
    (slopes,) = torch.autograd.grad(classify(maps).gather(1, classes[:, None]).sum(), maps)
    heat = (slopes.mean((2, 3), keepdim=True) * maps.detach()).sum(1, keepdim=True).relu()
    heat = F.interpolate(heat, size=images.shape[2:], mode="bilinear")[:, 0]
    return heat / heat.max().clamp(min=1e-30)


@mistake("grad_cam", "where nothing speaks for the class, 0 / 0 gives NaN", see="6.8")
def grad_cam(features, classify, images, classes):
    maps = features(images).detach().requires_grad_()
    (slopes,) = torch.autograd.grad(classify(maps).gather(1, classes[:, None]).sum(), maps)
    heat = (slopes.mean((2, 3), keepdim=True) * maps.detach()).sum(1, keepdim=True).relu()
    heat = F.interpolate(heat, size=images.shape[2:], mode="bilinear")[:, 0]
    return heat / heat.amax((1, 2), keepdim=True)


@mistake("grad_cam", "backward() leaves gradients in the network's parameters", see="6.8")
def grad_cam(features, classify, images, classes):
    maps = features(images)
    maps = maps if maps.requires_grad else maps.detach().requires_grad_()
    maps.retain_grad()
    classify(maps).gather(1, classes[:, None]).sum().backward()
    heat = (maps.grad.mean((2, 3), keepdim=True) * maps.detach()).sum(1, keepdim=True).relu()
    heat = F.interpolate(heat, size=images.shape[2:], mode="bilinear")[:, 0]
    return heat / heat.amax((1, 2), keepdim=True).clamp(min=1e-30)


@mistake("grad_cam", "the heat map keeps its history of gradients", see="6.8")
def grad_cam(features, classify, images, classes):
    maps = features(images).detach().requires_grad_()
    (slopes,) = torch.autograd.grad(classify(maps).gather(1, classes[:, None]).sum(), maps)
    heat = (slopes.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).relu()
    heat = F.interpolate(heat, size=images.shape[2:], mode="bilinear")[:, 0]
    return heat / heat.amax((1, 2), keepdim=True).clamp(min=1e-30)


@mistake("grad_cam", "the map is enlarged in blocks (nearest) instead of bilinearly", see="6.8")
def grad_cam(features, classify, images, classes):
    maps = features(images).detach().requires_grad_()
    (slopes,) = torch.autograd.grad(classify(maps).gather(1, classes[:, None]).sum(), maps)
    heat = (slopes.mean((2, 3), keepdim=True) * maps.detach()).sum(1, keepdim=True).relu()
    heat = F.interpolate(heat, size=images.shape[2:])[:, 0]
    return heat / heat.amax((1, 2), keepdim=True).clamp(min=1e-30)


@accepted("grad_cam", "einsum, and where instead of clamp")
def grad_cam(features, classify, images, classes):
    with torch.no_grad():
        maps = features(images)
    leaf = maps.clone().requires_grad_()
    logits = classify(leaf)
    slopes = torch.autograd.grad(logits[torch.arange(len(classes)), classes].sum(), leaf)[0]
    heat = torch.einsum("bk,bkhw->bhw", slopes.mean((2, 3)), maps).clamp(min=0)
    heat = F.interpolate(heat[:, None], size=tuple(images.shape[-2:]), mode="bilinear", align_corners=False).squeeze(1)
    largest = heat.flatten(1).max(1).values[:, None, None]
    return torch.where(largest > 0, heat / largest, torch.zeros_like(heat)).detach()


@accepted("grad_cam", "picture by picture, with a one-hot vector as the outer gradient")
def grad_cam(features, classify, images, classes):
    found = []
    maps = features(images).detach()
    for one, wanted in zip(maps, classes.tolist(), strict=True):
        leaf = one[None].clone().requires_grad_()
        logits = classify(leaf)
        pick = torch.zeros_like(logits)
        pick[0, wanted] = 1
        (slopes,) = torch.autograd.grad(logits, leaf, pick)
        heat = (slopes.mean((2, 3), keepdim=True) * one).sum(1, keepdim=True).relu()
        heat = F.interpolate(heat, size=images.shape[2:], mode="bilinear")[0, 0]
        found.append(heat / heat.max() if heat.max() > 0 else heat)
    return torch.stack(found)
