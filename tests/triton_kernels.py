"""Cells of students who write Triton kernels: right, wasteful and wrong."""

from check_cells import cell

IMPORTS = cell("""
    import torch
    import triton
    import triton.language as tl
""")

ADD = cell("""
    @triton.jit
    def add_kernel(x_ptr, y_ptr, out_ptr, n, BLOCK: tl.constexpr):
        at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        mask = at < n
        x = tl.load(x_ptr + at, mask=mask)
        y = tl.load(y_ptr + at, mask=mask)
        tl.store(out_ptr + at, x + y, mask=mask)


    def add(x, y):
        out = torch.empty_like(x)
        add_kernel[(triton.cdiv(x.numel(), 128),)](x, y, out, x.numel(), BLOCK=128)
        return out
""")

# Attention forward without a mask, one program per block of queries, softmax online. q, k, v: (head, query, d).
FLASH = cell("""
    LOG2E = tl.constexpr(1.4426950408889634)
    BLOCK = 16


    @triton.jit
    def tile(base, at, n, D: tl.constexpr):
        d = tl.arange(0, D)
        return tl.load(base + at[:, None] * D + d[None, :], mask=at[:, None] < n, other=0.0)


    @triton.jit
    def product(a, b):
        return tl.dot(a, b)


    @triton.jit
    def flash_kernel(q_ptr, k_ptr, v_ptr, out_ptr, n, scale, D: tl.constexpr, BLOCK: tl.constexpr):
        base = tl.program_id(1) * n * D
        rows = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        q = tile(q_ptr + base, rows, n, D)
        top = tl.full((BLOCK,), float("-inf"), tl.float32)
        total = tl.zeros((BLOCK,), tl.float32)
        out = tl.zeros((BLOCK, D), tl.float32)
        for start in range(0, n, BLOCK):
            columns = start + tl.arange(0, BLOCK)
            k = tile(k_ptr + base, columns, n, D)
            v = tile(v_ptr + base, columns, n, D)
            scores = product(q, tl.trans(k)) * scale * LOG2E
            scores = tl.where(columns[None, :] < n, scores, float("-inf"))
            new = tl.maximum(top, tl.max(scores, 1))
            weights = tl.exp2(scores - new[:, None])
            old = tl.exp2(top - new)
            total = total * old + tl.sum(weights, 1)
            out = out * old[:, None] + product(weights.to(v.dtype), v)
            top = new
        d = tl.arange(0, D)
        mask = rows[:, None] < n
        out = (out / total[:, None]).to(out_ptr.dtype.element_ty)
        tl.store(out_ptr + base + rows[:, None] * D + d[None, :], out, mask=mask)


    def flash_forward(q, k, v):
        heads, n, d = q.shape
        out = torch.empty_like(q)
        grid = lambda meta: (triton.cdiv(n, meta["BLOCK"]), heads)
        flash_kernel[grid](q, k, v, out, n, d**-0.5, D=d, BLOCK=BLOCK, num_warps=4)
        return out
""")
