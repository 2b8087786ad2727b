"""Wrong and right ways to write the exercises of lesson 14."""

import statistics
from collections import Counter

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import nn
from torchgrade.lessons import accepted, mistake

# 14.2 benchmark


def measured(work, clock, synchronize, warmup, repeats, *, before=True, after=True, typical=statistics.median):
    for _ in range(warmup):
        work()
    seconds = []
    for _ in range(repeats):
        if before:
            synchronize()
        start = clock()
        work()
        if after:
            synchronize()
        seconds.append(clock() - start)
    return float(typical(seconds))


@mistake("benchmark", "the clock is read before the work is done: synchronize at the end", see="14.2")
def benchmark(work, clock, synchronize, warmup=3, repeats=11):
    return measured(work, clock, synchronize, warmup, repeats, after=False)


@mistake("benchmark", "the queue still holds the warm-up when the clock starts: synchronize first", see="14.2")
def benchmark(work, clock, synchronize, warmup=3, repeats=11):
    return measured(work, clock, synchronize, warmup, repeats, before=False)


@mistake("benchmark", "a mean: one outlier decides; take the median", see="14.2")
def benchmark(work, clock, synchronize, warmup=3, repeats=11):
    return measured(work, clock, synchronize, warmup, repeats, typical=statistics.fmean)


@mistake("benchmark", "the best time is not the typical one; take the median", see="14.2")
def benchmark(work, clock, synchronize, warmup=3, repeats=11):
    return measured(work, clock, synchronize, warmup, repeats, typical=min)


@mistake("benchmark", "torch.median takes the lower of the two in the middle", see="14.2")
def benchmark(work, clock, synchronize, warmup=3, repeats=11):
    return measured(work, clock, synchronize, warmup, repeats, typical=lambda s: torch.tensor(s).median().item())


@mistake("benchmark", "the warm-up calls are measured as well", see="14.2")
def benchmark(work, clock, synchronize, warmup=3, repeats=11):
    return measured(work, clock, synchronize, 0, warmup + repeats)


