"""Wrong and right ways to write the exercises of lesson 02."""

import math

import torch
import torch.nn.functional as F
from torchgrade.lessons import accepted, mistake

# 2.1 numeric_gradient


@mistake("numeric_gradient", "a forward difference is off by about h; use the central one", see="2.1")
def numeric_gradient(f, x, h=1e-5):
    slopes = []
    for place in range(x.numel()):
        nudge = torch.zeros(x.numel(), dtype=x.dtype)
        nudge[place] = h
        slopes.append((f(x + nudge.view(x.shape)) - f(x)) / h)
    return torch.stack(slopes).view(x.shape)


@mistake("numeric_gradient", "the two points are 2h apart, so the difference is divided by 2h", see="2.1")
def numeric_gradient(f, x, h=1e-5):
    slopes = []
    for place in range(x.numel()):
        nudge = torch.zeros(x.numel(), dtype=x.dtype)
        nudge[place] = h
        slopes.append((f(x + nudge.view(x.shape)) - f(x - nudge.view(x.shape))) / h)
    return torch.stack(slopes).view(x.shape)


@mistake("numeric_gradient", "a number that was nudged is not put back before the next one", see="2.1")
def numeric_gradient(f, x, h=1e-5):
    slopes, nudge = [], torch.zeros(x.numel(), dtype=x.dtype)
    for place in range(x.numel()):
        nudge[place] = h
        slopes.append((f(x + nudge.view(x.shape)) - f(x - nudge.view(x.shape))) / (2 * h))
    return torch.stack(slopes).view(x.shape)


@mistake("numeric_gradient", "the caller's x is nudged in place, where f can see it", see="1.1")
def numeric_gradient(f, x, h=1e-5):
    slopes = torch.zeros_like(x)
    for place in range(x.numel()):
        at = tuple(i.item() for i in torch.unravel_index(torch.tensor(place), x.shape))
        old = x[at].clone()
        x[at] = old + h
        above = f(x)
        x[at] = old - h
        slopes[at] = (above - f(x)) / (2 * h)
        x[at] = old
    return slopes


@mistake("numeric_gradient", "flatten copies what is not contiguous, so the nudge does not reach x", see="1.1")
def numeric_gradient(f, x, h=1e-5):
    moved = x.clone()
    flat, slopes = moved.flatten(), torch.zeros(x.numel(), dtype=x.dtype)
    for place in range(x.numel()):
        old = flat[place].clone()
        flat[place] = old + h
        above = f(moved)
        flat[place] = old - h
        slopes[place] = (above - f(moved)) / (2 * h)
        flat[place] = old
    return slopes.view(x.shape)


@mistake("numeric_gradient", "autograd computes the slope that it should be judged by", see="2.1")
def numeric_gradient(f, x, h=1e-5):
    leaf = x.detach().requires_grad_()
    return torch.autograd.grad(f(leaf), leaf)[0]


@accepted("numeric_gradient", "the rows of a scaled identity as nudges")
def numeric_gradient(f, x, h=1e-5):
    nudges = h * torch.eye(x.numel(), dtype=x.dtype).view(x.numel(), *x.shape)
    return torch.stack([(f(x + nudge) - f(x - nudge)) / (2 * h) for nudge in nudges]).reshape(x.shape)


@accepted("numeric_gradient", "a copy of x, one number of it changed and put back")
def numeric_gradient(f, x, h=1e-5):
    flat = x.reshape(-1).clone()
    slopes = torch.empty_like(flat)
    for place in range(len(flat)):
        old = flat[place].item()
        flat[place] = old + h
        above = f(flat.view(x.shape))
        flat[place] = old - h
        slopes[place] = (above - f(flat.view(x.shape))) / (2 * h)
        flat[place] = old
    return slopes.view(x.shape)


# 2.2 cross_entropy_backward


@mistake("cross_entropy_backward", "a mean over n examples divides every slope by n", see="2.2")
def cross_entropy_backward(logits, targets):
    grad = logits.softmax(dim=1)
    grad[torch.arange(len(targets)), targets] -= 1
    return grad


@mistake("cross_entropy_backward", "the sign is turned: it is predicted minus actual", see="2.2")
def cross_entropy_backward(logits, targets):
    return (F.one_hot(targets, logits.shape[1]) - logits.softmax(dim=1)) / len(targets)


@mistake("cross_entropy_backward", "p[:, targets] is a block of columns; two index lists walk in step", see="1.5")
def cross_entropy_backward(logits, targets):
    grad = logits.softmax(dim=1)
    grad[:, targets] -= 1
    return grad / len(targets)


@mistake("cross_entropy_backward", "the slope is divided by all entries instead of by the examples", see="2.2")
def cross_entropy_backward(logits, targets):
    grad = logits.softmax(dim=1)
    grad[torch.arange(len(targets)), targets] -= 1
    return grad / grad.numel()


