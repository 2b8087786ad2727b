"""Wrong and right ways to write the exercises of lesson 15."""

import copy
import io
import os

import torch
import triton
import triton.language as tl
from torch import nn
from torch.export import Dim
from torchgrade.lessons import accepted, mistake

# 15.1 quantize


def affine_or_not(x, bits, symmetric, dims, *, levels=None, widen=True, truncate_zero=False, clamp=True, whole=False):
    top = 2 ** (bits - 1) - 1
    bottom = -top if symmetric else -top - 1
    low, high = x.amin(dims, keepdim=True), x.amax(dims, keepdim=True)
    if widen:
        low, high = low.clamp(max=0), high.clamp(min=0)
    steps = levels or (top if symmetric else 2**bits - 1)
    scale = (torch.maximum(high, -low) if symmetric else high - low) / steps
    scale = scale.masked_fill(scale == 0, 1.0)
    zero = low / scale
    zero = torch.zeros_like(scale) if symmetric else bottom - (zero.trunc() if truncate_zero else zero.round())
    q = (x / scale).trunc() + zero if whole else (x / scale).round() + zero
    return (q.clamp(bottom, top) if clamp else q).to(torch.int8), scale, zero.to(torch.int8)


def all_but(x, channel):
    return [d for d in range(x.ndim) if channel is None or d != channel % x.ndim]


@mistake("quantize", "the symmetric scale comes from max x; a large negative number needs max |x|", see="15.1")
def quantize(x, bits, symmetric, channel=None):
    dims = all_but(x, channel)
    if not symmetric:
        return affine_or_not(x, bits, symmetric, dims)
    top = 2 ** (bits - 1) - 1
    scale = x.amax(dims, keepdim=True) / top
    scale = scale.masked_fill(scale == 0, 1.0)
    q = (x / scale).round().clamp(-top, top).to(torch.int8)
    return q, scale, torch.zeros_like(scale, dtype=torch.int8)


@mistake("quantize", "x / scale is cut off instead of rounded to the nearest integer", see="15.1")
def quantize(x, bits, symmetric, channel=None):
    return affine_or_not(x, bits, symmetric, all_but(x, channel), whole=True)


@mistake("quantize", "the affine range is not widened to contain 0: 0 is not representable", see="15.1")
def quantize(x, bits, symmetric, channel=None):
    return affine_or_not(x, bits, symmetric, all_but(x, channel), widen=symmetric)


@mistake("quantize", "the zero point is cut off instead of rounded", see="15.1")
def quantize(x, bits, symmetric, channel=None):
    return affine_or_not(x, bits, symmetric, all_but(x, channel), truncate_zero=True)


@mistake("quantize", "2^bits values have 2^bits - 1 steps between them: the affine scale is too small", see="15.1")
def quantize(x, bits, symmetric, channel=None):
    return affine_or_not(x, bits, symmetric, all_but(x, channel), levels=None if symmetric else 2**bits)


@mistake("quantize", "the symmetric scale divides by 2^(bits - 1), one more than the largest integer", see="15.1")
def quantize(x, bits, symmetric, channel=None):
    return affine_or_not(x, bits, symmetric, all_but(x, channel), levels=2 ** (bits - 1) if symmetric else None)


@mistake("quantize", "a negative channel is not counted from the end, so all of x shares one scale", see="15.1")
def quantize(x, bits, symmetric, channel=None):
    return affine_or_not(x, bits, symmetric, [d for d in range(x.ndim) if d != channel])


@mistake("quantize", "min and max run along the channel itself; it is the one dimension that stays", see="15.1")
def quantize(x, bits, symmetric, channel=None):
    return affine_or_not(x, bits, symmetric, all_but(x, None) if channel is None else [channel])


@mistake("quantize", "one scale for all of x, whatever the channel", see="15.1")
def quantize(x, bits, symmetric, channel=None):
    return affine_or_not(x, bits, symmetric, all_but(x, None))


@mistake("quantize", "where x is all 0 the scale is 0, and 0 / 0 is NaN", see="15.1")
def quantize(x, bits, symmetric, channel=None):
    top = 2 ** (bits - 1) - 1
    bottom, dims = -top if symmetric else -top - 1, all_but(x, channel)
    low, high = x.amin(dims, keepdim=True).clamp(max=0), x.amax(dims, keepdim=True).clamp(min=0)
    scale = torch.maximum(high, -low) / top if symmetric else (high - low) / (top - bottom)
    zero = torch.zeros_like(scale) if symmetric else bottom - (low / scale).round()
    return ((x / scale).round() + zero).clamp(bottom, top).to(torch.int8), scale, zero.to(torch.int8)