@accepted("benchmark", "sorted by hand")
def benchmark(work, clock, synchronize, warmup=3, repeats=11):
    seconds = []
    for call in range(warmup + repeats):
        synchronize()
        start = clock()
        work()
        synchronize()
        if call >= warmup:
            seconds.append(clock() - start)
    seconds.sort()
    return (seconds[(repeats - 1) // 2] + seconds[repeats // 2]) / 2


@accepted("benchmark", "a quantile of a tensor")
def benchmark(work, clock, synchronize, warmup=3, repeats=11):
    return measured(
        work,
        clock,
        synchronize,
        warmup,
        repeats,
        typical=lambda seconds: torch.tensor(seconds, dtype=torch.float64).quantile(0.5).item(),
    )


# 14.3 operator_counter


def called(gm):
    return [node for node in gm.graph.nodes if node.op in ("call_function", "call_method")]


def name_of(node):
    return node.target if node.op == "call_method" else node.target.__name__


@mistake("operator_counter", "a backend returns a callable, not the result of the first call", see="14.3")
def operator_counter():
    counts = Counter()

    def backend(gm, example_inputs):
        counts.update(name_of(node) for node in called(gm))
        return gm(*example_inputs)

    return backend, counts


@mistake("operator_counter", "inputs and outputs are counted as operators", see="14.3")
def operator_counter():
    counts = Counter()

    def backend(gm, example_inputs):
        for node in gm.graph.nodes:
            counts[getattr(node.target, "__name__", node.target)] += 1
        return gm.forward

    return backend, counts


@mistake("operator_counter", "counts start anew with every graph", see="14.3")
def operator_counter():
    counts = Counter()

    def backend(gm, example_inputs):
        counts.clear()
        counts.update(name_of(node) for node in called(gm))
        return gm.forward

    return backend, counts


@mistake("operator_counter", "operators are counted in every run instead of once per graph", see="14.3")
def operator_counter():
    counts = Counter()

    def backend(gm, example_inputs):
        def run(*inputs):
            counts.update(name_of(node) for node in called(gm))
            return gm(*inputs)

        return run

    return backend, counts


@mistake("operator_counter", "node.name is unique in the graph: mul and mul_1 are one operator", see="14.3")
def operator_counter():
    counts = Counter()

    def backend(gm, example_inputs):
        counts.update(node.name for node in called(gm))
        return gm.forward

    return backend, counts


@mistake("operator_counter", "methods of tensors are operators too", see="14.3")
def operator_counter():
    counts = Counter()

    def backend(gm, example_inputs):
        counts.update(node.target.__name__ for node in gm.graph.nodes if node.op == "call_function")
        return gm.forward

    return backend, counts


@accepted("operator_counter", "a plain dictionary, the module itself as the callable")
def operator_counter():
    counts = {}

    def backend(gm, example_inputs):
        for node in gm.graph.nodes:
            if node.op.startswith("call_"):
                key = node.target if isinstance(node.target, str) else node.target.__name__
                counts[key] = counts.get(key, 0) + 1
        return gm

    return backend, counts


@accepted("operator_counter", "an interpreter runs the graph")
def operator_counter():
    counts = Counter()

    def backend(gm, example_inputs):
        counts.update([name_of(node) for node in called(gm)])
        return lambda *inputs: torch.fx.Interpreter(gm).run(*inputs)

    return backend, counts


# 14.4 soften


@mistake("soften", ".item() asks for a number and breaks the graph", see="14.4")
def soften(scores, limit):
    top = scores.max().item()
    scores = scores * (limit / top if top > limit else 1.0)
    return torch.where(scores.sum(-1, keepdim=True) > 0, scores.softmax(-1), 0.0)


@mistake("soften", "`if` on a tensor breaks the graph; torch.where chooses within it", see="14.4")
def soften(scores, limit):
    top = scores.detach().max()
    if top > limit:
        scores = scores * (limit / top)
    return torch.where(scores.sum(-1, keepdim=True) > 0, scores.softmax(-1), 0.0)


@mistake("soften", "a break inside a loop makes Dynamo give up the function", see="14.4")
def soften(scores, limit):
    top = scores.detach().max()
    scores = scores * torch.where(top > limit, limit / top, 1.0)
    return torch.stack([row.softmax(-1) if row.sum() > 0 else torch.zeros_like(row) for row in scores])


@mistake("soften", "the gradient flows through the largest score, which was a number", see="14.4")
def soften(scores, limit):
    top = scores.max()
    scores = scores * (torch.where(top > limit, limit / top.clamp(min=limit), 1.0))
    return torch.where(scores.sum(-1, keepdim=True) > 0, scores.softmax(-1), 0.0)


@mistake("soften", "limit / top clamped to 1 is negative where all scores are", see="14.4")
def soften(scores, limit):
    scores = scores * ((limit / scores.detach().max()).clamp(max=1.0))
    return torch.where(scores.sum(-1, keepdim=True) > 0, scores.softmax(-1), 0.0)


@mistake("soften", "each row is compared with its own largest score instead of the largest of all", see="14.4")
def soften(scores, limit):
    top = scores.detach().amax(-1, keepdim=True)
    scores = scores * (torch.where(top > limit, limit / top, 1.0))
    return torch.where(scores.sum(-1, keepdim=True) > 0, scores.softmax(-1), 0.0)


@mistake("soften", "a row whose sum is exactly 0 becomes zeros, too", see="14.4")
def soften(scores, limit):
    top = scores.detach().max()
    scores = scores * torch.where(top > limit, limit / top, 1.0)
    return torch.where(scores.sum(-1, keepdim=True) >= 0, scores.softmax(-1), 0.0)


@mistake("soften", "the argument is changed in place", see="14.4")
def soften(scores, limit):
    top = scores.detach().max()
    scores *= torch.where(top > limit, limit / top, 1.0)
    return torch.where(scores.sum(-1, keepdim=True) > 0, scores.softmax(-1), 0.0)


@accepted("soften", "a factor without a where")
def soften(scores, limit):
    scores = scores * (limit / scores.detach().max().clamp(min=limit))
    return torch.where(scores.sum(-1, keepdim=True) > 0, scores.softmax(-1), 0.0)


@accepted("soften", "rows multiplied by 0 or 1")
def soften(scores, limit):
    with torch.no_grad():
        top = scores.amax()
        factor = (limit / top).where(top > limit, torch.ones_like(top))
        kept = (scores.sum(1) > 0).to(scores.dtype)
    return (scores * factor).softmax(1) * kept[:, None]


# 14.5 dynamic_in


@mistake("dynamic_in", "the first length gets a graph of its own: mark x before the first call", see="14.5")
def dynamic_in(fn, dim, backend):
    return torch.compile(fn, backend=backend)


@mistake("dynamic_in", "dynamic=True makes every size a symbol", see="14.5")
def dynamic_in(fn, dim, backend):
    return torch.compile(fn, backend=backend, dynamic=True)


@mistake("dynamic_in", "mark_dynamic does not understand negative dimensions", see="14.5")
def dynamic_in(fn, dim, backend):
    compiled = torch.compile(fn, backend=backend)

    def call(x):
        torch._dynamo.mark_dynamic(x, dim)
        return compiled(x)

    return call


@mistake("dynamic_in", "dimension 0 is marked, whatever dim is", see="14.5")
def dynamic_in(fn, dim, backend):
    compiled = torch.compile(fn, backend=backend)

    def call(x):
        torch._dynamo.mark_dynamic(x, 0)
        return compiled(x)

    return call


@mistake("dynamic_in", "the first length gets a graph of its own: mark x before the first call", see="14.5")
def dynamic_in(fn, dim, backend):
    compiled = torch.compile(fn, backend=backend)

    def call(x):
        out = compiled(x)
        torch._dynamo.mark_dynamic(x, dim % x.ndim)
        return out

    return call


@mistake("dynamic_in", "all compiled code is thrown away before every call", see="14.5")
def dynamic_in(fn, dim, backend):
    compiled = torch.compile(fn, backend=backend)

    def call(x):
        torch._dynamo.reset()
        torch._dynamo.mark_dynamic(x, dim % x.ndim)
        return compiled(x)

    return call


@accepted("dynamic_in", "dynamic=True, all other dimensions marked as static")
def dynamic_in(fn, dim, backend):
    compiled = torch.compile(fn, backend=backend, dynamic=True)

    def call(x):
        for other in range(x.ndim):
            if other != dim % x.ndim:
                torch._dynamo.mark_static(x, other)
        return compiled(x)

    return call


@accepted("dynamic_in", "a negative dimension counted from the end, fullgraph")
def dynamic_in(fn, dim, backend):
    compiled = torch.compile(fn, fullgraph=True, backend=backend)

    def call(x):
        torch._dynamo.mark_dynamic(x, dim if dim >= 0 else x.dim() + dim)
        return compiled(x)

    return call


# 14.6 compile_regional


@mistake("compile_regional", "the whole model is compiled: as many copies as blocks", see="14.6")
def compile_regional(model, block_class, backend):
    model.compile(backend=backend)
    return model


@mistake("compile_regional", "blocks are replaced by wrappers, whose names begin with _orig_mod", see="14.6")
def compile_regional(model, block_class, backend):
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, block_class):
                setattr(module, name, torch.compile(child, backend=backend))
    return model


@mistake("compile_regional", "torch.compile(block) changes nothing: it returns a wrapper", see="14.6")
def compile_regional(model, block_class, backend):
    for module in model.modules():
        if isinstance(module, block_class):
            torch.compile(module, backend=backend)
    return model


@mistake("compile_regional", "children() sees one level: blocks deeper inside are missed", see="14.6")
def compile_regional(model, block_class, backend):
    for child in model.children():
        if isinstance(child, block_class):
            child.compile(backend=backend)
    return model


@accepted("compile_regional", "forward replaced by its compiled self")
def compile_regional(model, block_class, backend):
    for block in [module for module in model.modules() if isinstance(module, block_class)]:
        block.forward = torch.compile(block.forward, backend=backend)
    return model


@accepted("compile_regional", "apply, with a function that knows blocks")
def compile_regional(model, block_class, backend):
    def visit(module):
        if isinstance(module, block_class):
            module.compile(backend=backend, fullgraph=True)

    return model.apply(visit)


# 14.7 amp_step


def stepped(
    model,
    optimizer,
    scaler,
    x,
    y,
    max_norm,
    *,
    order=("unscale", "clip", "step", "update"),
    zero="before",
    dtype=torch.float16,
    report_scaled=False,
    plain_step=False,
    by_value=False,
):
    with torch.autocast(x.device.type, dtype=dtype, enabled=dtype is not None):
        loss = F.mse_loss(model(x).float(), y)
    if zero == "before":
        optimizer.zero_grad()
    scaled = scaler.scale(loss)
    scaled.backward()
    if zero == "after":
        optimizer.zero_grad(set_to_none=False)
    norm = torch.tensor(0.0)
    for what in order:
        if what == "unscale":
            scaler.unscale_(optimizer)
        elif what == "clip" and by_value:
            norm = nn.utils.get_total_norm([p.grad for p in model.parameters()])
            nn.utils.clip_grad_value_(model.parameters(), max_norm)
        elif what == "clip":
            norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        elif what == "step" and plain_step:
            optimizer.step()
        elif what == "step":
            scaler.step(optimizer)
        else:
            scaler.update()
    return (scaled if report_scaled else loss).item(), norm.item()


@mistake("amp_step", "scaled gradients are clipped: unscale_ comes before clipping", see="14.7")
def amp_step(model, optimizer, scaler, x, y, max_norm):
    return stepped(model, optimizer, scaler, x, y, max_norm, order=("clip", "unscale", "step", "update"))


@mistake("amp_step", "without update() the scale never changes", see="14.7")
def amp_step(model, optimizer, scaler, x, y, max_norm):
    found = stepped(model, optimizer, scaler, x, y, max_norm, order=("unscale", "clip", "step"))
    scaler.update(scaler.get_scale())
    return found


@mistake("amp_step", "optimizer.step() does not skip a step with infinite gradients", see="14.7")
def amp_step(model, optimizer, scaler, x, y, max_norm):
    return stepped(model, optimizer, scaler, x, y, max_norm, plain_step=True)


@mistake("amp_step", "the scaled loss is reported", see="14.7")
def amp_step(model, optimizer, scaler, x, y, max_norm):
    return stepped(model, optimizer, scaler, x, y, max_norm, report_scaled=True)


@mistake("amp_step", "gradients of the step before are still there", see="14.7")
def amp_step(model, optimizer, scaler, x, y, max_norm):
    return stepped(model, optimizer, scaler, x, y, max_norm, zero="never")


@mistake("amp_step", "gradients are set to zero after the backward pass: nothing is learned", see="14.7")
def amp_step(model, optimizer, scaler, x, y, max_norm):
    return stepped(model, optimizer, scaler, x, y, max_norm, zero="after")


@mistake("amp_step", "nothing runs in float16: the model must be called inside autocast", see="14.7")
def amp_step(model, optimizer, scaler, x, y, max_norm):
    return stepped(model, optimizer, scaler, x, y, max_norm, dtype=None)


@mistake("amp_step", "bfloat16 instead of float16", see="14.7")
def amp_step(model, optimizer, scaler, x, y, max_norm):
    return stepped(model, optimizer, scaler, x, y, max_norm, dtype=torch.bfloat16)


@mistake("amp_step", "each entry is clipped instead of the norm of all", see="14.7")
def amp_step(model, optimizer, scaler, x, y, max_norm):
    return stepped(model, optimizer, scaler, x, y, max_norm, by_value=True)


@accepted("amp_step", "loss outside of autocast, gradients cleared at the end of the step")
def amp_step(model, optimizer, scaler, x, y, max_norm):
    model.zero_grad(set_to_none=True)
    with torch.amp.autocast("cpu", torch.float16):
        prediction = model(x)
    loss = (prediction.float() - y).pow(2).mean()
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    norm = torch.nn.utils.clip_grad_norm_(list(model.parameters()), max_norm)
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()
    return float(loss), float(norm)


@accepted("amp_step", "clipped by hand")
def amp_step(model, optimizer, scaler, x, y, max_norm):
    optimizer.zero_grad()
    with torch.autocast(device_type="cpu", dtype=torch.float16):
        loss = F.mse_loss(model(x), y)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    gradients = [parameter.grad for parameter in model.parameters()]
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm().item()
    if norm > max_norm:
        for gradient in gradients:
            gradient.mul_(max_norm / norm)
    scaler.step(optimizer)
    scaler.update()
    return loss.item(), norm


# 14.8 rms_norm_forward


@triton.jit
def one_row(x_ptr, weight_ptr, y_ptr, r_ptr, d, eps, block: tl.constexpr, bug: tl.constexpr):
    row = tl.program_id(0)
    c = tl.arange(0, block)
    inside = c < d
    stride = d
    if bug == 1:
        stride = block
    x = tl.load(x_ptr + row * stride + c, mask=inside, other=0.0)
    if bug != 2:
        x = x.to(tl.float32)
    if bug == 3:
        x = tl.where(inside, x - tl.sum(x, 0) / d, 0.0)
    total = tl.sum(x * x, 0)
    mean = total / d
    if bug == 4:
        mean = total / block
    if bug == 5:
        r = 1 / (tl.sqrt(mean.to(tl.float32)) + eps)
    elif bug == 6:
        r = 1 / tl.sqrt(mean.to(tl.float32) + 1e-6)
    elif bug == 10:
        r = 1 / tl.sqrt(total.to(tl.float32) + eps)
    else:
        r = 1 / tl.sqrt(mean.to(tl.float32) + eps)
    if bug == 7:
        x = tl.load(x_ptr + row * d + c, mask=inside, other=0.0).to(tl.float32)
    weight = tl.load(weight_ptr + c, mask=inside, other=0.0).to(tl.float32)
    if bug == 8:
        weight = weight + 1
    tl.store(y_ptr + row * d + c, x.to(tl.float32) * r * weight, mask=inside)
    if bug == 9:
        tl.store(r_ptr + row, 1 / r)
    else:
        tl.store(r_ptr + row, r)


def launch(x, weight, eps, bug):
    rows, d = x.shape
    y, r = torch.empty_like(x), torch.empty(rows, dtype=torch.float32, device=x.device)
    one_row[(rows,)](x, weight, y, r, d, eps, triton.next_power_of_2(d), bug)
    return y, r


@mistake("rms_norm_forward", "squares overflow in float16: convert to float32 right after loading", see="14.8")
def rms_norm_forward(x, weight, eps):
    return launch(x, weight, eps, 2)


@mistake("rms_norm_forward", "the mean is subtracted: that is LayerNorm", see="14.8")
def rms_norm_forward(x, weight, eps):
    return launch(x, weight, eps, 3)


@mistake("rms_norm_forward", "the mean divides by the block's width instead of by d", see="14.8")
def rms_norm_forward(x, weight, eps):
    return launch(x, weight, eps, 4)


@mistake("rms_norm_forward", "eps is added outside the root", see="14.8")
def rms_norm_forward(x, weight, eps):
    return launch(x, weight, eps, 5)


@mistake("rms_norm_forward", "eps is a constant of the kernel: the argument is ignored", see="14.8")
def rms_norm_forward(x, weight, eps):
    return launch(x, weight, eps, 6)


@mistake("rms_norm_forward", "x is loaded a second time for the product", see="14.8")
def rms_norm_forward(x, weight, eps):
    return launch(x, weight, eps, 7)


@mistake("rms_norm_forward", "the root itself is stored as r, not one over it", see="14.8")
def rms_norm_forward(x, weight, eps):
    return launch(x, weight, eps, 9)


@mistake("rms_norm_forward", "the sum of squares instead of their mean", see="14.8")
def rms_norm_forward(x, weight, eps):
    return launch(x, weight, eps, 10)


@accepted("rms_norm_forward", "another kernel signature")
def rms_norm_forward(x, weight, eps):
    return launch(x, weight, eps, 0)


@triton.jit
def many_rows(x_ptr, w_ptr, y_ptr, r_ptr, n, d, eps, rows: tl.constexpr, block: tl.constexpr):
    i = tl.program_id(0) * rows + tl.arange(0, rows)
    c = tl.arange(0, block)
    mask = (i[:, None] < n) & (c[None, :] < d)
    x = tl.load(x_ptr + i[:, None] * d + c[None, :], mask=mask, other=0.0).to(tl.float32)
    w = tl.load(w_ptr + c, mask=c < d, other=0.0)
    r = tl.rsqrt(tl.sum(x * x, axis=1) / d + eps)
    y = x * r[:, None] * w[None, :]
    tl.store(y_ptr + i[:, None] * d + c[None, :], y.to(y_ptr.dtype.element_ty), mask=mask)
    tl.store(r_ptr + i, r, mask=i < n)


@accepted("rms_norm_forward", "two rows in each program")
def rms_norm_forward(x, weight, eps):
    n, d = x.shape
    y, r = torch.empty_like(x), x.new_empty(n, dtype=torch.float32)
    many_rows[(triton.cdiv(n, 2),)](x, weight, y, r, n, d, eps, rows=2, block=triton.next_power_of_2(d))
    return y, r


# 14.9 rms_norm_operator


def registered(name, forward, backward, fake=None):
    def body(x: torch.Tensor, weight: torch.Tensor, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
        return forward(x, weight, eps)

    op = torch.library.custom_op(name, body, mutates_args=())
    op.register_fake(
        fake or (lambda x, weight, eps: (torch.empty_like(x), x.new_empty(x.shape[0], dtype=torch.float32)))
    )

    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0], inputs[1], output[1])

    if backward is not None:
        op.register_autograd(lambda ctx, g, _: (*backward(g, *ctx.saved_tensors), None), setup_context=setup_context)
    return op