@mistake("cross_entropy_backward", "exp overflows for large logits; subtract the row's maximum first", see="2.2")
def cross_entropy_backward(logits, targets):
    p = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    return (p - F.one_hot(targets, logits.shape[1]).to(p.dtype)) / len(targets)


@mistake("cross_entropy_backward", "softmax runs over the examples; each row's probabilities must sum to 1", see="2.2")
def cross_entropy_backward(logits, targets):
    grad = logits.softmax(dim=0)
    grad[torch.arange(len(targets)), targets] -= 1
    return grad / len(targets)


@mistake("cross_entropy_backward", "the caller's logits are shifted in place", see="1.1")
def cross_entropy_backward(logits, targets):
    logits -= logits.amax(dim=1, keepdim=True)
    p = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    p[torch.arange(len(targets)), targets] -= 1
    return p / len(targets)


@mistake("cross_entropy_backward", "autograd is asked; the exercise is to write the formula", see="2.2")
def cross_entropy_backward(logits, targets):
    leaf = logits.detach().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(leaf, targets), leaf)[0]


@accepted("cross_entropy_backward", "minus a one-hot table")
def cross_entropy_backward(logits, targets):
    actual = F.one_hot(targets, logits.shape[1]).to(logits.dtype)
    return (torch.softmax(logits, 1) - actual) / logits.shape[0]


@accepted("cross_entropy_backward", "softmax by hand, and a scatter that adds -1/n")
def cross_entropy_backward(logits, targets):
    weights = (logits - logits.amax(1, keepdim=True)).exp()
    p = weights / weights.sum(1, keepdim=True) / len(targets)
    return p.scatter_add(1, targets[:, None], torch.full_like(p[:, :1], -1 / len(targets)))


# 2.3 unbroadcast


@mistake("unbroadcast", "axes of size 1 are stretched, too, and must be summed back to 1", see="2.3")
def unbroadcast(grad, shape):
    while grad.ndim > len(shape):
        grad = grad.sum(0)
    return grad


@mistake("unbroadcast", "axes that are missing at the front must be summed away, too", see="2.3")
def unbroadcast(grad, shape):
    for dim, size in enumerate(reversed(shape), 1):
        if size == 1 and grad.shape[-dim] != 1:
            grad = grad.sum(-dim, keepdim=True)
    return grad


@mistake("unbroadcast", "every use counts: the slopes are added, not averaged", see="2.3")
def unbroadcast(grad, shape):
    while grad.ndim > len(shape):
        grad = grad.mean(0)
    for dim, size in enumerate(shape):
        if size == 1:
            grad = grad.mean(dim, keepdim=True)
    return grad


@mistake("unbroadcast", "one copy's slope is taken, but all copies send theirs", see="2.3")
def unbroadcast(grad, shape):
    while grad.ndim > len(shape):
        grad = grad[0]
    for dim, size in enumerate(shape):
        grad = grad.narrow(dim, 0, size)
    return grad


@mistake("unbroadcast", "shapes are aligned at the left; missing axes stand at the front", see="1.2")
def unbroadcast(grad, shape):
    while grad.ndim > len(shape):
        grad = grad.sum(-1)
    for dim, size in enumerate(shape):
        if size == 1:
            grad = grad.sum(dim, keepdim=True)
    return grad


@mistake("unbroadcast", "with no stretched axis, sum(dim=()) sums over everything", see="2.3")
def unbroadcast(grad, shape):
    padded = (1,) * (grad.ndim - len(shape)) + tuple(shape)
    stretched = tuple(dim for dim, size in enumerate(padded) if size == 1)
    total = grad.sum(dim=stretched, keepdim=True)
    return total.expand(padded).reshape(shape)


@mistake("unbroadcast", "sum_to_size is called instead of building it", see="2.3")
def unbroadcast(grad, shape):
    return grad.sum_to_size(shape)


@accepted("unbroadcast", "all stretched axes in one sum")
def unbroadcast(grad, shape):
    padded = (1,) * (grad.ndim - len(shape)) + tuple(shape)
    stretched = [dim for dim, size in enumerate(padded) if size != grad.shape[dim]]
    return (grad.sum(stretched, keepdim=True) if stretched else grad).reshape(shape)


@accepted("unbroadcast", "from the last axis to the first")
def unbroadcast(grad, shape):
    missing = grad.ndim - len(shape)
    for dim in reversed(range(grad.ndim)):
        if dim < missing:
            grad = grad.sum(dim)
        elif shape[dim - missing] == 1:
            grad = grad.sum(dim, keepdim=True)
    return grad


# 2.4 topological_order