@mistake("quantize", "x is divided in place: the caller's tensor changes", see="15.1")
def quantize(x, bits, symmetric, channel=None):
    dims = all_but(x, channel)
    if not symmetric:
        return affine_or_not(x, bits, symmetric, dims)
    top = 2 ** (bits - 1) - 1
    scale = x.abs().amax(dims, keepdim=True) / top
    scale = scale.masked_fill(scale == 0, 1.0)
    x /= scale
    return x.round().clamp(-top, top).to(torch.int8), scale, torch.zeros_like(scale, dtype=torch.int8)


@accepted("quantize", "the channel moved to the front, everything else flattened")
def quantize(x, bits, symmetric, channel=None):
    rows = x[None] if channel is None else x.movedim(channel, 0)
    flat, top = rows.flatten(1), 2 ** (bits - 1) - 1
    if symmetric:
        step, bottom = flat.abs().max(1).values / top, -top
    else:
        step, bottom = (flat.max(1).values.clamp(min=0) - flat.min(1).values.clamp(max=0)) / (2**bits - 1), -top - 1
    step = torch.where(step == 0, torch.ones_like(step), step)
    offset = torch.zeros_like(step) if symmetric else bottom - torch.round(flat.min(1).values.clamp(max=0) / step)
    q = (torch.round(flat / step[:, None]) + offset[:, None]).clamp(bottom, top).to(torch.int8).view(rows.shape)
    shape = [1] * x.ndim
    if channel is not None:
        shape[channel] = -1
    q = q[0] if channel is None else q.movedim(0, channel)
    return q, step.view(shape), offset.to(torch.int8).view(shape)


@accepted("quantize", "two cases written apart")
def quantize(x, bits, symmetric, channel=None):
    dims = tuple(d for d in range(x.dim()) if channel is None or d != (channel + x.dim()) % x.dim())
    half = 2 ** (bits - 1)
    if symmetric:
        scale = x.abs().amax(dims, True) / (half - 1)
        scale[scale == 0] = 1
        return torch.round(x / scale).to(torch.int8), scale, torch.zeros_like(scale).to(torch.int8)
    low, high = torch.clamp_max(x.amin(dims, True), 0), torch.clamp_min(x.amax(dims, True), 0)
    scale = (high - low) / (2 * half - 1)
    scale[scale == 0] = 1
    zero = -half - torch.round(low / scale)
    return torch.clamp(torch.round(x / scale) + zero, -half, half - 1).char(), scale, zero.char()


# 15.3 quantize_int4


def packed_groups(weight, group, *, eighths=7, stored=True, offset=8, swapped=False, guard=True, absolute=True):
    parts = weight.unflatten(1, (-1, group))
    exact = (parts.abs() if absolute else parts).amax(-1) / eighths
    scales = exact.half()
    if guard:
        exact, scales = exact.masked_fill(scales == 0, 1.0), scales.masked_fill(scales == 0, 1.0)
    used = scales.to(weight.dtype) if stored else exact
    q = (parts / used[..., None]).round().clamp(-7, 7).flatten(1).nan_to_num(0)
    halves = (q + offset).to(torch.int8).to(torch.uint8) & 15
    low, high = (halves[:, 1::2], halves[:, ::2]) if swapped else (halves[:, ::2], halves[:, 1::2])
    return low | high << 4, scales


@mistake("quantize_int4", "the halves are swapped: weight 2j belongs into the low half of byte j", see="15.3")
def quantize_int4(weight, group):
    return packed_groups(weight, group, swapped=True)


@mistake("quantize_int4", "8 is not added, so the halves hold q in two's complement", see="15.3")
def quantize_int4(weight, group):
    return packed_groups(weight, group, offset=0)


@mistake("quantize_int4", "q is computed with the scale before it was rounded to float16", see="15.3")
def quantize_int4(weight, group):
    return packed_groups(weight, group, stored=False)


@mistake("quantize_int4", "a scale that is 0 in float16 stays 0", see="15.3")
def quantize_int4(weight, group):
    return packed_groups(weight, group, guard=False)


@mistake("quantize_int4", "the scale is max |w| / 8, so the largest positive weight is clamped", see="15.3")
def quantize_int4(weight, group):
    return packed_groups(weight, group, eighths=8)