def gradients(g, x, weight, r, *, centered=True, weighted=True, factor=True, per_row=False, total=False):
    normed, h = x.float() * r[:, None], (g * weight if weighted else g).float()
    projected = (h * normed).sum(1, keepdim=True) / (1 if total else x.shape[1])
    dx = h - normed * projected if centered else h
    dw = (g.float() * normed).mean(0) if per_row else (g.float() * normed).sum(0)
    return (dx * r[:, None] if factor else dx).to(x.dtype), dw.to(weight.dtype)


@mistake(
    "rms_norm_operator", "forward runs while tracing: it needs an operator around it, and a fake of its own", see="14.9"
)
def rms_norm_operator(name, forward):
    return lambda x, weight, eps: forward(x, weight, eps)


@mistake(
    "rms_norm_operator", "forward runs while tracing: it needs an operator around it, and a fake of its own", see="14.9"
)
def rms_norm_operator(name, forward):
    return registered(name, forward, gradients, forward)


@mistake("rms_norm_operator", "the fake r has the dtype of x; r is float32", see="14.9")
def rms_norm_operator(name, forward):
    return registered(name, forward, gradients, lambda x, w, eps: (torch.empty_like(x), x.new_empty(x.shape[0])))


@mistake("rms_norm_operator", "the fake y is float32 whatever x is", see="14.9")
def rms_norm_operator(name, forward):
    def fake(x, weight, eps):
        return torch.empty_like(x, dtype=torch.float32), x.new_empty(x.shape[0], dtype=torch.float32)

    return registered(name, forward, gradients, fake)