@mistake("topological_order", "breadth first: a node comes before a parent that is further away", see="2.4")
def topological_order(root):
    order, seen = [root], {root}
    for node in order:
        fresh = [parent for parent in dict.fromkeys(node.parents) if parent not in seen]
        seen.update(fresh)
        order.extend(fresh)
    return order[::-1]


@mistake("topological_order", "preorder, reversed: a shared node is placed at its first visit", see="2.4")
def topological_order(root):
    order, seen, stack = [], set(), [root]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            order.append(node)
            stack.extend(node.parents)
    return order[::-1]


@mistake("topological_order", "every path is walked: shared nodes are visited once per path", see="2.4")
def topological_order(root):
    order, stack = [], [(root, False)]
    on_way = []
    while stack:
        node, is_ready = stack.pop()
        if is_ready:
            on_way.pop()
            if node not in order:
                order.append(node)
            continue
        if node in on_way:
            raise ValueError("cycle")
        on_way.append(node)
        stack.append((node, True))
        stack.extend((parent, False) for parent in node.parents)
    return order


@mistake("topological_order", "recursion stops at a depth of about 1,000", see="2.4")
def topological_order(root):
    order, done, opened = [], set(), set()

    def visit(node):
        if node in done:
            return
        if node in opened:
            raise ValueError("cycle")
        opened.add(node)
        for parent in node.parents:
            visit(parent)
        done.add(node)
        order.append(node)

    visit(root)
    return order


@mistake("topological_order", "a cycle goes unnoticed, and the list that comes back is no order", see="2.4")
def topological_order(root):
    order, seen, stack = [], {root}, [(root, iter(root.parents))]
    while stack:
        _, rest = stack[-1]
        parent = next((parent for parent in rest if parent not in seen), None)
        if parent is None:
            order.append(stack.pop()[0])
        else:
            seen.add(parent)
            stack.append((parent, iter(parent.parents)))
    return order


@mistake("topological_order", "a node that is merely shared is taken for a cycle", see="2.4")
def topological_order(root):
    order, seen, stack = [], {root}, [(root, iter(root.parents))]
    while stack:
        _, rest = stack[-1]
        parent = next(rest, None)
        if parent is None:
            order.append(stack.pop()[0])
        elif parent in seen:
            raise ValueError("cycle")
        else:
            seen.add(parent)
            stack.append((parent, iter(parent.parents)))
    return order


@mistake("topological_order", "the list begins with root; parents come first", see="2.4")
def topological_order(root):
    order, done, opened, stack = [], set(), set(), [root]
    while stack:
        node = stack[-1]
        waiting = [] if node in done else [parent for parent in node.parents if parent not in done]
        if opened.intersection(waiting):
            raise ValueError("cycle")
        if waiting:
            opened.add(node)
            stack += waiting
        elif stack.pop() not in done:
            done.add(node)
            opened.discard(node)
            order.insert(0, node)
    return order


@accepted("topological_order", "depth first with an iterator per open node")
def topological_order(root):
    order, done, opened, stack = [], set(), {root}, [(root, iter(root.parents))]
    while stack:
        node, rest = stack[-1]
        parent = next((parent for parent in rest if parent not in done), None)
        if parent is None:
            stack.pop()
            opened.discard(node)
            done.add(node)
            order.append(node)
        elif parent in opened:
            raise ValueError("a node is its own ancestor")
        else:
            opened.add(parent)
            stack.append((parent, iter(parent.parents)))
    return order


@accepted("topological_order", "by counting the users of each node, from root on (Kahn)")
def topological_order(root):
    made_of, todo = {}, [root]
    while todo:
        node = todo.pop()
        if id(node) not in made_of:
            made_of[id(node)] = (node, node.parents)
            todo.extend(made_of[id(node)][1])
    users = dict.fromkeys(made_of, 0)
    for _, parents in made_of.values():
        for parent in parents:
            users[id(parent)] += 1
    ready = [] if users[id(root)] else [root]
    backwards = []
    while ready:
        node = ready.pop()
        backwards.append(node)
        for parent in made_of[id(node)][1]:
            users[id(parent)] -= 1
            if not users[id(parent)]:
                ready.append(parent)
    if len(backwards) < len(made_of):
        raise ValueError("cycle")
    return backwards[::-1]


# 2.5 Swish


@mistake("Swish", "the slope that arrives, grad, is forgotten: rule 1 multiplies by it", see="2.2")
class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, beta):
        ctx.save_for_backward(x, beta)
        return x * torch.sigmoid(beta * x)

    @staticmethod
    def backward(ctx, grad):
        x, beta = ctx.saved_tensors
        s = torch.sigmoid(beta * x)
        return s + beta * x * s * (1 - s), (x**2 * s * (1 - s)).sum()


