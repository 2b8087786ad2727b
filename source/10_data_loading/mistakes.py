"""Wrong and right ways to do the exercises of lesson 10.

Most variants differ from a right answer in one method: the right ones stand first, with names of their own.
"""

import json
import math
from collections import deque
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import Dataset, IterableDataset, get_worker_info
from torchgrade.lessons import accepted, mistake


class RightWindows(Dataset):
    def __init__(self, ids, context, stride):
        self.ids, self.context, self.stride = ids, context, stride

    def __len__(self):
        return max(0, (len(self.ids) - self.context - 1) // self.stride + 1)

    def __getitem__(self, i):
        if not 0 <= i < len(self):
            raise IndexError(i)
        return self.cut(i * self.stride)

    def cut(self, begin):
        chunk = self.ids[begin : begin + self.context + 1].long()
        return chunk[:-1].clone(), chunk[1:].clone()


class RightBuckets:
    def __init__(self, lengths, batch_size, seed=0):
        self.lengths, self.batch_size, self.seed, self.epoch = list(lengths), batch_size, seed, 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return -(-len(self.lengths) // self.batch_size)

    def generator(self):
        return torch.Generator().manual_seed(7919 * self.seed + self.epoch)

    def ranked(self, generator):
        shuffled = torch.randperm(len(self.lengths), generator=generator).tolist()
        return sorted(shuffled, key=self.lengths.__getitem__)

    def __iter__(self):
        generator = self.generator()
        ranked = self.ranked(generator)
        batches = [ranked[at : at + self.batch_size] for at in range(0, len(ranked), self.batch_size)]
        return iter([batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()])


class RightStream(IterableDataset):
    def __init__(self, source, rank=0, world_size=1):
        self.source, self.rank, self.world_size = source, rank, world_size

    def workers(self):
        info = get_worker_info()
        return (info.id, info.num_workers) if info else (0, 1)


class RightDigits(Dataset):
    def __init__(self, images, labels, reach, seed=0):
        self.images, self.labels, self.reach, self.seed, self.epoch = images, labels, reach, seed, 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return len(self.images)

    def rng(self, i):
        return np.random.default_rng((self.seed, self.epoch, i))

    def draw(self, rng):
        return [int(rng.integers(-self.reach, self.reach + 1)) for _ in range(2)]

    def move(self, image, dy, dx):
        height, width = image.shape
        moved = torch.zeros_like(image)
        rows, columns = slice(max(dy, 0), height + min(dy, 0)), slice(max(dx, 0), width + min(dx, 0))
        moved[rows, columns] = image[
            max(-dy, 0) : height - max(dy, 0),
            max(-dx, 0) : width - max(dx, 0),
        ]
        return moved

    def __getitem__(self, i):
        if i >= len(self):
            raise IndexError(i)
        return self.move(self.images[i], *self.draw(self.rng(i))), int(self.labels[i])


class RightShards(IterableDataset):
    def __init__(self, paths, size, end, done=None):
        self.paths, self.size, self.end, self.done = paths, size, end, done or {}

    def workers(self):
        info = get_worker_info()
        return (info.id, info.num_workers) if info else (0, 1)

    def mine(self, worker, workers):
        return self.paths[worker::workers]

    def documents(self, paths):
        for path in paths:
            with open(path) as lines:
                yield from (json.loads(line)["ids"] for line in lines)

    def blocks(self, worker, workers):
        row = []
        for document in self.documents(self.mine(worker, workers)):
            row += [*document, self.end]
            while len(row) >= self.size:
                yield torch.tensor(row[: self.size])
                del row[: self.size]

    def __iter__(self):
        worker, workers = self.workers()
        for number, ids in enumerate(self.blocks(worker, workers)):
            if number >= self.done.get(worker, 0):
                yield {"ids": ids, "worker": worker, "number": number}


# 10.1


@mistake("WindowDataset", "the last window has no last target: a window needs context + 1 ids", see="10.1")
class WindowDataset(RightWindows):
    def __len__(self):
        return max(0, (len(self.ids) - self.context) // self.stride + 1)


@mistake("WindowDataset", "the last complete window is missing: count the starts from 0 on", see="10.1")
class WindowDataset(RightWindows):
    def __len__(self):
        return max(0, math.ceil((len(self.ids) - self.context - 1) / self.stride))


@mistake("WindowDataset", "the length is negative where no window fits; it must be 0", see="10.1")
class WindowDataset(RightWindows):
    def __len__(self):
        return (len(self.ids) - self.context - 1) // self.stride + 1


@mistake("WindowDataset", "the number of the window is taken for its position: the stride is forgotten", see="10.1")
class WindowDataset(RightWindows):
    def cut(self, begin):
        return super().cut(begin // self.stride)


@mistake("WindowDataset", "the targets are the inputs; they must be one position later", see="10.1")
class WindowDataset(RightWindows):
    def cut(self, begin):
        inputs, _ = super().cut(begin)
        return inputs, inputs.clone()


@mistake("WindowDataset", "items are views of int64 ids: writing into an item changes the data", see="10.1")
class WindowDataset(RightWindows):
    def cut(self, begin):
        chunk = self.ids[begin : begin + self.context + 1].long()
        return chunk[:-1], chunk[1:]


@mistake("WindowDataset", "inputs and targets of an item share memory", see="10.1")
class WindowDataset(RightWindows):
    def cut(self, begin):
        chunk = self.ids[begin : begin + self.context + 1].to(torch.int64, copy=True)
        return chunk[:-1], chunk[1:]


@mistake("WindowDataset", "negative numbers give windows from the end instead of an IndexError", see="10.1")
class WindowDataset(RightWindows):
    def __getitem__(self, i):
        if i >= len(self):
            raise IndexError(i)
        return self.cut(i % max(len(self), 1) * self.stride)


@accepted("WindowDataset", "ids kept as int64, a range of starts")
class WindowDataset(RightWindows):
    def __init__(self, ids, context, stride):
        self.ids, self.context = ids.long(), context
        self.starts = range(0, len(ids) - context, stride)

    def __len__(self):
        return len(self.starts)

    def __getitem__(self, i):
        if i < 0:
            raise IndexError(i)
        places = self.starts[i] + torch.arange(self.context)
        return self.ids[places], self.ids[places + 1]


@accepted("WindowDataset", "a view of all windows, made by unfold")
class WindowDataset(RightWindows):
    def __init__(self, ids, context, stride):
        self.windows = ids.unfold(0, context + 1, stride) if len(ids) > context else ids.new_empty(0, context + 1)

    def __len__(self):
        return len(self.windows)

    def __getitem__(self, i):
        if i not in range(len(self)):
            raise IndexError(i)
        return torch.tensor(self.windows[i, :-1].tolist()), torch.tensor(self.windows[i, 1:].tolist())


# 10.3


@mistake("BucketBatchSampler", "the last, smaller batch is lost: examples are missing in every epoch", see="10.3")
class BucketBatchSampler(RightBuckets):
    def __len__(self):
        return len(self.lengths) // self.batch_size

    def __iter__(self):
        return (batch for batch in super().__iter__() if len(batch) == self.batch_size)


@mistake("BucketBatchSampler", "the number of batches is rounded down, although the last one is delivered", see="10.3")
class BucketBatchSampler(RightBuckets):
    def __len__(self):
        return len(self.lengths) // self.batch_size


@mistake("BucketBatchSampler", "the sorted examples are shuffled one by one, so all lengths meet again", see="10.3")
class BucketBatchSampler(RightBuckets):
    def ranked(self, generator):
        ranked = super().ranked(generator)
        return [ranked[i] for i in torch.randperm(len(ranked), generator=generator).tolist()]


@mistake("BucketBatchSampler", "the batches come from short to long in every epoch", see="10.3")
class BucketBatchSampler(RightBuckets):
    def __iter__(self):
        ranked = self.ranked(self.generator())
        return iter([ranked[at : at + self.batch_size] for at in range(0, len(ranked), self.batch_size)])


@mistake("BucketBatchSampler", "the generator lives on between two passes, so an epoch cannot be repeated", see="10.3")
class BucketBatchSampler(RightBuckets):
    def __init__(self, lengths, batch_size, seed=0):
        super().__init__(lengths, batch_size, seed)
        self.kept = super().generator()

    def generator(self):
        return self.kept


@mistake("BucketBatchSampler", "the epoch is not part of the seed: every epoch has the same order", see="10.3")
class BucketBatchSampler(RightBuckets):
    def generator(self):
        return torch.Generator().manual_seed(self.seed)


@mistake("BucketBatchSampler", "set_epoch throws the seed away: all seeds share their later epochs", see="10.3")
class BucketBatchSampler(RightBuckets):
    def set_epoch(self, epoch):
        self.seed, self.epoch = 0, epoch


@mistake("BucketBatchSampler", "the global random state is seeded: everything random after it repeats", see="10.3")
class BucketBatchSampler(RightBuckets):
    def generator(self):
        torch.manual_seed(7919 * self.seed + self.epoch)
        return torch.default_generator


@mistake("BucketBatchSampler", "the order is drawn from the global random state", see="10.3")
class BucketBatchSampler(RightBuckets):
    def generator(self):
        return torch.default_generator


@mistake("BucketBatchSampler", "equal lengths keep their order, so the same ones meet in every epoch", see="10.3")
class BucketBatchSampler(RightBuckets):
    def ranked(self, generator):
        return sorted(range(len(self.lengths)), key=self.lengths.__getitem__)


@accepted("BucketBatchSampler", "ties broken by random numbers, numpy's generator")
class BucketBatchSampler(RightBuckets):
    def __iter__(self):
        rng = np.random.default_rng((self.seed, self.epoch))
        ranked = np.lexsort((rng.random(len(self.lengths)), self.lengths))
        batches = [ranked[at : at + self.batch_size].tolist() for at in range(0, len(ranked), self.batch_size)]
        rng.shuffle(batches)
        yield from batches


@accepted("BucketBatchSampler", "a stable argsort of shuffled lengths, split by torch")
class BucketBatchSampler(RightBuckets):
    def __iter__(self):
        generator = self.generator()
        shuffled = torch.randperm(len(self.lengths), generator=generator)
        ranked = shuffled[torch.tensor(self.lengths)[shuffled].argsort(stable=True)]
        batches = ranked.split(self.batch_size)
        for i in torch.randperm(len(batches), generator=generator):
            yield batches[i].tolist()


# 10.4


@mistake(
    "ShardedStream",
    "every worker reads everything: ask get_worker_info inside __iter__, where there are workers",
    see="10.4",
)
class ShardedStream(RightStream):
    def __iter__(self):
        return islice(self.source(), self.rank, None, self.world_size)


@mistake(
    "ShardedStream",
    "every worker reads everything: ask get_worker_info inside __iter__, where there are workers",
    see="10.4",
)
class ShardedStream(RightStream):
    def __init__(self, source, rank=0, world_size=1):
        super().__init__(source, rank, world_size)
        self.worker, self.total = self.workers()

    def __iter__(self):
        reader = self.rank * self.total + self.worker
        return islice(self.source(), reader, None, self.world_size * self.total)


@mistake("ShardedStream", "the ranks are forgotten: each rank reads all items", see="10.4")
class ShardedStream(RightStream):
    def __iter__(self):
        worker, workers = self.workers()
        return islice(self.source(), worker, None, workers)


@mistake("ShardedStream", "two readers get the same number: rank + worker is not unique", see="10.4")
class ShardedStream(RightStream):
    def __iter__(self):
        worker, workers = self.workers()
        return islice(self.source(), self.rank + worker, None, self.world_size * workers)


@mistake("ShardedStream", "ranks and workers are added, not multiplied, so there are too few readers", see="10.4")
class ShardedStream(RightStream):
    def __iter__(self):
        worker, workers = self.workers()
        return islice(self.source(), self.rank * workers + worker, None, self.world_size + workers - 1)


@mistake("ShardedStream", "each reader takes a piece in a row, for which the whole stream is read first", see="10.4")
class ShardedStream(RightStream):
    def __iter__(self):
        worker, workers = self.workers()
        items, readers = list(self.source()), self.world_size * workers
        share = math.ceil(len(items) / readers)
        reader = self.rank * workers + worker
        return iter(items[reader * share : (reader + 1) * share])


@mistake("ShardedStream", "the whole stream is made a list before the first item leaves", see="10.4")
class ShardedStream(RightStream):
    def __iter__(self):
        worker, workers = self.workers()
        return iter(list(self.source())[self.rank * workers + worker :: self.world_size * workers])


@mistake("ShardedStream", "the iterator is made once: a second epoch is empty", see="10.4")
class ShardedStream(RightStream):
    def __init__(self, source, rank=0, world_size=1):
        super().__init__(source, rank, world_size)
        self.items = source()

    def __iter__(self):
        worker, workers = self.workers()
        return islice(self.items, self.rank * workers + worker, None, self.world_size * workers)


@accepted("ShardedStream", "enumerate and a remainder")
class ShardedStream(RightStream):
    def __iter__(self):
        worker, workers = self.workers()
        for number, item in enumerate(self.source()):
            if number % (self.world_size * workers) == self.rank * workers + worker:
                yield item


@accepted("ShardedStream", "readers numbered the other way round: ranks first")
class ShardedStream(RightStream):
    def __iter__(self):
        worker, workers = self.workers()
        return islice(self.source(), worker * self.world_size + self.rank, None, self.world_size * workers)


# 10.5


@mistake("ShiftedDigits", "pixels that leave on one side come back on the other (roll)", see="10.5")
class ShiftedDigits(RightDigits):
    def move(self, image, dy, dx):
        return image.roll((dy, dx), (0, 1))


@mistake("ShiftedDigits", "the upper end is left out: integers(low, high) stops before high", see="10.5")
class ShiftedDigits(RightDigits):
    def draw(self, rng):
        return rng.integers(-self.reach, max(self.reach, 1 - self.reach), size=2).tolist()


@mistake("ShiftedDigits", "one draw serves both directions: digits move along the diagonal only", see="10.5")
class ShiftedDigits(RightDigits):
    def draw(self, rng):
        return [int(rng.integers(-self.reach, self.reach + 1))] * 2


@mistake("ShiftedDigits", "draws near the middle are likelier than others", see="10.5")
class ShiftedDigits(RightDigits):
    def draw(self, rng):
        return (rng.normal(size=2) * self.reach / 2).round().clip(-self.reach, self.reach).astype(int).tolist()


@mistake(
    "ShiftedDigits", "with reach 0 the item is the stored image itself: writing into it changes the data", see="10.5"
)
class ShiftedDigits(RightDigits):
    def move(self, image, dy, dx):
        return super().move(image, dy, dx) if dy or dx else image


@mistake("ShiftedDigits", "the moves are drawn once, in __init__: every epoch sees the same variants", see="10.5")
class ShiftedDigits(RightDigits):
    def rng(self, i):
        return np.random.default_rng((self.seed, 0, i))


@mistake("ShiftedDigits", "seed + epoch + i: epoch 1 repeats epoch 0, moved by one item", see="10.5")
class ShiftedDigits(RightDigits):
    def rng(self, i):
        return np.random.default_rng(self.seed + self.epoch + i)


@mistake("ShiftedDigits", "the seed is not used: all seeds move alike", see="10.5")
class ShiftedDigits(RightDigits):
    def rng(self, i):
        return np.random.default_rng((self.epoch, i))


@mistake(
    "ShiftedDigits", "the generator is kept in the dataset: what an item gets depends on who read before", see="10.5"
)
class ShiftedDigits(RightDigits):
    def __init__(self, images, labels, reach, seed=0):
        super().__init__(images, labels, reach, seed)
        self.kept = np.random.default_rng(seed)

    def rng(self, i):
        return self.kept


@accepted("ShiftedDigits", "a torch generator, seeded by a hash of the three numbers")
class ShiftedDigits(RightDigits):
    def draw(self, i):
        mixed = int(np.random.SeedSequence((self.seed, self.epoch, i)).generate_state(1)[0])
        return torch.randint(-self.reach, self.reach + 1, (2,), generator=torch.Generator().manual_seed(mixed)).tolist()

    def rng(self, i):
        return i


@accepted("ShiftedDigits", "padded, then rolled, then cut")
class ShiftedDigits(RightDigits):
    def move(self, image, dy, dx):
        r = self.reach
        return F.pad(image, (r, r, r, r)).roll((dy, dx), (0, 1))[r : r + image.shape[0], r : r + image.shape[1]].clone()


# 10.6


@mistake("epoch_seconds", "loading and stepping alternate, although workers let them overlap", see="10.6")
def epoch_seconds(loads, step, workers):
    return sum(loads) / max(workers, 1) + step * len(loads)


@mistake("epoch_seconds", "the steady-state formula forgets that the first step waits for its batch", see="10.6")
def epoch_seconds(loads, step, workers):
    if workers == 0:
        return float(sum(loads) + step * len(loads))
    return max(sum(loads) / workers, step * len(loads)) + 0.0


@mistake("epoch_seconds", "the loop takes whichever batch is ready; batches come in order", see="10.6")
def epoch_seconds(loads, step, workers):
    if workers == 0:
        return float(sum(loads) + step * len(loads))
    clock, ready, ended = [0.0] * workers, [], 0.0
    for i, load in enumerate(loads):
        clock[i % workers] += load
        ready.append(clock[i % workers])
    for moment in sorted(ready):
        ended = max(ended, moment) + step
    return ended


@mistake("epoch_seconds", "all workers share one queue; batch i belongs to worker i mod workers", see="10.6")
def epoch_seconds(loads, step, workers):
    if workers == 0:
        return float(sum(loads) + step * len(loads))
    clock, ended = [0.0] * workers, 0.0
    for load in loads:
        first = clock.index(min(clock))
        clock[first] += load
        ended = max(ended, clock[first]) + step
    return ended


@mistake("epoch_seconds", "a worker waits with its next batch until the loop has taken the last one", see="10.6")
def epoch_seconds(loads, step, workers):
    if workers == 0:
        return float(sum(loads) + step * len(loads))
    free, ended = [0.0] * workers, 0.0
    for i, load in enumerate(loads):
        begun = max(free[i % workers] + load, ended)
        free[i % workers] = begun
        ended = begun + step
    return ended


@accepted("epoch_seconds", "all moments kept in a list")
def epoch_seconds(loads, step, workers):
    ready, ended = [], [0.0]
    for i, load in enumerate(loads):
        before = ended[-1] if workers == 0 else ready[i - workers] if i >= workers else 0.0
        ready.append(before + load)
        ended.append(max(ready[i], ended[-1]) + step)
    return ended[-1]


@accepted("epoch_seconds", "sums of each worker's loads")
def epoch_seconds(loads, step, workers):
    ended = 0.0
    for i in range(len(loads)):
        ready = sum(loads[i % workers : i + 1 : workers]) if workers else ended + loads[i]
        ended = max(ended, ready) + step
    return ended


# 10.7


@mistake("pack", "no end is written between documents", see="10.7")
def pack(documents, size, end):
    row = []
    for document in documents:
        row += document
        while len(row) >= size:
            yield torch.tensor(row[:size])
            row = row[size:]


@mistake("pack", "the incomplete last block is yielded, filled up with ends", see="10.7")
def pack(documents, size, end):
    row = []
    for document in documents:
        row += [*document, end]
        while len(row) >= size:
            yield torch.tensor(row[:size])
            row = row[size:]
    if row:
        yield torch.tensor(row + [end] * (size - len(row)))


@mistake("pack", "at most one block leaves per document, so long documents lag behind and are lost", see="10.7")
def pack(documents, size, end):
    row = []
    for document in documents:
        row += [*document, end]
        if len(row) >= size:
            yield torch.tensor(row[:size])
            row = row[size:]


@mistake("pack", "what is left of a document after a cut is thrown away", see="10.7")
def pack(documents, size, end):
    row = []
    for document in documents:
        row += [*document, end]
        while len(row) >= size:
            yield torch.tensor(row[:size])
            row = row[size:] if len(row) >= 2 * size else []


@mistake("pack", "a block that is exactly full waits for the next document", see="10.7")
def pack(documents, size, end):
    row = []
    for document in documents:
        while len(row) >= size:
            yield torch.tensor(row[:size])
            row = row[size:]
        row += [*document, end]
    while len(row) >= size:
        yield torch.tensor(row[:size])
        row = row[size:]


@mistake("pack", "all documents are read before the first block leaves", see="10.7")
def pack(documents, size, end):
    row = [number for document in documents for number in [*document, end]]
    for at in range(0, len(row) - size + 1, size):
        yield torch.tensor(row[at : at + size])


@accepted("pack", "one id after the other")
def pack(documents, size, end):
    block = []
    for document in documents:
        for number in [*document, end]:
            block.append(number)
            if len(block) == size:
                yield torch.tensor(block)
                block = []


@accepted("pack", "a queue")
def pack(documents, size, end):
    waiting = deque()
    for document in documents:
        waiting.extend(document)
        waiting.append(end)
        while len(waiting) >= size:
            yield torch.tensor([waiting.popleft() for _ in range(size)])


@mistake("PackedShards", "every worker reads all files: each block comes once per worker", see="10.4")
class PackedShards(RightShards):
    def mine(self, worker, workers):
        return self.paths


@mistake("PackedShards", "each worker gets files in a row instead of every W-th", see="10.7")
class PackedShards(RightShards):
    def mine(self, worker, workers):
        share = math.ceil(len(self.paths) / workers)
        return self.paths[worker * share : (worker + 1) * share]


@mistake("PackedShards", "each file is packed alone, so the rest of every file is lost", see="10.7")
class PackedShards(RightShards):
    def blocks(self, worker, workers):
        for path in self.mine(worker, workers):
            row = []
            for document in self.documents([path]):
                row += [*document, self.end]
                while len(row) >= self.size:
                    yield torch.tensor(row[: self.size])
                    del row[: self.size]


@mistake("PackedShards", "one count of done blocks is used for all workers", see="10.7")
class PackedShards(RightShards):
    def __iter__(self):
        worker, workers = self.workers()
        for number, ids in enumerate(self.blocks(worker, workers)):
            if number >= max(self.done.values(), default=0):
                yield {"ids": ids, "worker": worker, "number": number}


@mistake("PackedShards", "a worker that is not in done skips what worker 0 has done", see="10.7")
class PackedShards(RightShards):
    def __iter__(self):
        worker, workers = self.workers()
        for number, ids in enumerate(self.blocks(worker, workers)):
            if number >= self.done.get(worker, self.done.get(0, 0)):
                yield {"ids": ids, "worker": worker, "number": number}


@mistake("PackedShards", "after a restart the numbers begin at 0 again, so the next note is wrong", see="10.7")
class PackedShards(RightShards):
    def __iter__(self):
        worker, workers = self.workers()
        blocks = islice(self.blocks(worker, workers), self.done.get(worker, 0), None)
        for number, ids in enumerate(blocks):
            yield {"ids": ids, "worker": worker, "number": number}


@mistake("PackedShards", "done blocks are skipped as documents: another text comes back", see="10.7")
class PackedShards(RightShards):
    def documents(self, paths):
        yield from islice(super().documents(paths), self.done.get(self.workers()[0], 0), None)

    def __iter__(self):
        worker, workers = self.workers()
        for number, ids in enumerate(self.blocks(worker, workers), self.done.get(worker, 0)):
            yield {"ids": ids, "worker": worker, "number": number}


@mistake(
    "PackedShards", "the count goes on in the object: a second pass yields nothing new or wrong numbers", see="10.7"
)
class PackedShards(RightShards):
    number = -1

    def __iter__(self):
        worker, workers = self.workers()
        for ids in self.blocks(worker, workers):
            self.number += 1
            if self.number >= self.done.get(worker, 0):
                yield {"ids": ids, "worker": worker, "number": self.number}


@mistake("PackedShards", "files are read in __init__, before their turn and before the workers exist", see="10.7")
class PackedShards(RightShards):
    def __init__(self, paths, size, end, done=None):
        super().__init__(paths, size, end, done)
        self.texts = {path: Path(path).read_text() for path in paths}

    def documents(self, paths):
        for path in paths:
            yield from (json.loads(line)["ids"] for line in self.texts[path].splitlines())


@mistake("PackedShards", "a file is read as a whole before its first block leaves", see="10.7")
class PackedShards(RightShards):
    def documents(self, paths):
        for path in paths:
            yield from [json.loads(line)["ids"] for line in Path(path).read_text().splitlines()]


@accepted("PackedShards", "with pack, and islice")
class PackedShards(IterableDataset):
    def __init__(self, paths, size, end, done=None):
        self.paths, self.size, self.end, self.done = paths, size, end, {} if done is None else dict(done)

    def __iter__(self):
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        lines = (line for i, path in enumerate(self.paths) if i % workers == worker for line in path.open())
        blocks = pack((json.loads(line)["ids"] for line in lines), self.size, self.end)
        notes = ({"ids": ids, "worker": worker, "number": number} for number, ids in enumerate(blocks))
        return islice(notes, self.done.get(worker, 0), None)


@accepted("PackedShards", "packing of its own")
class PackedShards(RightShards):
    pass