@mistake("rms_norm_operator", "the fake r is a column; r has one dimension", see="14.9")
def rms_norm_operator(name, forward):
    def fake(x, weight, eps):
        return torch.empty_like(x), x.new_empty(x.shape[0], 1, dtype=torch.float32)

    return registered(name, forward, gradients, fake)


@mistake("rms_norm_operator", "no backward pass is registered", see="14.9")
def rms_norm_operator(name, forward):
    return registered(name, forward, None)


@mistake("rms_norm_operator", "r is treated as a constant: it depends on x as well", see="14.9")
def rms_norm_operator(name, forward):
    return registered(name, forward, lambda *args: gradients(*args, centered=False))


@mistake("rms_norm_operator", "the gradient of x misses the weight", see="14.9")
def rms_norm_operator(name, forward):
    return registered(name, forward, lambda *args: gradients(*args, weighted=False))


@mistake("rms_norm_operator", "the sum over the row is not divided by d", see="14.9")
def rms_norm_operator(name, forward):
    return registered(name, forward, lambda *args: gradients(*args, total=True))


@mistake("rms_norm_operator", "the weight's gradient is a mean over rows instead of a sum", see="14.9")
def rms_norm_operator(name, forward):
    return registered(name, forward, lambda *args: gradients(*args, per_row=True))