@mistake("Swish", "in x's slope the inner factor beta is missing", see="2.2")
class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, beta):
        ctx.save_for_backward(x, beta)
        return x * torch.sigmoid(beta * x)

    @staticmethod
    def backward(ctx, grad):
        x, beta = ctx.saved_tensors
        s = torch.sigmoid(beta * x)
        return grad * (s + x * s * (1 - s)), (grad * x**2 * s * (1 - s)).sum()


@mistake("Swish", "beta gets no slope: a parameter that never learns", see="2.5")
class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, beta):
        ctx.save_for_backward(x, beta)
        return x * torch.sigmoid(beta * x)

    @staticmethod
    def backward(ctx, grad):
        x, beta = ctx.saved_tensors
        s = torch.sigmoid(beta * x)
        return grad * (s + beta * x * s * (1 - s)), None


@mistake("Swish", "beta's slope is averaged over x, and must be summed", see="2.3")
class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, beta):
        ctx.save_for_backward(x, beta)
        return x * torch.sigmoid(beta * x)

    @staticmethod
    def backward(ctx, grad):
        x, beta = ctx.saved_tensors
        s = torch.sigmoid(beta * x)
        return grad * (s + beta * x * s * (1 - s)), (grad * x**2 * s * (1 - s)).mean()


@mistake("Swish", "the output is kept for backward as well, and that is the memory to be saved", see="2.5")
class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, beta):
        y = x * torch.sigmoid(beta * x)
        ctx.save_for_backward(x, beta, y)
        return y

    @staticmethod
    def backward(ctx, grad):
        x, beta, y = ctx.saved_tensors
        s = torch.sigmoid(beta * x)
        return grad * (beta * y + s * (1 - beta * y)), (grad * x * y * (1 - s)).sum()


@mistake("Swish", "the tensors hang on ctx itself, so nobody notices when x is overwritten", see="2.5")
class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, beta):
        ctx.x, ctx.beta = x, beta
        return x * torch.sigmoid(beta * x)

    @staticmethod
    def backward(ctx, grad):
        x, beta = ctx.x, ctx.beta
        s = torch.sigmoid(beta * x)
        return grad * (s + beta * x * s * (1 - s)), (grad * x**2 * s * (1 - s)).sum()


@mistake("Swish", "s is detached, so the slope of the slope is wrong", see="2.6")
class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, beta):
        ctx.save_for_backward(x, beta)
        return x * torch.sigmoid(beta * x)

    @staticmethod
    def backward(ctx, grad):
        x, beta = ctx.saved_tensors
        s = torch.sigmoid(beta * x).detach()
        return grad * (s + beta * x * s * (1 - s)), (grad * x**2 * s * (1 - s)).sum()


@accepted("Swish", "beta's slope is left stretched: PyTorch sums it to beta's shape")
class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, beta):
        ctx.save_for_backward(x, beta)
        return torch.sigmoid(x * beta) * x

    @staticmethod
    def backward(ctx, grad):
        x, beta = ctx.saved_tensors
        s = (x * beta).sigmoid()
        return grad * s * (1 + beta * x * (1 - s)), grad * x.square() * s * (1 - s)


@accepted("Swish", "slopes only for the inputs that need them, with exp instead of sigmoid")
class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, beta):
        ctx.save_for_backward(x, beta)
        return x / (1 + (-beta * x).exp())

    @staticmethod
    def backward(ctx, grad):
        x, beta = ctx.saved_tensors
        s = 1 / (1 + (-beta * x).exp())
        for_x = grad * (s + beta * x * s * (1 - s)) if ctx.needs_input_grad[0] else None
        for_beta = torch.sum(grad * x * x * s * (1 - s)) if ctx.needs_input_grad[1] else None
        return for_x, for_beta


# 2.6 hvp


@mistake("hvp", "the gradient times v is returned, without differentiating it again", see="2.6")
def hvp(f, x, v):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(f(x), x)[0] * v


@mistake("hvp", "without create_graph the gradient is a number that nothing can be traced back from", see="2.6")
def hvp(f, x, v):
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(f(x), x)
    if not slope.requires_grad:
        return torch.zeros_like(v)
    return torch.autograd.grad(slope, x, grad_outputs=v)[0]


@mistake("hvp", "the gradient is summed before v has weighted it: that is H times ones, times v", see="2.6")
def hvp(f, x, v):
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(f(x), x, create_graph=True)
    if not slope.requires_grad:
        return torch.zeros_like(v)
    return torch.autograd.grad(slope.sum(), x, materialize_grads=True)[0] * v


@mistake("hvp", "a linear f has a constant gradient: its second derivative is 0, not an error", see="2.6")
def hvp(f, x, v):
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(f(x), x, create_graph=True)
    return torch.autograd.grad((slope * v).sum(), x)[0]