@mistake("quantize_int4", "the scale comes from max w; a large negative weight needs max |w|", see="15.3")
def quantize_int4(weight, group):
    return packed_groups(weight, group, absolute=False)


@mistake("quantize_int4", "one scale per row instead of one per group", see="15.3")
def quantize_int4(weight, group):
    packed, scales = packed_groups(weight, weight.shape[1])
    return packed, scales.repeat(1, weight.shape[1] // group)


@mistake("quantize_int4", "the scales are float32; in groups of 32 that costs half a bit more per weight", see="15.3")
def quantize_int4(weight, group):
    packed, scales = packed_groups(weight, group)
    return packed, scales.float()


@mistake("quantize_int4", "neighbors must share a byte, not the first and the second half of a row", see="15.3")
def quantize_int4(weight, group):
    packed, scales = packed_groups(weight, group)
    halves = torch.stack((packed & 15, packed >> 4), -1).flatten(1)
    middle = halves.shape[1] // 2
    return halves[:, :middle] | halves[:, middle:] << 4, scales


@accepted("quantize_int4", "16 times the high half, through int32")
def quantize_int4(weight, group):
    out, width = weight.shape
    parts = weight.reshape(out, width // group, group)
    scales = (parts.abs().max(-1, keepdim=True).values / 7).to(torch.float16)
    scales = torch.where(scales == 0, torch.ones_like(scales), scales)
    q = torch.clamp(torch.round(parts / scales.to(weight.dtype)), -7, 7).int() + 8
    pairs = q.view(out, width // 2, 2)
    return (pairs[..., 0] + 16 * pairs[..., 1]).to(torch.uint8), scales[..., 0]


@accepted("quantize_int4", "group by group in a loop")
def quantize_int4(weight, group):
    columns, scales = [], []
    for part in weight.split(group, 1):
        scale = (part.abs().amax(1, keepdim=True) / 7).half()
        scale[scale == 0] = 1
        scales.append(scale)
        columns.append((part / scale.to(part.dtype)).round().clamp(-7, 7) + 8)
    codes = torch.cat(columns, 1).byte()
    return codes[:, 1::2] * 16 + codes[:, 0::2], torch.cat(scales, 1)


# 15.4 int4_linear


@triton.jit
def some_kernel(
    x_ptr,
    packed_ptr,
    scales_ptr,
    out_ptr,
    rows,
    outs,
    width,
    group: tl.constexpr,
    block_rows: tl.constexpr,
    block_outs: tl.constexpr,
    kind: tl.constexpr,
):
    row = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    out = tl.program_id(1) * block_outs + tl.arange(0, block_outs)
    pair = tl.arange(0, group // 2)
    groups = width // group
    total = tl.zeros((block_rows, block_outs), dtype=tl.float32)
    for i in range(0, groups):
        places = row[:, None] * width + i * group + 2 * pair[None, :]
        even = tl.load(x_ptr + places, mask=row[:, None] < rows, other=0.0)
        odd = tl.load(x_ptr + places + 1, mask=row[:, None] < rows, other=0.0)
        own = out[:, None] * (width // 2) + i * (group // 2) + pair[None, :]
        both = tl.load(packed_ptr + own, mask=out[:, None] < outs, other=0)
        again = both
        if kind == 1:  # each half loads the byte for itself
            again = tl.load(packed_ptr + own, mask=out[:, None] < outs, other=0)
        low = ((both & 15).to(tl.float32) - 8).to(even.dtype)
        high = ((again >> 4).to(tl.float32) - 8).to(even.dtype)
        if kind == 2:
            low, high = high, low
        if kind == 3:
            low, high = low + 8, high + 8
        at = i
        if kind == 4:
            at = 0
        scale = tl.load(scales_ptr + out * groups + at, mask=out < outs, other=0.0).to(tl.float32)
        if kind == 5:
            sums = tl.sum(even[:, None, :].to(tl.float32) * low[None, :, :].to(tl.float32), 2)
            sums += tl.sum(odd[:, None, :].to(tl.float32) * high[None, :, :].to(tl.float32), 2)
            total += sums * scale[None, :]
        elif kind == 6:
            total = (total + tl.dot(even, tl.trans(low)) + tl.dot(odd, tl.trans(high))) * scale[None, :]
        elif kind == 7:
            total += tl.dot(even, tl.trans(low)) * scale[None, :]
        else:
            total += (tl.dot(even, tl.trans(low)) + tl.dot(odd, tl.trans(high))) * scale[None, :]
    inside = (row[:, None] < rows) & (out[None, :] < outs)
    tl.store(out_ptr + row[:, None] * outs + out[None, :], total.to(out_ptr.dtype.element_ty), mask=inside)


def launch(x, packed, scales, block_rows, block_outs, kind):
    (rows, width), (outs, groups) = x.shape, scales.shape
    result = torch.empty(rows, outs, dtype=x.dtype, device=x.device)
    grid = (triton.cdiv(rows, block_rows), triton.cdiv(outs, block_outs))
    some_kernel[grid](
        x, packed, scales, result, rows, outs, width, width // groups, block_rows, block_outs, kind
    )  # fmt: skip
    return result


@mistake("int4_linear", "each half loads its byte anew: packed weights are read twice", see="15.4")
def int4_linear(x, packed, scales, block_rows=16, block_outs=64):
    return launch(x, packed, scales, block_rows, block_outs, 1)


@mistake("int4_linear", "even columns of x meet the high halves; they belong to the low ones", see="15.4")
def int4_linear(x, packed, scales, block_rows=16, block_outs=64):
    return launch(x, packed, scales, block_rows, block_outs, 2)


@mistake("int4_linear", "8 is not subtracted: the halves hold q + 8", see="15.4")
def int4_linear(x, packed, scales, block_rows=16, block_outs=64):
    return launch(x, packed, scales, block_rows, block_outs, 3)


@mistake("int4_linear", "every group is multiplied by the scale of the first", see="15.4")
def int4_linear(x, packed, scales, block_rows=16, block_outs=64):
    return launch(x, packed, scales, block_rows, block_outs, 4)


@mistake("int4_linear", "the running sum is scaled again with every group; a scale belongs to its group", see="15.4")
def int4_linear(x, packed, scales, block_rows=16, block_outs=64):
    return launch(x, packed, scales, block_rows, block_outs, 6)


@mistake("int4_linear", "the high halves are never used", see="15.4")
def int4_linear(x, packed, scales, block_rows=16, block_outs=64):
    return launch(x, packed, scales, block_rows, block_outs, 7)


@accepted("int4_linear", "another kernel signature")
def int4_linear(x, packed, scales, block_rows=16, block_outs=64):
    return launch(x, packed, scales, block_rows, block_outs, 0)


@triton.jit
def scaled_first_kernel(
    x_ptr,
    packed_ptr,
    scales_ptr,
    out_ptr,
    rows,
    outs,
    groups,
    half: tl.constexpr,
    block_rows: tl.constexpr,
    block_outs: tl.constexpr,
):
    row = tl.program_id(1) * block_rows + tl.arange(0, block_rows)
    out = tl.program_id(0) * block_outs + tl.arange(0, block_outs)
    total = tl.zeros((block_outs, block_rows), dtype=tl.float32)
    for i in range(groups):
        byte = i * half + tl.arange(0, half)
        both = tl.load(packed_ptr + out[:, None] * groups * half + byte[None, :], mask=out[:, None] < outs, other=0)
        scale = tl.load(scales_ptr + out * groups + i, mask=out < outs, other=0.0)
        column = row[None, :] * groups * half * 2 + 2 * byte[:, None]
        even = tl.load(x_ptr + column, mask=row[None, :] < rows, other=0.0)
        odd = tl.load(x_ptr + column + 1, mask=row[None, :] < rows, other=0.0)
        mine = tl.dot((both % 16).to(even.dtype) - 8, even)
        mine = tl.dot((both // 16).to(odd.dtype) - 8, odd, mine)
        total += mine * scale[:, None]
    inside = (row[None, :] < rows) & (out[:, None] < outs)
    tl.store(out_ptr + row[None, :] * outs + out[:, None], total, mask=inside)


@accepted("int4_linear", "outputs times rows, transposed when stored")
def int4_linear(x, packed, scales, block_rows=16, block_outs=64):
    outs, groups = scales.shape
    result = x.new_empty(len(x), outs)
    grid = (triton.cdiv(outs, block_outs), triton.cdiv(len(x), block_rows))
    half = packed.shape[1] // groups
    scaled_first_kernel[grid](x, packed, scales, result, len(x), outs, groups, half, block_rows, block_outs)
    return result


# 15.5 gptq


def column_by_column(
    weight,
    inputs,
    bits,
    damp,
    *,
    factor=True,
    lower=False,
    squared=False,
    sign=1,
    clamp=True,
    original=False,
    fresh=False,
):
    top = 2 ** (bits - 1) - 1
    scale = weight.abs().amax(1, keepdim=True) / top
    hessian = inputs.T @ inputs
    hessian = hessian + damp * hessian.diagonal().mean() * torch.eye(len(hessian), dtype=weight.dtype)
    rows = torch.linalg.inv(hessian)
    if factor:
        rows = torch.linalg.cholesky(rows, upper=not lower)
        rows = rows.T if lower else rows
    if squared:
        rows = torch.linalg.cholesky(hessian, upper=True)
    rest, q = weight.clone(), torch.empty(weight.shape, dtype=torch.int8)
    for j in range(weight.shape[1]):
        column = rest[:, j : j + 1]
        if fresh:
            scale = rest.abs().amax(1, keepdim=True) / top
        rounded = (column / scale).round()
        rounded = rounded.clamp(-top, top) if clamp else rounded.clamp(-128, 127)
        q[:, j : j + 1] = rounded.to(torch.int8)
        error = ((weight[:, j : j + 1] if original else column) - rounded * scale) / rows[j, j]
        rest[:, j + 1 :] -= sign * error * rows[j, j + 1 :]
    return q, scale


@mistake("gptq", "the inverse of the whole H serves every column; it changes with each one that is fixed", see="15.5")
def gptq(weight, inputs, bits, damp=0.01):
    return column_by_column(weight, inputs, bits, damp, factor=False)


@mistake("gptq", "H itself is factored instead of its inverse", see="15.5")
def gptq(weight, inputs, bits, damp=0.01):
    return column_by_column(weight, inputs, bits, damp, squared=True)


@mistake("gptq", "the error is added to the later columns; what was too much must be taken away", see="15.5")
def gptq(weight, inputs, bits, damp=0.01):
    return column_by_column(weight, inputs, bits, damp, sign=-1)


@mistake("gptq", "q is not clamped: an updated weight may lie outside of the range", see="15.5")
def gptq(weight, inputs, bits, damp=0.01):
    return column_by_column(weight, inputs, bits, damp, clamp=False)


@mistake("gptq", "the error is taken from the original column instead of the updated one", see="15.5")
def gptq(weight, inputs, bits, damp=0.01):
    return column_by_column(weight, inputs, bits, damp, original=True)


@mistake("gptq", "the scale is computed anew from updated weights; one scale per original row", see="15.5")
def gptq(weight, inputs, bits, damp=0.01):
    return column_by_column(weight, inputs, bits, damp, fresh=True)


@mistake("gptq", "the diagonal of H gets damp times its mean, not damp alone or nothing", see="15.5")
def gptq(weight, inputs, bits, damp=0.01):
    return column_by_column(weight, inputs, bits, 0.0)


@mistake("gptq", "the diagonal of H gets damp times its mean, not damp alone or nothing", see="15.5")
def gptq(weight, inputs, bits, damp=0.01):
    hessian = inputs.T @ inputs
    return column_by_column(weight, inputs, bits, damp / hessian.diagonal().mean())


@mistake("gptq", "every weight is rounded to the nearest value; nothing makes up for the errors", see="15.5")
def gptq(weight, inputs, bits, damp=0.01):
    return column_by_column(weight, inputs, bits, damp, sign=0)


@mistake("gptq", "the caller's weight is updated in place", see="15.5")
def gptq(weight, inputs, bits, damp=0.01):
    top = 2 ** (bits - 1) - 1
    scale = weight.abs().amax(1, keepdim=True) / top
    hessian = inputs.T @ inputs
    hessian += damp * hessian.diagonal().mean() * torch.eye(len(hessian), dtype=weight.dtype)
    upper = torch.linalg.cholesky(torch.linalg.inv(hessian), upper=True)
    q = torch.zeros_like(weight, dtype=torch.int8)
    for j in range(weight.shape[1]):
        q[:, j] = (weight[:, j] / scale[:, 0]).round().clamp(-top, top)
        error = (weight[:, j] - q[:, j] * scale[:, 0]) / upper[j, j]
        weight[:, j + 1 :] -= error[:, None] * upper[j, j + 1 :]
    return q, scale


@accepted("gptq", "the inverse is reduced by elimination after each column")
def gptq(weight, inputs, bits, damp=0.01):
    top = 2 ** (bits - 1) - 1
    scale = weight.abs().amax(1) / top
    hessian = inputs.mT @ inputs
    hessian = hessian + torch.diag(damp * hessian.diagonal().mean().expand(len(hessian)))
    free, rest, codes = torch.linalg.inv(hessian), weight.clone(), []
    for j in range(weight.shape[1]):
        code = torch.clamp(torch.round(rest[:, j] / scale), -top, top)
        codes.append(code)
        rest = rest - torch.outer((rest[:, j] - code * scale) / free[j, j], free[j])
        free = free - torch.outer(free[:, j], free[j]) / free[j, j]
        free[j, j] = 1.0
    return torch.stack(codes, 1).to(torch.int8), scale[:, None]


@accepted("gptq", "lower triangle, transposed")
def gptq(weight, inputs, bits, damp=0.01):
    return column_by_column(weight, inputs, bits, damp, lower=True)


# 15.6 export_model


@mistake("export_model", "the mode is frozen with the program: eval() is missing", see="15.6")
def export_model(model, example):
    return torch.export.export(
        copy.deepcopy(model).train(), (torch.cat([example] * 2),), dynamic_shapes=({0: Dim("batch")},)
    )


@mistake("export_model", "dimension 0 has no name, so the program takes the example's batch size only", see="15.6")
def export_model(model, example):
    return torch.export.export(copy.deepcopy(model).eval(), (example,))


@mistake("export_model", "an example of one row makes the batch the constant 1", see="15.6")
def export_model(model, example):
    return torch.export.export(copy.deepcopy(model).eval(), (example,), dynamic_shapes=({0: Dim.AUTO},))


@mistake("export_model", "the batch is limited to what min and max allow; every size from 1 on must work", see="15.6")
def export_model(model, example):
    sizes = ({0: Dim("batch", min=2, max=32)},)
    return torch.export.export(copy.deepcopy(model).eval(), (torch.cat([example] * 2),), dynamic_shapes=sizes)


@mistake("export_model", "the caller's model itself is put into eval mode and stays in it", see="15.6")
def export_model(model, example):
    return torch.export.export(model.eval(), (torch.cat([example] * 2),), dynamic_shapes=({0: Dim("batch")},))


@mistake("export_model", "train() afterwards wakes the parts that were frozen in eval mode before", see="15.6")
def export_model(model, example):
    was = model.training
    frozen = copy.deepcopy(model.eval())
    model.train(was)
    return torch.export.export(frozen, (torch.cat([example] * 2),), dynamic_shapes=({0: Dim("batch")},))


@mistake(
    "export_model", "the program shares its parameters with the model, and changes when the model trains on", see="15.6"
)
def export_model(model, example):
    modes = [part.training for part in model.modules()]
    program = torch.export.export(model.eval(), (torch.cat([example, example]),), dynamic_shapes=({0: Dim("batch")},))
    for part, mode in zip(model.modules(), modes, strict=True):
        part.training = mode
    return program


@accepted("export_model", "Dim.DYNAMIC and repeated rows")
def export_model(model, example):
    several = example[:1].repeat(3, *[1] * (example.ndim - 1))
    return torch.export.export(copy.deepcopy(model).eval(), (several,), dynamic_shapes=({0: Dim.DYNAMIC},))


@accepted("export_model", "a range from 1 on, random rows")
def export_model(model, example):
    frozen = copy.deepcopy(model)
    frozen.eval()
    rows = torch.zeros(5, *example.shape[1:], dtype=example.dtype)
    return torch.export.export(frozen, args=(rows,), dynamic_shapes=[{0: Dim("rows", min=1)}])


# 15.7 answer_batch


@mistake("answer_batch", "position -1 of a padded row is padding, not the end of the request", see="15.7")
def answer_batch(model, requests):
    was = model.training
    model.eval()
    with torch.no_grad():
        logits = model(nn.utils.rnn.pad_sequence(requests, batch_first=True))
    model.train(was)
    return list(logits[:, -1])


@mistake("answer_batch", "answers come back in the order of length: users get each other's", see="15.7")
def answer_batch(model, requests):
    ordered, was = sorted(requests, key=len), model.training
    model.eval()
    with torch.no_grad():
        logits = model(nn.utils.rnn.pad_sequence(ordered, batch_first=True))
    model.train(was)
    return [row[len(one) - 1] for row, one in zip(logits, ordered, strict=True)]


@mistake("answer_batch", "the order is the sort's own permutation, applied once more instead of undone", see="15.7")
def answer_batch(model, requests):
    order, was = sorted(range(len(requests)), key=lambda i: len(requests[i])), model.training
    ordered = [requests[i] for i in order]
    model.eval()
    with torch.no_grad():
        logits = model(nn.utils.rnn.pad_sequence(ordered, batch_first=True))
    model.train(was)
    found = [row[len(one) - 1] for row, one in zip(logits, ordered, strict=True)]
    return [found[i] for i in order]


@mistake("answer_batch", "dropout is on: the model answers in the mode it happens to be in", see="15.7")
def answer_batch(model, requests):
    with torch.no_grad():
        logits = model(nn.utils.rnn.pad_sequence(requests, batch_first=True))
    return [row[len(one) - 1] for row, one in zip(logits, requests, strict=True)]


@mistake("answer_batch", "the model is left in eval mode", see="15.7")
def answer_batch(model, requests):
    model.eval()
    with torch.no_grad():
        logits = model(nn.utils.rnn.pad_sequence(requests, batch_first=True))
    return [row[len(one) - 1] for row, one in zip(logits, requests, strict=True)]


@mistake("answer_batch", "an autograd graph is kept for every answer", see="15.7")
def answer_batch(model, requests):
    was = model.training
    model.eval()
    logits = model(nn.utils.rnn.pad_sequence(requests, batch_first=True))
    model.train(was)
    return [row[len(one) - 1] for row, one in zip(logits, requests, strict=True)]


@mistake("answer_batch", "the model runs once per request; that is no batch", see="15.7")
def answer_batch(model, requests):
    was = model.training
    model.eval()
    with torch.no_grad():
        found = [model(one[None])[0, -1] for one in requests]
    model.train(was)
    return found


@mistake("answer_batch", "padded on the left, the real symbols move to other positions and see the padding", see="15.7")
def answer_batch(model, requests):
    longest, was = max(map(len, requests)), model.training
    ids = torch.stack([nn.functional.pad(one, (longest - len(one), 0)) for one in requests])
    model.eval()
    with torch.no_grad():
        logits = model(ids)
    model.train(was)
    return list(logits[:, -1])


@accepted("answer_batch", "sorted, and sorted back")
def answer_batch(model, requests):
    order = sorted(range(len(requests)), key=lambda i: -len(requests[i]))
    ids = torch.zeros(len(requests), len(requests[order[0]]), dtype=torch.int64)
    for row, i in enumerate(order):
        ids[row, : len(requests[i])] = requests[i]
    was, found = model.training, [None] * len(requests)
    model.eval()
    with torch.no_grad():
        logits = model(ids)
    model.train(was)
    for row, i in enumerate(order):
        found[i] = logits[row, len(requests[i]) - 1]
    return found


@accepted("answer_batch", "gather, detached")
def answer_batch(model, requests):
    was = model.training
    ids = nn.utils.rnn.pad_sequence(list(requests), batch_first=True, padding_value=1)
    logits = model.eval()(ids).detach()
    model.train(was)
    ends = torch.tensor([len(one) for one in requests]) - 1
    return list(logits.gather(1, ends[:, None, None].expand(-1, 1, logits.shape[2]))[:, 0].unbind(0))


# 15.8 compress


def replaced(model, make, keep, *, copied=True, eval_mode=True, last_name=False, children=False, shared=True):
    model, made = copy.deepcopy(model) if copied else model, {}
    pairs = model.named_children() if children else model.named_modules(remove_duplicate=not shared)
    for name, part in list(pairs):
        kept = name.rpartition(".")[2] in keep if last_name else name in keep
        if isinstance(part, nn.Linear) and not kept:
            if part not in made:
                made[part] = make(part)
            owner, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(owner), attribute, made[part])
    return model.eval() if eval_mode else model


@mistake("compress", "only direct children are replaced; linear layers deeper down stay as they were", see="15.8")
def compress(model, make, keep=()):
    return replaced(model, make, keep, children=True)


@mistake("compress", "the caller's model is changed instead of a copy", see="15.8")
def compress(model, make, keep=()):
    return replaced(model, make, keep, copied=False)


@mistake("compress", "keep is compared with the last part of a name instead of the dotted name", see="15.8")
def compress(model, make, keep=()):
    return replaced(model, make, keep, last_name=True)


@mistake("compress", "a layer that is used in two places is replaced in the first only", see="15.8")
def compress(model, make, keep=()):
    return replaced(model, make, keep, shared=False)


@mistake("compress", "a layer that is used in two places is made twice", see="15.8")
def compress(model, make, keep=()):
    small = copy.deepcopy(model)
    for name, part in list(small.named_modules(remove_duplicate=False)):
        if isinstance(part, nn.Linear) and name not in keep:
            owner, _, attribute = name.rpartition(".")
            setattr(small.get_submodule(owner), attribute, make(part))
    return small.eval()


@mistake("compress", "the new model is not in eval mode", see="15.8")
def compress(model, make, keep=()):
    return replaced(model, make, keep, eval_mode=False)


@accepted("compress", "recursion over children, with a memory")
def compress(model, make, keep=()):
    new, made = copy.deepcopy(model), {}

    def visit(owner, prefix):
        for name, part in list(owner._modules.items()):
            if isinstance(part, nn.Linear):
                if prefix + name not in keep:
                    if id(part) not in made:
                        made[id(part)] = make(part), part
                    setattr(owner, name, made[id(part)][0])
            elif part is not None:
                visit(part, prefix + name + ".")

    visit(new, "")
    new.eval()
    return new


@accepted("compress", "set_submodule, names collected first")
def compress(model, make, keep=()):
    model = copy.deepcopy(model)
    names = {}
    for name, part in model.named_modules(remove_duplicate=False):
        if isinstance(part, nn.Linear) and name not in keep:
            names.setdefault(part, []).append(name)
    for part, places in names.items():
        new = make(part)
        for name in places:
            model.set_submodule(name, new)
    return model.train(False)


# 15.8 Checkpoint


class OneFile:
    safe, strict, eval_mode = True, True, True

    def __init__(self, path):
        self.path = path

    def save(self, model, config):
        torch.save({"config": config, "weights": model.state_dict()}, f"{self.path}.unfinished")
        os.replace(f"{self.path}.unfinished", self.path)

    def load(self, build):
        saved = torch.load(self.path, map_location="cpu", weights_only=self.safe)
        model = build(**saved["config"])
        model.load_state_dict(saved["weights"], strict=self.strict)
        return model.eval() if self.eval_mode else model


@mistake("Checkpoint", "a save that fails destroys the older file: write to another name, then os.replace", see="15.8")
class Checkpoint(OneFile):
    def save(self, model, config):
        torch.save({"config": config, "weights": model.state_dict()}, self.path)


@mistake("Checkpoint", "a save that fails destroys the older file: write to another name, then os.replace", see="15.8")
class Checkpoint(OneFile):
    def save(self, model, config):
        if os.path.exists(self.path):
            os.remove(self.path)
        OneFile.save(self, model, config)


@mistake("Checkpoint", "weights_only=False runs whatever code the file names", see="15.8")
class Checkpoint(OneFile):
    safe = False


@mistake("Checkpoint", "strict=False loads what fits and keeps quiet about the rest", see="15.8")
class Checkpoint(OneFile):
    strict = False


@mistake("Checkpoint", "the loaded model is not in eval mode", see="15.8")
class Checkpoint(OneFile):
    eval_mode = False


@mistake("Checkpoint", "parameters alone are saved; a state_dict holds the buffers too", see="15.8")
class Checkpoint(OneFile):
    def save(self, model, config):
        weights = dict(model.named_parameters())
        torch.save({"config": config, "weights": weights}, f"{self.path}.unfinished")
        os.replace(f"{self.path}.unfinished", self.path)

    def load(self, build):
        saved = torch.load(self.path, weights_only=True)
        model = build(**saved["config"])
        own = model.state_dict()
        if set(saved["weights"]) != {name for name, _ in model.named_parameters()}:
            raise RuntimeError("names differ")
        model.load_state_dict({**own, **saved["weights"]})
        return model.eval()


@accepted("Checkpoint", "a list in a file that is renamed")
class Checkpoint:
    def __init__(self, path):
        self.path = str(path)

    def save(self, model, config):
        torch.save([config, model.state_dict()], self.path + ".tmp")
        os.rename(self.path + ".tmp", self.path)

    def load(self, build):
        config, weights = torch.load(self.path, weights_only=True)
        model = build(**config)
        model.load_state_dict(weights)
        model.eval()
        return model


@accepted("Checkpoint", "written to memory first")
class Checkpoint(OneFile):
    def save(self, model, config):
        memory = io.BytesIO()
        torch.save({"config": dict(config), "weights": model.state_dict()}, memory)
        with open(f"{self.path}.part", "wb") as file:
            file.write(memory.getvalue())
        os.replace(f"{self.path}.part", self.path)