@mistake("rms_norm_operator", "forward is called again in the backward pass; r was kept", see="14.9")
def rms_norm_operator(name, forward):
    return registered(name, forward, lambda g, x, weight, r: gradients(g, x, weight, forward(x, weight, 0.3)[1]))


@accepted("rms_norm_operator", "a function with a helper for the gradients")
def rms_norm_operator(name, forward):
    return registered(name, forward, gradients)


@accepted("rms_norm_operator", "the backward pass by autograd through plain PyTorch, from r's definition")
def rms_norm_operator(name, forward):
    @torch.library.custom_op(name, mutates_args=(), schema="(Tensor x, Tensor weight, float eps) -> (Tensor, Tensor)")
    def op(x, weight, eps):
        return forward(x, weight, eps)

    @torch.library.register_fake(name)
    def fake(x, weight, eps):
        return torch.empty_like(x), torch.empty(x.size(0), dtype=torch.float32, device=x.device)

    def setup(ctx, inputs, output):
        x, weight, ctx.eps = inputs
        ctx.save_for_backward(x, weight)

    def back(ctx, g, unused):
        with torch.enable_grad():
            x, weight = (one.detach().float().requires_grad_() for one in ctx.saved_tensors)
            y = F.rms_norm(x, weight.shape, weight, ctx.eps)
            dx, dw = torch.autograd.grad(y, (x, weight), g.float())
        return dx.to(g.dtype), dw.to(g.dtype), None

    torch.library.register_autograd(name, back, setup_context=setup)
    return op