@mistake("hvp", "the caller's x becomes a leaf that requires grad", see="2.7")
def hvp(f, x, v):
    x.requires_grad_()
    (slope,) = torch.autograd.grad(f(x), x, create_graph=True)
    if not slope.requires_grad:
        return torch.zeros_like(v)
    return torch.autograd.grad(slope, x, grad_outputs=v, materialize_grads=True)[0]


@mistake("hvp", "the difference of two gradients is a measurement, not accurate enough", see="2.1")
def hvp(f, x, v):
    def slope(at):
        at = at.detach().requires_grad_()
        return torch.autograd.grad(f(at), at)[0]

    return (slope(x + 1e-3 * v) - slope(x - 1e-3 * v)) / 2e-3


@mistake("hvp", "the n by n Hessian is written down to be multiplied once", see="2.6")
def hvp(f, x, v):
    return (torch.autograd.functional.hessian(f, x).view(x.numel(), -1) @ v.flatten()).view(x.shape)


@mistake("hvp", "the Hessian is built row by row in a loop", see="2.6")
def hvp(f, x, v):
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(f(x), x, create_graph=True)
    if not slope.requires_grad:
        return torch.zeros_like(v)
    rows = [
        torch.autograd.grad(one, x, retain_graph=True, materialize_grads=True)[0].flatten() for one in slope.flatten()
    ]
    return (torch.stack(rows) @ v.flatten()).view(x.shape)


@accepted("hvp", "the sum of gradient times v, differentiated")
def hvp(f, x, v):
    leaf = x.clone().detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(f(leaf), leaf, create_graph=True)
    along = (slope * v).sum()
    if along.grad_fn is None:
        return torch.zeros_like(leaf).detach()
    (product,) = torch.autograd.grad(along, leaf, allow_unused=True)
    return torch.zeros_like(v) if product is None else product


@accepted("hvp", "forward mode over reverse mode")
def hvp(f, x, v):
    return torch.func.jvp(torch.func.grad(f), (x,), (v,))[1].detach()


# 2.7 fit_curve


@mistake("fit_curve", "b.data cuts the path: b receives no gradient", see="2.7")
def fit_curve(x, y, start, steps, rate):
    params, losses = start.detach().clone().requires_grad_(), []
    for _ in range(steps):
        a, b = params
        loss = (a * torch.tanh(b.data * x) - y).square().mean()
        params.grad = None
        loss.backward()
        with torch.no_grad():
            params -= rate * params.grad
        losses.append(loss.item())
    return params.detach(), losses


@mistake("fit_curve", "the gradients of all steps add up: empty .grad before each backward", see="2.4")
def fit_curve(x, y, start, steps, rate):
    params, losses = start.detach().clone().requires_grad_(), []
    for _ in range(steps):
        a, b = params
        loss = (a * torch.tanh(b * x) - y).square().mean()
        loss.backward()
        with torch.no_grad():
            params -= rate * params.grad
        losses.append(loss.item())
    return params.detach(), losses


@mistake("fit_curve", "the caller's start becomes the parameter, and is changed", see="2.7")
def fit_curve(x, y, start, steps, rate):
    params, losses = start.requires_grad_(), []
    for _ in range(steps):
        a, b = params
        loss = (a * torch.tanh(b * x) - y).square().mean()
        params.grad = None
        loss.backward()
        with torch.no_grad():
            params -= rate * params.grad
        losses.append(loss.item())
    return params.detach(), losses


@mistake("fit_curve", "detach() shares memory: the update still writes into the caller's start", see="1.1")
def fit_curve(x, y, start, steps, rate):
    params, losses = start.detach().requires_grad_(), []
    for _ in range(steps):
        a, b = params
        loss = (a * torch.tanh(b * x) - y).square().mean()
        params.grad = None
        loss.backward()
        with torch.no_grad():
            params -= rate * params.grad
        losses.append(loss.item())
    return params.detach(), losses


@mistake("fit_curve", "the result still requires grad, and carries that into the caller's code", see="2.4")
def fit_curve(x, y, start, steps, rate):
    params, losses = start.detach().clone().requires_grad_(), []
    for _ in range(steps):
        loss = (params[0] * torch.tanh(params[1] * x) - y).square().mean()
        (slope,) = torch.autograd.grad(loss, params)
        params = (params - rate * slope).detach().requires_grad_()
        losses.append(loss.item())
    return params, losses


@mistake("fit_curve", "the loss is recorded after the step instead of before", see="2.7")
def fit_curve(x, y, start, steps, rate):
    params, losses = start.detach().clone().requires_grad_(), []
    for _ in range(steps):
        loss = (params[0] * torch.tanh(params[1] * x) - y).square().mean()
        (slope,) = torch.autograd.grad(loss, params)
        with torch.no_grad():
            params -= rate * slope
            losses.append((params[0] * torch.tanh(params[1] * x) - y).square().mean().item())
    return params.detach(), losses


