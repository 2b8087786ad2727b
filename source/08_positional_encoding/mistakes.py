"""Wrong and right ways to write the exercises of lesson 08."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torchgrade.lessons import accepted, mistake

# 8.1 sinusoidal


@mistake(
    "sinusoidal", "the exponent is i/d instead of 2i/d: the hands slow down half as fast as they should", see="8.1"
)
def sinusoidal(positions, d, base=10_000.0):
    if d % 2:
        raise ValueError("odd")
    angles = positions[:, None] * base ** (-torch.arange(d // 2) / d)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@mistake("sinusoidal", "all sines stand before all cosines; they must alternate", see="8.1")
def sinusoidal(positions, d, base=10_000.0):
    if d % 2:
        raise ValueError("odd")
    angles = positions[:, None] * base ** (-torch.arange(0, d, 2) / d)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


@mistake("sinusoidal", "sines and cosines are exchanged: even columns hold sines", see="8.1")
def sinusoidal(positions, d, base=10_000.0):
    if d % 2:
        raise ValueError("odd")
    angles = positions[:, None] * base ** (-torch.arange(0, d, 2) / d)
    return torch.stack([angles.cos(), angles.sin()], dim=-1).flatten(1)


@mistake("sinusoidal", "the given positions are ignored and counted from 0 instead", see="8.1")
def sinusoidal(positions, d, base=10_000.0):
    if d % 2:
        raise ValueError("odd")
    angles = torch.arange(len(positions))[:, None] * base ** (-torch.arange(0, d, 2) / d)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@mistake("sinusoidal", "the exponent has lost its sign: later hands must turn more slowly, not faster", see="8.1")
def sinusoidal(positions, d, base=10_000.0):
    if d % 2:
        raise ValueError("odd")
    angles = positions[:, None] * base ** (torch.arange(0, d, 2) / d)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@mistake("sinusoidal", "the base is fixed at 10,000 whatever the caller asks for", see="8.1")
def sinusoidal(positions, d, base=10_000.0):
    if d % 2:
        raise ValueError("odd")
    angles = positions[:, None] * 10_000.0 ** (-torch.arange(0, d, 2) / d)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@mistake("sinusoidal", "an odd d is accepted silently and gives another width", see="8.1")
def sinusoidal(positions, d, base=10_000.0):
    angles = positions[:, None] * base ** (-torch.arange(0, d, 2) / d)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@accepted("sinusoidal", "slice assignment into zeros, speeds through exp and log")
def sinusoidal(positions, d, base=10_000.0):
    if d % 2 != 0:
        raise ValueError(f"d must be even, not {d}")
    table = torch.zeros(len(positions), d)
    speeds = torch.exp(torch.arange(0, d, 2).float() * (-math.log(base) / d))
    table[:, 0::2] = torch.sin(positions.float()[:, None] * speeds)
    table[:, 1::2] = torch.cos(positions.float()[:, None] * speeds)
    return table


@accepted("sinusoidal", "division by powers, an outer product in float64")
def sinusoidal(positions, d, base=10_000.0):
    if d % 2:
        raise ValueError("odd")
    angles = torch.outer(positions.double(), 1 / base ** (torch.arange(d // 2).double() / (d / 2)))
    return torch.view_as_real(torch.polar(torch.ones_like(angles), angles)).flip(-1).flatten(1).float()


# 8.2 rope


def turn_pairs(a, b, angles):
    return a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()


def check_layout(layout):
    if layout not in ("half", "interleaved"):
        raise ValueError(layout)


@mistake("rope", "the sign of the sine is wrong: hands turn backwards", see="8.2")
def rope(x, positions, frequencies, layout="half"):
    check_layout(layout)
    angles = -positions[..., None].float() * frequencies
    if layout == "half":
        return torch.cat(turn_pairs(*x.chunk(2, -1), angles), -1).to(x.dtype)
    return torch.stack(turn_pairs(x[..., 0::2], x[..., 1::2], angles), -1).flatten(-2).to(x.dtype)


@mistake("rope", "layout 'interleaved' cuts interleaved pairs but lays the results down as halves", see="8.2")
def rope(x, positions, frequencies, layout="half"):
    check_layout(layout)
    angles = positions[..., None].float() * frequencies
    pairs = x.chunk(2, -1) if layout == "half" else (x[..., 0::2], x[..., 1::2])
    return torch.cat(turn_pairs(*pairs, angles), -1).to(x.dtype)


@mistake("rope", "the layout is ignored: interleaved pairs are turned as halves", see="8.2")
def rope(x, positions, frequencies, layout="half"):
    check_layout(layout)
    angles = positions[..., None].float() * frequencies
    return torch.cat(turn_pairs(*x.chunk(2, -1), angles), -1).to(x.dtype)


@mistake(
    "rope",
    "each angle is repeated side by side, which belongs to interleaved pairs, while halves are turned",
    see="8.2",
)
def rope(x, positions, frequencies, layout="half"):
    check_layout(layout)
    angles = (positions[..., None].float() * frequencies).repeat_interleave(2, -1)
    if layout == "half":
        a, b = x.chunk(2, -1)
        other = torch.cat([-b, a], -1)
    else:
        other = torch.stack([-x[..., 1::2], x[..., 0::2]], -1).flatten(-2)
    return (x * angles.cos() + other * angles.sin()).to(x.dtype)


@mistake("rope", "the given positions are ignored and counted from 0 instead", see="8.2")
def rope(x, positions, frequencies, layout="half"):
    check_layout(layout)
    angles = torch.arange(x.shape[-2])[:, None] * frequencies
    if layout == "half":
        return torch.cat(turn_pairs(*x.chunk(2, -1), angles), -1).to(x.dtype)
    return torch.stack(turn_pairs(x[..., 0::2], x[..., 1::2], angles), -1).flatten(-2).to(x.dtype)


@mistake(
    "rope", "the angles are computed in the dtype of x; in bfloat16 most positions above 256 do not exist", see="8.2"
)
def rope(x, positions, frequencies, layout="half"):
    check_layout(layout)
    angles = positions[..., None].to(x.dtype) * frequencies.to(x.dtype)
    if layout == "half":
        return torch.cat(turn_pairs(*x.chunk(2, -1), angles), -1).to(x.dtype)
    return torch.stack(turn_pairs(x[..., 0::2], x[..., 1::2], angles), -1).flatten(-2).to(x.dtype)


@mistake("rope", "the second number of a pair is turned with the first one's new value", see="8.2")
def rope(x, positions, frequencies, layout="half"):
    check_layout(layout)
    angles = positions[..., None].float() * frequencies
    a, b = x.chunk(2, -1) if layout == "half" else (x[..., 0::2], x[..., 1::2])
    a = a * angles.cos() - b * angles.sin()
    b = a * angles.sin() + b * angles.cos()
    return (torch.cat([a, b], -1) if layout == "half" else torch.stack([a, b], -1).flatten(-2)).to(x.dtype)


@mistake("rope", "x is turned in place: the caller's queries change", see="8.2")
def rope(x, positions, frequencies, layout="half"):
    check_layout(layout)
    angles = positions[..., None].float() * frequencies
    if layout == "half":
        return x.copy_(torch.cat(turn_pairs(*x.chunk(2, -1), angles), -1))
    return x.copy_(torch.stack(turn_pairs(x[..., 0::2], x[..., 1::2], angles), -1).flatten(-2))


@mistake("rope", "the second number of each pair is detached, so half of the gradient is lost", see="8.2")
def rope(x, positions, frequencies, layout="half"):
    check_layout(layout)
    angles = positions[..., None].float() * frequencies
    a, b = x.chunk(2, -1) if layout == "half" else (x[..., 0::2], x[..., 1::2])
    turned = turn_pairs(a, b.detach(), angles)
    return (torch.cat(turned, -1) if layout == "half" else torch.stack(turned, -1).flatten(-2)).to(x.dtype)


@mistake("rope", "any unknown layout is treated as interleaved instead of refused", see="8.2")
def rope(x, positions, frequencies, layout="half"):
    angles = positions[..., None].float() * frequencies
    if layout == "half":
        return torch.cat(turn_pairs(*x.chunk(2, -1), angles), -1).to(x.dtype)
    return torch.stack(turn_pairs(x[..., 0::2], x[..., 1::2], angles), -1).flatten(-2).to(x.dtype)


@accepted("rope", "complex numbers, in float64")
def rope(x, positions, frequencies, layout="half"):
    check_layout(layout)
    angles = positions[..., None].double() * frequencies.double()
    pairs = x.double().unflatten(-1, (-1, 2)) if layout == "interleaved" else x.double().unflatten(-1, (2, -1)).mT
    turned = torch.view_as_real(
        torch.view_as_complex(pairs.contiguous()) * torch.polar(torch.ones_like(angles), angles)
    )
    return (turned if layout == "interleaved" else turned.mT).flatten(-2).to(x.dtype)


@accepted("rope", "x times cos plus the rotated half times sin, cos and sin in the dtype of x")
def rope(x, positions, frequencies, layout="half"):
    check_layout(layout)
    angles = positions.float().unsqueeze(-1) * frequencies
    if layout == "half":
        a, b = x.chunk(2, -1)
        angles, other = torch.cat([angles, angles], -1), torch.cat([-b, a], -1)
    else:
        angles, other = angles.repeat_interleave(2, -1), torch.stack([-x[..., 1::2], x[..., 0::2]], -1).flatten(-2)
    return x * angles.cos().to(x.dtype) + other * angles.sin().to(x.dtype)


# 8.3 to_half_layout


@mistake("to_half_layout", "this is the way back, from half to interleaved", see="8.3")
def to_half_layout(weight, heads):
    return weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)


@mistake("to_half_layout", "the rows are reordered across all heads instead of within each head", see="8.3")
def to_half_layout(weight, heads):
    return torch.cat([weight[0::2], weight[1::2]])


@mistake("to_half_layout", "the columns (the inputs) are reordered instead of the rows", see="8.3")
def to_half_layout(weight, heads):
    if weight.dim() == 1:
        return weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten()
    return torch.cat([weight[:, 0::2], weight[:, 1::2]], 1)


@mistake("to_half_layout", "the second numbers of the pairs stand before the first ones", see="8.3")
def to_half_layout(weight, heads):
    parts = weight.unflatten(0, (heads, -1))
    return torch.cat([parts[:, 1::2], parts[:, 0::2]], 1).flatten(0, 1)


@mistake("to_half_layout", "weight itself is overwritten", see="8.3")
def to_half_layout(weight, heads):
    parts = weight.unflatten(0, (heads, -1))
    return weight.copy_(torch.cat([parts[:, 0::2], parts[:, 1::2]], 1).flatten(0, 1))


@accepted("to_half_layout", "cut each head into pairs and transpose")
def to_half_layout(weight, heads):
    return weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)


@accepted("to_half_layout", "a list of row numbers")
def to_half_layout(weight, heads):
    d = weight.shape[0] // heads
    rows = [h * d + r for h in range(heads) for r in [*range(0, d, 2), *range(1, d, 2)]]
    return weight[torch.tensor(rows)]


# 8.4 alibi_bias


def slopes_of(heads):
    power = 2 ** int(math.log2(heads))
    return torch.tensor(
        [2 ** (-8 * h / power) for h in range(1, power + 1)] + [2 ** (-4 * h / power) for h in range(1, 2 * power, 2)]
    )[:heads]


@mistake("alibi_bias", "queries are placed at the start; they are the last positions", see="8.4")
def alibi_bias(heads, queries, keys):
    distance = torch.arange(queries)[:, None] - torch.arange(keys)
    return (-slopes_of(heads)[:, None, None] * distance).masked_fill(distance < 0, -torch.inf)


@mistake("alibi_bias", "a number of heads that is no power of two needs the table's second row", see="8.4")
def alibi_bias(heads, queries, keys):
    slopes = 2.0 ** (-8 * torch.arange(1, heads + 1) / heads)
    distance = torch.arange(keys - queries, keys)[:, None] - torch.arange(keys)
    return (-slopes[:, None, None] * distance).masked_fill(distance < 0, -torch.inf)


@mistake("alibi_bias", "the missing slopes are every second one of 2P heads, not the next ones in a row", see="8.4")
def alibi_bias(heads, queries, keys):
    power = 2 ** int(math.log2(heads))
    slopes = [2 ** (-8 * h / power) for h in range(1, power + 1)] + [2 ** (-4 * h / power) for h in range(1, 2 * power)]
    distance = torch.arange(keys - queries, keys)[:, None] - torch.arange(keys)
    return (-torch.tensor(slopes[:heads])[:, None, None] * distance).masked_fill(distance < 0, -torch.inf)


@mistake("alibi_bias", "the bias rewards distance: far keys must lose, not win", see="8.4")
def alibi_bias(heads, queries, keys):
    distance = torch.arange(keys - queries, keys)[:, None] - torch.arange(keys)
    return (slopes_of(heads)[:, None, None] * distance).masked_fill(distance < 0, -torch.inf)


@mistake("alibi_bias", "later keys are not forbidden", see="8.4")
def alibi_bias(heads, queries, keys):
    distance = torch.arange(keys - queries, keys)[:, None] - torch.arange(keys)
    return -slopes_of(heads)[:, None, None] * distance.abs()


@mistake("alibi_bias", "the slopes are counted from h = 0, so the first head has slope 1", see="8.4")
def alibi_bias(heads, queries, keys):
    slopes = 2.0 ** (-8 * torch.arange(heads) / heads)
    distance = torch.arange(keys - queries, keys)[:, None] - torch.arange(keys)
    return (-slopes[:, None, None] * distance).masked_fill(distance < 0, -torch.inf)


@accepted("alibi_bias", "slopes by recursion, the last rows of a square table")
def alibi_bias(heads, queries, keys):
    def slopes(count):
        if count & (count - 1) == 0:
            return [2 ** (-8 * h / count) for h in range(1, count + 1)]
        power = 1 << (count.bit_length() - 1)
        return slopes(power) + slopes(2 * power)[0::2][: count - power]

    at = torch.arange(keys)
    square = torch.where(at[:, None] >= at, (at - at[:, None]).float(), -torch.inf)
    return torch.tensor(slopes(heads))[:, None, None] * square[keys - queries :]


@accepted("alibi_bias", "a triangle of minus infinity is added")
def alibi_bias(heads, queries, keys):
    distance = (keys - queries + torch.arange(queries)).unsqueeze(1) - torch.arange(keys)
    later = torch.full((queries, keys), float("-inf")).triu(keys - queries + 1)
    return -torch.einsum("h,qk->hqk", slopes_of(heads), distance.float()) + later


# 8.4 relative_bias


@mistake("relative_bias", "the difference is query minus key: before and after are exchanged", see="8.4")
def relative_bias(table, queries, keys):
    reach = table.shape[1] // 2
    difference = torch.arange(keys - queries, keys)[:, None] - torch.arange(keys)
    return table[:, difference.clamp(-reach, reach) + reach]


@mistake("relative_bias", "queries are placed at the start; they are the last positions", see="8.4")
def relative_bias(table, queries, keys):
    reach = table.shape[1] // 2
    difference = torch.arange(keys) - torch.arange(queries)[:, None]
    return table[:, difference.clamp(-reach, reach) + reach]


@mistake("relative_bias", "distances beyond the table wrap around instead of sharing the last entry", see="8.4")
def relative_bias(table, queries, keys):
    reach = table.shape[1] // 2
    difference = torch.arange(keys) - torch.arange(keys - queries, keys)[:, None]
    return table[:, (difference + reach) % table.shape[1]]


@mistake("relative_bias", "distances beyond the table get 0 instead of the last entry", see="8.4")
def relative_bias(table, queries, keys):
    reach = table.shape[1] // 2
    difference = torch.arange(keys) - torch.arange(keys - queries, keys)[:, None]
    return table[:, difference.clamp(-reach, reach) + reach] * (difference.abs() <= reach)


@mistake("relative_bias", "the table is detached, so it never learns", see="8.4")
def relative_bias(table, queries, keys):
    reach = table.shape[1] // 2
    difference = torch.arange(keys) - torch.arange(keys - queries, keys)[:, None]
    return table.data[:, difference.clamp(-reach, reach) + reach] + 0 * table.sum()


@mistake("relative_bias", "a loop over queries and keys; one index reads the table everywhere at once", see="8.4")
def relative_bias(table, queries, keys):
    reach, rows = table.shape[1] // 2, []
    for i in range(queries):
        columns = [max(-reach, min(reach, j - (keys - queries + i))) + reach for j in range(keys)]
        rows.append(table[:, columns])
    return torch.stack(rows, 1)


@accepted("relative_bias", "gather on a flat index")
def relative_bias(table, queries, keys):
    reach = (table.shape[1] - 1) // 2
    query = torch.arange(queries).unsqueeze(1) + keys - queries
    index = (torch.arange(keys).unsqueeze(0) - query).clamp(min=-reach, max=reach) + reach
    return table.gather(1, index.flatten().expand(table.shape[0], -1)).unflatten(1, (queries, keys))


@accepted("relative_bias", "the last rows of the square table, by index_select")
def relative_bias(table, queries, keys):
    reach, at = table.shape[1] // 2, torch.arange(keys)
    index = torch.clamp(at - at[:, None], -reach, reach)[keys - queries :] + reach
    return torch.index_select(table, 1, index.reshape(-1)).reshape(table.shape[0], queries, keys)


# 8.5 stretched


def ramp(rounds, low, high):
    return ((rounds - low) / (high - low)).clamp(0, 1)


@mistake("stretched", "the frequencies are multiplied by the scale: longer texts need slower hands", see="8.5")
def stretched(d, base, scale, method, trained=4096, low=1.0, high=32.0):
    exponents = -torch.arange(0, d, 2) / d
    speeds = base**exponents
    if method == "linear":
        return speeds * scale
    if method == "ntk":
        return (base * scale ** (d / (d - 2))) ** exponents
    if method == "yarn":
        keep = ramp(trained * speeds / (2 * math.pi), low, high)
        return (1 - keep) * speeds * scale + keep * speeds
    raise ValueError(method)


@mistake("stretched", "NTK multiplies the base by s alone, so the slowest pair is not slowed down by s", see="8.5")
def stretched(d, base, scale, method, trained=4096, low=1.0, high=32.0):
    exponents = -torch.arange(0, d, 2) / d
    speeds = base**exponents
    if method == "linear":
        return speeds / scale
    if method == "ntk":
        return (base * scale) ** exponents
    if method == "yarn":
        keep = ramp(trained * speeds / (2 * math.pi), low, high)
        return (1 - keep) * speeds / scale + keep * speeds
    raise ValueError(method)


@mistake("stretched", "γ is upside down: fast pairs are slowed and slow ones left alone", see="8.5")
def stretched(d, base, scale, method, trained=4096, low=1.0, high=32.0):
    exponents = -torch.arange(0, d, 2) / d
    speeds = base**exponents
    if method == "linear":
        return speeds / scale
    if method == "ntk":
        return (base * scale ** (d / (d - 2))) ** exponents
    if method == "yarn":
        keep = ramp(trained * speeds / (2 * math.pi), low, high)
        return keep * speeds / scale + (1 - keep) * speeds
    raise ValueError(method)


@mistake(
    "stretched", "γ is not clamped to 0 ... 1, so pairs outside the ramp get frequencies outside it, too", see="8.5"
)
def stretched(d, base, scale, method, trained=4096, low=1.0, high=32.0):
    exponents = -torch.arange(0, d, 2) / d
    speeds = base**exponents
    if method == "linear":
        return speeds / scale
    if method == "ntk":
        return (base * scale ** (d / (d - 2))) ** exponents
    if method == "yarn":
        keep = (trained * speeds / (2 * math.pi) - low) / (high - low)
        return (1 - keep) * speeds / scale + keep * speeds
    raise ValueError(method)


@mistake("stretched", "the 2π is missing: a full turn is 2π radians, not 1", see="8.5")
def stretched(d, base, scale, method, trained=4096, low=1.0, high=32.0):
    exponents = -torch.arange(0, d, 2) / d
    speeds = base**exponents
    if method == "linear":
        return speeds / scale
    if method == "ntk":
        return (base * scale ** (d / (d - 2))) ** exponents
    if method == "yarn":
        keep = ramp(trained * speeds, low, high)
        return (1 - keep) * speeds / scale + keep * speeds
    raise ValueError(method)


@mistake("stretched", "a method that does not exist returns the old frequencies silently", see="8.5")
def stretched(d, base, scale, method, trained=4096, low=1.0, high=32.0):
    exponents = -torch.arange(0, d, 2) / d
    speeds = base**exponents
    if method == "linear":
        speeds = speeds / scale
    if method == "ntk":
        speeds = (base * scale ** (d / (d - 2))) ** exponents
    if method == "yarn":
        keep = ramp(trained * speeds / (2 * math.pi), low, high)
        speeds = (1 - keep) * speeds / scale + keep * speeds
    return speeds


@mistake("stretched", "the limits are fixed at 1 and 32 whatever the caller asks for", see="8.5")
def stretched(d, base, scale, method, trained=4096, low=1.0, high=32.0):
    exponents = -torch.arange(0, d, 2) / d
    speeds = base**exponents
    if method == "linear":
        return speeds / scale
    if method == "ntk":
        return (base * scale ** (d / (d - 2))) ** exponents
    if method == "yarn":
        keep = ramp(trained * speeds / (2 * math.pi), 1.0, 32.0)
        return (1 - keep) * speeds / scale + keep * speeds
    raise ValueError(method)


@accepted("stretched", "ntk as a power per pair, yarn by lerp, in float64")
def stretched(d, base, scale, method, trained=4096, low=1.0, high=32.0):
    i = torch.arange(d // 2, dtype=torch.float64)
    speeds = torch.pow(torch.tensor(float(base), dtype=torch.float64), -2 * i / d)
    if method == "linear":
        new = speeds / scale
    elif method == "ntk":
        new = speeds * scale ** (-i / (d / 2 - 1))
    elif method == "yarn":
        rounds = trained / (2 * math.pi / speeds)
        new = torch.lerp(speeds / scale, speeds, ((rounds - low) / (high - low)).clamp(0, 1))
    else:
        raise ValueError(method)
    return new.float()


@accepted("stretched", "pair by pair in plain Python")
def stretched(d, base, scale, method, trained=4096, low=1.0, high=32.0):
    if method not in ("linear", "ntk", "yarn"):
        raise ValueError(method)
    if method == "ntk":
        base = base * scale ** (d / (d - 2))
    new = []
    for i in range(d // 2):
        w = base ** (-2 * i / d)
        if method == "linear":
            w = w / scale
        elif method == "yarn":
            rounds = trained * w / (2 * math.pi)
            gamma = 0.0 if rounds < low else 1.0 if rounds > high else (rounds - low) / (high - low)
            w = (1 - gamma) * w / scale + gamma * w
        new.append(w)
    return torch.tensor(new, dtype=torch.float32)


# 8.6 rotary_step


def turn_complex(x, positions, frequencies):
    angles = positions[:, None] * frequencies
    unit = torch.polar(torch.ones_like(angles), angles)
    return torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous()) * unit).flatten(-2)


def read_last(q, keys, values):
    new, total = q.shape[2], keys.shape[2]
    return F.scaled_dot_product_attention(
        q, keys, values, attn_mask=torch.ones(new, total, dtype=torch.bool).tril(total - new)
    )


@mistake("rotary_step", "the new positions are counted from 0 although the cache holds earlier ones", see="8.6")
def rotary_step(q, k, v, past_k, past_v, base=10_000.0):
    speeds, where = base ** (-torch.arange(0, q.shape[3], 2) / q.shape[3]), torch.arange(q.shape[2])
    keys = torch.cat([past_k, turn_complex(k, where, speeds)], 2)
    values = torch.cat([past_v, v], 2)
    return read_last(turn_complex(q, where, speeds), keys, values), keys, values


@mistake("rotary_step", "the frequencies use i/d instead of 2i/d", see="8.6")
def rotary_step(q, k, v, past_k, past_v, base=10_000.0):
    old, d = past_k.shape[2:]
    speeds, where = base ** (-torch.arange(d // 2) / d), torch.arange(old, old + q.shape[2])
    keys = torch.cat([past_k, turn_complex(k, where, speeds)], 2)
    values = torch.cat([past_v, v], 2)
    return read_last(turn_complex(q, where, speeds), keys, values), keys, values


@mistake("rotary_step", "the values are turned, too; they say what is there, not where", see="8.6")
def rotary_step(q, k, v, past_k, past_v, base=10_000.0):
    old, d = past_k.shape[2:]
    speeds, where = base ** (-torch.arange(0, d, 2) / d), torch.arange(old, old + q.shape[2])
    keys = torch.cat([past_k, turn_complex(k, where, speeds)], 2)
    values = torch.cat([past_v, turn_complex(v, where, speeds)], 2)
    return read_last(turn_complex(q, where, speeds), keys, values), keys, values


@mistake("rotary_step", "the keys of the cache are turned a second time", see="8.6")
def rotary_step(q, k, v, past_k, past_v, base=10_000.0):
    old, d = past_k.shape[2:]
    speeds, where = base ** (-torch.arange(0, d, 2) / d), torch.arange(old + q.shape[2])
    keys = turn_complex(torch.cat([past_k, k], 2), where, speeds)
    values = torch.cat([past_v, v], 2)
    return read_last(turn_complex(q, where[old:], speeds), keys, values), keys, values


@mistake("rotary_step", "the keys that are returned are not turned; the cache must hold turned ones", see="8.6")
def rotary_step(q, k, v, past_k, past_v, base=10_000.0):
    old, d = past_k.shape[2:]
    speeds, where = base ** (-torch.arange(0, d, 2) / d), torch.arange(old, old + q.shape[2])
    keys = torch.cat([past_k, turn_complex(k, where, speeds)], 2)
    values = torch.cat([past_v, v], 2)
    return read_last(turn_complex(q, where, speeds), keys, values), torch.cat([past_k, k], 2), values


@mistake("rotary_step", "only the keys are turned; a score needs both sides turned", see="8.6")
def rotary_step(q, k, v, past_k, past_v, base=10_000.0):
    old, d = past_k.shape[2:]
    speeds, where = base ** (-torch.arange(0, d, 2) / d), torch.arange(old, old + q.shape[2])
    keys = torch.cat([past_k, turn_complex(k, where, speeds)], 2)
    values = torch.cat([past_v, v], 2)
    return read_last(q, keys, values), keys, values


@mistake("rotary_step", "q and k are turned in place: the caller's tensors change", see="8.6")
def rotary_step(q, k, v, past_k, past_v, base=10_000.0):
    old, d = past_k.shape[2:]
    speeds, where = base ** (-torch.arange(0, d, 2) / d), torch.arange(old, old + q.shape[2])
    q.copy_(turn_complex(q, where, speeds))
    k.copy_(turn_complex(k, where, speeds))
    keys, values = torch.cat([past_k, k], 2), torch.cat([past_v, v], 2)
    return read_last(q, keys, values), keys, values


@accepted("rotary_step", "real numbers, interleaved by stack and flatten, softmax by hand")
def rotary_step(q, k, v, past_k, past_v, base=10_000.0):
    new, d, old = q.shape[2], q.shape[3], past_k.shape[2]
    angles = (old + torch.arange(new)).unsqueeze(1) / base ** (torch.arange(0, d, 2) / d)

    def turned(x):
        return torch.stack(turn_pairs(x[..., 0::2], x[..., 1::2], angles), -1).flatten(-2)

    keys, values = torch.cat([past_k, turned(k)], 2), torch.cat([past_v, v], 2)
    scores = turned(q) @ keys.mT / math.sqrt(d)
    later = torch.ones(new, old + new, dtype=torch.bool).triu(old + 1)
    return scores.masked_fill(later, -torch.inf).softmax(-1) @ values, keys, values


@accepted("rotary_step", "q and k turned together")
def rotary_step(q, k, v, past_k, past_v, base=10_000.0):
    old, d = past_k.shape[-2:]
    where = torch.arange(old, old + q.shape[-2]).float()
    q, k = turn_complex(torch.stack([q, k]), where, 1 / base ** (torch.arange(d // 2) / (d // 2)))
    keys, values = torch.cat([past_k, k], -2), torch.cat([past_v, v], -2)
    return read_last(q, keys, values), keys, values


# 8.7 PositionLM


class Parts(nn.Module):
    def __init__(self, symbols, width, heads, place=None, turn=None, bias=None):
        super().__init__()
        self.heads, self.place, self.turn, self.bias = heads, place, turn, bias
        self.token, self.norm = nn.Embedding(symbols, width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.head = nn.Linear(width, symbols)

    def split(self, t):
        return t.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def heads_of(self, stream):
        return [self.split(t) for t in self.qkv(self.norm(stream)).chunk(3, -1)]

    def mask(self, n):
        later = torch.full((n, n), -torch.inf).triu(1)
        return later if self.bias is None else later + self.bias(n, n)

    def finish(self, stream, read):
        return self.head(stream + self.out(read.transpose(1, 2).flatten(2)))


@mistake("PositionLM", "`turn` is applied to the values, too; they say what is there, not where", see="8.7")
class PositionLM(Parts):
    def forward(self, ids, start=0):
        positions, stream = torch.arange(start, start + ids.shape[1]), self.token(ids)
        stream = stream if self.place is None else stream + self.place(positions)
        q, k, v = self.heads_of(stream)
        if self.turn is not None:
            q, k, v = (self.turn(t, positions) for t in (q, k, v))
        return self.finish(stream, F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask(ids.shape[1])))


@mistake("PositionLM", "`turn` is applied to q alone; keys need their positions, too", see="8.7")
class PositionLM(Parts):
    def forward(self, ids, start=0):
        positions, stream = torch.arange(start, start + ids.shape[1]), self.token(ids)
        stream = stream if self.place is None else stream + self.place(positions)
        q, k, v = self.heads_of(stream)
        q = q if self.turn is None else self.turn(q, positions)
        return self.finish(stream, F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask(ids.shape[1])))


@mistake("PositionLM", "start is ignored: positions always begin at 0", see="8.7")
class PositionLM(Parts):
    def forward(self, ids, start=0):
        positions, stream = torch.arange(ids.shape[1]), self.token(ids)
        stream = stream if self.place is None else stream + self.place(positions)
        q, k, v = self.heads_of(stream)
        if self.turn is not None:
            q, k = self.turn(q, positions), self.turn(k, positions)
        return self.finish(stream, F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask(ids.shape[1])))


@mistake("PositionLM", "with a bias the model is no longer causal", see="8.7")
class PositionLM(Parts):
    def mask(self, n):
        return torch.full((n, n), -torch.inf).triu(1) if self.bias is None else self.bias(n, n)

    def forward(self, ids, start=0):
        positions, stream = torch.arange(start, start + ids.shape[1]), self.token(ids)
        stream = stream if self.place is None else stream + self.place(positions)
        q, k, v = self.heads_of(stream)
        if self.turn is not None:
            q, k = self.turn(q, positions), self.turn(k, positions)
        return self.finish(stream, F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask(ids.shape[1])))


@mistake("PositionLM", "the bias is added before the division by √d, so it is divided, too", see="8.7")
class PositionLM(Parts):
    def forward(self, ids, start=0):
        positions, stream = torch.arange(start, start + ids.shape[1]), self.token(ids)
        stream = stream if self.place is None else stream + self.place(positions)
        q, k, v = self.heads_of(stream)
        if self.turn is not None:
            q, k = self.turn(q, positions), self.turn(k, positions)
        weights = ((q @ k.mT + self.mask(ids.shape[1])) / math.sqrt(q.shape[-1])).softmax(-1)
        return self.finish(stream, weights @ v)


@mistake("PositionLM", "places are added only to what attention reads, after the norm, not to the stream", see="8.7")
class PositionLM(Parts):
    def forward(self, ids, start=0):
        positions, stream = torch.arange(start, start + ids.shape[1]), self.token(ids)
        normed = self.norm(stream) if self.place is None else self.norm(stream) + self.place(positions)
        q, k, v = (self.split(t) for t in self.qkv(normed).chunk(3, -1))
        if self.turn is not None:
            q, k = self.turn(q, positions), self.turn(k, positions)
        return self.finish(stream, F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask(ids.shape[1])))


@mistake("PositionLM", "the sockets lie in a dict, where nn.Module does not find a learned table", see="8.7")
class PositionLM(Parts):
    def __init__(self, symbols, width, heads, place=None, turn=None, bias=None):
        super().__init__(symbols, width, heads, None, turn, bias)
        self.sockets = {"place": place}

    def forward(self, ids, start=0):
        positions, stream = torch.arange(start, start + ids.shape[1]), self.token(ids)
        stream = stream if self.sockets["place"] is None else stream + self.sockets["place"](positions)
        q, k, v = self.heads_of(stream)
        if self.turn is not None:
            q, k = self.turn(q, positions), self.turn(k, positions)
        return self.finish(stream, F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask(ids.shape[1])))


@mistake("PositionLM", "places are looked up without gradients, so a learned table stays as it was", see="8.7")
class PositionLM(Parts):
    def forward(self, ids, start=0):
        positions, stream = torch.arange(start, start + ids.shape[1]), self.token(ids)
        stream = stream if self.place is None else stream + self.place(positions).detach()
        q, k, v = self.heads_of(stream)
        if self.turn is not None:
            q, k = self.turn(q, positions), self.turn(k, positions)
        return self.finish(stream, F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask(ids.shape[1])))


@mistake("PositionLM", "the heads are merged by a reshape without a transpose", see="7.4")
class PositionLM(Parts):
    def forward(self, ids, start=0):
        positions, stream = torch.arange(start, start + ids.shape[1]), self.token(ids)
        stream = stream if self.place is None else stream + self.place(positions)
        q, k, v = self.heads_of(stream)
        if self.turn is not None:
            q, k = self.turn(q, positions), self.turn(k, positions)
        read = F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask(ids.shape[1]))
        return self.head(stream + self.out(read.reshape(stream.shape)))


@mistake("PositionLM", "the residual is missing: `head` reads only what attention read", see="8.7")
class PositionLM(Parts):
    def forward(self, ids, start=0):
        positions, stream = torch.arange(start, start + ids.shape[1]), self.token(ids)
        stream = stream if self.place is None else stream + self.place(positions)
        q, k, v = self.heads_of(stream)
        if self.turn is not None:
            q, k = self.turn(q, positions), self.turn(k, positions)
        read = F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask(ids.shape[1]))
        return self.head(self.out(read.transpose(1, 2).flatten(2)))


@accepted("PositionLM", "attention by hand, sockets that do nothing as defaults")
class PositionLM(Parts):
    def forward(self, ids, start=0):
        n = ids.shape[1]
        positions = start + torch.arange(n)
        place = self.place or (lambda at: 0.0)
        turn = self.turn or (lambda x, at: x)
        stream = self.token(ids) + place(positions)
        q, k, v = self.heads_of(stream)
        scores = turn(q, positions) @ turn(k, positions).mT * q.shape[-1] ** -0.5
        scores = scores + (0.0 if self.bias is None else self.bias(n, n))
        later = torch.ones(n, n, dtype=torch.bool).triu(1)
        return self.finish(stream, scores.masked_fill(later, -torch.inf).softmax(-1) @ v)


@accepted("PositionLM", "view and permute, is_causal where there is no bias")
class PositionLM(nn.Module):
    def __init__(self, symbols, width, heads, place=None, turn=None, bias=None):
        super().__init__()
        self.shape = (heads, width // heads)
        self.place, self.turn, self.bias = place, turn, bias
        self.token = nn.Embedding(symbols, width)
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, width * 3)
        self.out = nn.Linear(width, width)
        self.head = nn.Linear(width, symbols)

    def forward(self, ids, start=0):
        batch, n = ids.shape
        positions = torch.arange(n) + start
        x = self.token(ids)
        if self.place is not None:
            x = x + self.place(positions)[None]
        q, k, v = self.qkv(self.norm(x)).view(batch, n, 3, *self.shape).permute(2, 0, 3, 1, 4)
        if self.turn is not None:
            q, k = (self.turn(t, positions) for t in (q, k))
        if self.bias is None:
            read = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            allowed = torch.ones(n, n, dtype=torch.bool).tril()
            read = F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias(n, n).masked_fill(~allowed, -torch.inf))
        return self.head(x + self.out(read.permute(0, 2, 1, 3).reshape(batch, n, -1)))