@accepted("fit_curve", "a new leaf every step, with torch.autograd.grad")
def fit_curve(x, y, start, steps, rate):
    params, losses = start.detach(), []
    for _ in range(steps):
        leaf = params.clone().requires_grad_()
        loss = torch.mean((leaf[0] * (leaf[1] * x).tanh() - y) ** 2)
        (slope,) = torch.autograd.grad(loss, leaf)
        params = params - rate * slope
        losses.append(loss.item())
    return params, losses


@accepted("fit_curve", "the slopes by hand")
def fit_curve(x, y, start, steps, rate):
    params, losses = start.clone(), []
    for _ in range(steps):
        bent = torch.tanh(params[1] * x)
        error = params[0] * bent - y
        losses.append(error.square().mean().item())
        slope_a = (2 * error * bent).mean()
        slope_b = (2 * error * params[0] * (1 - bent**2) * x).mean()
        params = params - rate * torch.stack([slope_a, slope_b])
    return params, losses


# 2.8 Node: each variant replaces a method of a right one


class RightNode:
    def __init__(self, data, parents=(), pull=None):
        self.data, self.parents, self.pull, self.grad = data, parents, pull, None

    def __add__(self, other):
        return Node(self.data + other.data, (self, other), lambda slope: (slope, slope))

    def __mul__(self, other):
        return Node(self.data * other.data, (self, other), lambda slope: (slope * other.data, slope * self.data))

    def __matmul__(self, other):
        return Node(self.data @ other.data, (self, other), lambda slope: (slope @ other.data.T, self.data.T @ slope))

    def tanh(self):
        result = self.data.tanh()
        return Node(result, (self,), lambda slope: (slope * (1 - result**2),))

    def sum(self):
        return Node(self.data.sum(), (self,), lambda slope: (slope.expand(self.data.shape),))

    def rows(self, ids):
        return Node(self.data[ids], (self,), lambda slope: (torch.zeros_like(self.data).index_add(0, ids, slope),))

    def cross_entropy(self, targets):
        loss = F.cross_entropy(self.data, targets)
        return Node(loss, (self,), lambda slope: (slope * cross_entropy_backward(self.data, targets),))

    def backward(self):
        arrived = {self: torch.ones_like(self.data)}
        for node in reversed(topological_order(self)):
            slope = arrived.pop(node)
            if not node.parents:
                node.grad = slope.clone() if node.grad is None else node.grad + slope
                continue
            for parent, part in zip(node.parents, node.pull(slope), strict=True):
                part = part.sum_to_size(parent.data.shape)
                arrived[parent] = arrived[parent] + part if parent in arrived else part


@mistake("Node", "a later slope overwrites the earlier one; where paths meet, slopes are added", see="2.2")
class Node(RightNode):
    def backward(self):
        arrived = {self: torch.ones_like(self.data)}
        for node in reversed(topological_order(self)):
            slope = arrived.pop(node)
            if not node.parents:
                node.grad = slope.clone() if node.grad is None else node.grad + slope
                continue
            for parent, part in zip(node.parents, node.pull(slope), strict=True):
                arrived[parent] = part.sum_to_size(parent.data.shape)


@mistake("Node", "depth first without an order: a node goes on before all its users have sent their slope", see="2.4")
class Node(RightNode):
    def backward(self):
        arrived, stack, seen = {self: torch.ones_like(self.data)}, [self], set()
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            for parent, part in zip(node.parents, node.pull(arrived[node]) if node.parents else (), strict=True):
                part = part.sum_to_size(parent.data.shape)
                arrived[parent] = arrived[parent] + part if parent in arrived else part
                stack.append(parent)
        for node in seen:
            if not node.parents:
                node.grad = arrived[node].clone() if node.grad is None else node.grad + arrived[node]


@mistake("Node", "slopes of stretched operands are not summed back to their shape", see="2.3")
class Node(RightNode):
    def backward(self):
        arrived = {self: torch.ones_like(self.data)}
        for node in reversed(topological_order(self)):
            slope = arrived.pop(node)
            if not node.parents:
                node.grad = slope.clone() if node.grad is None else node.grad + slope
                continue
            for parent, part in zip(node.parents, node.pull(slope), strict=True):
                arrived[parent] = arrived[parent] + part if parent in arrived else part


@mistake("Node", "+= changes a slope that another parent holds as well", see="2.8")
class Node(RightNode):
    def backward(self):
        arrived = {self: torch.ones_like(self.data)}
        for node in reversed(topological_order(self)):
            slope = arrived.pop(node)
            if not node.parents:
                node.grad = slope.clone() if node.grad is None else node.grad + slope
                continue
            for parent, part in zip(node.parents, node.pull(slope), strict=True):
                part = part.sum_to_size(parent.data.shape)
                if parent in arrived:
                    arrived[parent] += part
                else:
                    arrived[parent] = part


@mistake("Node", "a second backward overwrites .grad; it must add", see="2.4")
class Node(RightNode):
    def backward(self):
        arrived = {self: torch.ones_like(self.data)}
        for node in reversed(topological_order(self)):
            slope = arrived.pop(node)
            if not node.parents:
                node.grad = slope.clone()
            for parent, part in zip(node.parents, node.pull(slope) if node.parents else (), strict=True):
                part = part.sum_to_size(parent.data.shape)
                arrived[parent] = arrived[parent] + part if parent in arrived else part


@mistake("Node", "slopes on the way are kept in .grad, and a second pass sends the old ones again", see="2.8")
class Node(RightNode):
    def backward(self):
        self.grad = torch.ones_like(self.data)
        for node in reversed(topological_order(self)):
            for parent, part in zip(node.parents, node.pull(node.grad) if node.parents else (), strict=True):
                part = part.sum_to_size(parent.data.shape)
                parent.grad = part.clone() if parent.grad is None else parent.grad + part


@mistake("Node", "two leaves share the memory of one .grad", see="1.1")
class Node(RightNode):
    def backward(self):
        arrived = {self: torch.ones_like(self.data)}
        for node in reversed(topological_order(self)):
            slope = arrived.pop(node)
            if not node.parents:
                node.grad = slope if node.grad is None else node.grad + slope
                continue
            for parent, part in zip(node.parents, node.pull(slope), strict=True):
                part = part.sum_to_size(parent.data.shape)
                arrived[parent] = arrived[parent] + part if parent in arrived else part


@mistake("Node", "backward calls itself: Python's recursion ends at a depth of about 1,000", see="2.4")
class Node(RightNode):
    def backward(self):
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                for parent in node.parents:
                    visit(parent)
                order.append(node)

        visit(self)
        arrived = {self: torch.ones_like(self.data)}
        for node in reversed(order):
            slope = arrived.pop(node)
            if not node.parents:
                node.grad = slope.clone() if node.grad is None else node.grad + slope
                continue
            for parent, part in zip(node.parents, node.pull(slope), strict=True):
                part = part.sum_to_size(parent.data.shape)
                arrived[parent] = arrived[parent] + part if parent in arrived else part


@mistake("Node", "the slope of a product is the other factor, not the factor itself", see="2.3")
class Node(RightNode):
    def __mul__(self, other):
        return Node(self.data * other.data, (self, other), lambda slope: (slope * self.data, slope * other.data))


@mistake("Node", "the slope of tanh is 1 minus the square of its result, not of its input", see="2.2")
class Node(RightNode):
    def tanh(self):
        return Node(self.data.tanh(), (self,), lambda slope: (slope * (1 - self.data**2),))


@mistake("Node", "rows that were read twice overwrite each other instead of adding up", see="1.5")
class Node(RightNode):
    def rows(self, ids):
        def pull(slope):
            back = torch.zeros_like(self.data)
            back[ids] = slope
            return (back,)

        return Node(self.data[ids], (self,), pull)


@mistake("Node", "cross_entropy ignores the slope that arrives at it", see="2.2")
class Node(RightNode):
    def cross_entropy(self, targets):
        loss = F.cross_entropy(self.data, targets)
        return Node(loss, (self,), lambda slope: (cross_entropy_backward(self.data, targets),))


@mistake("Node", "log(softmax) is minus infinity where a probability has become 0; use log_softmax", see="1.4")
class Node(RightNode):
    def cross_entropy(self, targets):
        loss = -self.data.softmax(1)[torch.arange(len(targets)), targets].log().mean()
        return Node(loss, (self,), lambda slope: (slope * cross_entropy_backward(self.data, targets),))


@mistake("Node", "torch's autograd does the work", see="2.8")
class Node(RightNode):
    def cross_entropy(self, targets):
        def pull(slope):
            leaf = self.data.detach().requires_grad_()
            return (slope * torch.autograd.grad(F.cross_entropy(leaf, targets), leaf)[0],)

        return Node(F.cross_entropy(self.data, targets), (self,), pull)


@accepted("Node", "without the earlier answers: its own order, and F.cross_entropy for the value")
class Node(RightNode):
    def cross_entropy(self, targets):
        actual = F.one_hot(targets, self.data.shape[1]).to(self.data.dtype)
        return Node(
            F.cross_entropy(self.data, targets),
            (self,),
            lambda slope: (slope * (self.data.softmax(1) - actual) / len(targets),),
        )

    def backward(self):
        order, done, stack = [], set(), [self]
        while stack:
            node = stack[-1]
            waiting = [parent for parent in node.parents if parent not in done]
            stack += waiting
            if not waiting:
                stack.pop()
                order += [node] if node not in done else []
                done.add(node)
        slopes = {id(node): torch.zeros_like(node.data) for node in order}
        slopes[id(self)] += 1
        for node in order[::-1]:
            parts = node.pull(slopes[id(node)]) if node.parents else ()
            for parent, part in zip(node.parents, parts, strict=True):
                slopes[id(parent)] += part.sum_to_size(parent.data.shape)
        for node in order:
            if not node.parents:
                node.grad = slopes[id(node)] if node.grad is None else node.grad + slopes[id(node)]


@accepted("Node", "tanh and rows with other formulas, sum as a product with ones")
class Node(RightNode):
    def tanh(self):
        bent = 2 / (1 + (-2 * self.data).exp()) - 1
        return Node(bent, (self,), lambda slope: (slope - slope * bent.square(),))

    def sum(self):
        return Node(self.data.sum(), (self,), lambda slope: (slope * torch.ones_like(self.data),))

    def rows(self, ids):
        def pull(slope):
            chosen = F.one_hot(ids, len(self.data)).to(slope.dtype)
            return (chosen.T @ slope,)

        return Node(self.data[ids], (self,), pull)


# 2.8 learn_bigrams


@mistake("learn_bigrams", "the table's .grad is never emptied, so every step follows all earlier ones", see="2.4")
def learn_bigrams(batches, size, rate):
    table, losses = Node(torch.zeros(size, size)), []
    for last, following in batches:
        loss = table.rows(last).cross_entropy(following)
        loss.backward()
        table.data = table.data - rate * table.grad
        losses.append(loss.data.item() / math.log(2))
    return table.data, losses


@mistake("learn_bigrams", "the step goes up the slope; the loss falls against it", see="2.2")
def learn_bigrams(batches, size, rate):
    table, losses = Node(torch.zeros(size, size)), []
    for last, following in batches:
        loss = table.rows(last).cross_entropy(following)
        table.grad = None
        loss.backward()
        table.data = table.data + rate * table.grad
        losses.append(loss.data.item() / math.log(2))
    return table.data, losses


@mistake("learn_bigrams", "the losses are in nats; divided by ln 2 they are in bits", see="2.2")
def learn_bigrams(batches, size, rate):
    table, losses = Node(torch.zeros(size, size)), []
    for last, following in batches:
        loss = table.rows(last).cross_entropy(following)
        table.grad = None
        loss.backward()
        table.data = table.data - rate * table.grad
        losses.append(loss.data.item())
    return table.data, losses


@mistake("learn_bigrams", "a mean already divides by the batch's size; dividing again slows large batches", see="2.2")
def learn_bigrams(batches, size, rate):
    table, losses = Node(torch.zeros(size, size)), []
    for last, following in batches:
        loss = table.rows(last).cross_entropy(following)
        table.grad = None
        loss.backward()
        table.data = table.data - rate * 2 / len(last) * table.grad
        losses.append(loss.data.item() / math.log(2))
    return table.data, losses


@mistake("learn_bigrams", "torch's autograd learns the table; the exercise is to use your own", see="2.8")
def learn_bigrams(batches, size, rate):
    table, losses = torch.zeros(size, size, requires_grad=True), []
    for last, following in batches:
        loss = F.cross_entropy(table[last], following)
        table.grad = None
        loss.backward()
        with torch.no_grad():
            table -= rate * table.grad
        losses.append(loss.item() / math.log(2))
    return table.detach(), losses


@mistake("learn_bigrams", "the column is the next character: rows and columns are swapped", see="2.8")
def learn_bigrams(batches, size, rate):
    table, losses = Node(torch.zeros(size, size)), []
    for last, following in batches:
        loss = table.rows(following).cross_entropy(last)
        table.grad = None
        loss.backward()
        table.data = table.data - rate * table.grad
        losses.append(loss.data.item() / math.log(2))
    return table.data, losses


@accepted("learn_bigrams", "a new leaf every step")
def learn_bigrams(batches, size, rate):
    logits, losses = torch.zeros(size, size), []
    for last, following in batches:
        table = Node(logits)
        loss = table.rows(last).cross_entropy(following)
        loss.backward()
        losses.append((loss.data / math.log(2)).item())
        logits = logits - rate * table.grad
    return logits, losses


@accepted("learn_bigrams", "updated in place, the loss scaled to bits by a node of its own")
def learn_bigrams(batches, size, rate):
    table, losses = Node(torch.zeros(size, size)), []
    for last, following in batches:
        nats = table.rows(last).cross_entropy(following)
        bits = nats * Node(torch.tensor(1 / math.log(2)))
        table.grad = None
        bits.backward()
        losses.append(bits.data.item())
        table.data -= rate * math.log(2) * table.grad
    return table.data, losses
