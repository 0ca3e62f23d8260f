"""Keyed, counter-based random draws: the same numbers on every device, alone or in a stack.

A draw is a pure function of a key and a counter, computed with Philox 4x32-10 (Salmon, Moraes, Dror, Shaw 2011,
"Parallel random numbers: as easy as 1, 2, 3"). Nothing is global, so a cell draws the same numbers on CPU and CUDA,
first or last in a run, alone or under `torch.func.vmap` with other seeds.

    root = Rng.root(suite_seed)              a generator for the whole suite
    seed = root.child("seed", 3)             its key depends on the path of names, on nothing drawn before
    rng = seed.child("train").at(step)       the draws of one training step
    rng.normal(256, 784)                     each draw advances `rng`, so the next one is different

The 128-bit counter is (block, draw number, step, lane): 32 bits each.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Rng", "philox"]

Words = TypeVar("Words", Tensor, int)

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_TABLE = 1 << 20
_TABLE_ROW_MIN = 64
_CHUNK = 1 << 14  # counter blocks computed at once on a CPU, so that the working set stays in its cache


def philox(counter: Sequence[Words], key: Sequence[Words]) -> tuple[Words, Words, Words, Words]:
    """Philox 4x32-10.

    Args:
        counter: four tensors of unsigned 32-bit words held in int64, broadcastable; or four integers.
        key: two such.

    Returns:
        Four such.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for round_ in range(_ROUNDS):
        if round_:
            k0 = (k0 + _WEYL[0]) & _MASK
            k1 = (k1 + _WEYL[1]) & _MASK
        # A 32 x 32 bit product may wrap the sign of an int64, but its 64 bits are right. Of c1 and c3 only the low halves
        # are meant: they stay whole until the mask of the next round.
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c2 = ((product1 >> 32) ^ (c1 ^ k0)) & _MASK, ((product0 >> 32) ^ (c3 ^ k1)) & _MASK
        c1, c3 = product1, product0
    return c0, c1 & _MASK, c2, c3 & _MASK


def _draw(key: Tensor, step: Tensor, draw: int, lane: int, blocks: int, kind: str) -> Tensor:
    """4 * blocks numbers of one kind: key (*stack, 2) and step (), or (*stack) -> (*stack, 4 * blocks)."""
    stack = key.shape[:-1]
    k0, k1 = (k.unsqueeze(-1) for k in key.unbind(-1))
    drawn = key.new_empty((*stack, blocks, 4), dtype=torch.int64 if kind == "bits" else torch.float32)
    chunk = blocks if key.device.type != "cpu" else max(1, _CHUNK // max(1, stack.numel()))
    for start in range(0, blocks, chunk):
        stop = min(start + chunk, blocks)
        block = torch.arange(start, stop, device=key.device)
        words = philox((block, _filled(draw, key.device), step.unsqueeze(-1), _filled(lane, key.device)), (k0, k1))
        for place, numbers in enumerate(_numbers(words, kind)):
            drawn[..., start:stop, place] = numbers
    return drawn.flatten(-2)


def _numbers(words: tuple[Tensor, Tensor, Tensor, Tensor], kind: str) -> Iterator[Tensor]:
    """Four numbers of one kind from four words, each (*stack, blocks)."""
    if kind == "bits":
        yield from words
    elif kind == "uniform":  # [0, 1) in steps of 2^-24: exact in float32
        for word in words:
            yield (word >> 8).to(torch.float32).mul_(2.0**-24)
    else:  # Box-Muller; (0, 1] under the logarithm, so that it is finite
        radii = [(w + 1).to(torch.float32).mul_(2.0**-32).log_().mul_(-2.0).sqrt_() for w in words[:2]]
        angles = [(w >> 8).to(torch.float32).mul_(2.0**-24 * 2 * torch.pi) for w in words[2:]]
        yield from (radius * angle.cos() for radius, angle in zip(radii, angles, strict=True))
        yield from (radius * angle.sin() for radius, angle in zip(radii, angles, strict=True))


class _Lookahead:
    """On a CPU a small draw costs its hundred operations, not its numbers. Where a draw comes once a step, those of the next
    steps are computed with it. The numbers are the same: a draw is a function of key and counter.
    """

    STEPS = 32
    MOST = 1 << 16
    """Numbers computed at once, at most: so many stay in the cache."""
    STREAMS = 64
    """Draws remembered, at most."""

    def __init__(self) -> None:
        self._last: dict[tuple[object, ...], tuple[int, Tensor | None]] = {}

    def draw(self, key: Tensor, step: Tensor, draw: int, lane: int, blocks: int, kind: str) -> Tensor:
        """As `_draw`, for one step () and a key (*stack, 2)."""
        now = int(step)
        stream = (*key.flatten().tolist(), key.dim(), draw, lane, blocks, kind)
        first, ready = self._last.pop(stream, (-2, None))
        if ready is not None and first <= now < first + len(ready):
            numbers = ready[now - first]
        elif (ready is not None and now == first + len(ready)) or (ready is None and now == first + 1):
            many = min(self.STEPS, self.MOST // (4 * blocks * max(1, key.shape[:-1].numel())))
            ready, first = self._ahead(key, now, draw, lane, blocks, kind, many) if many > 1 else None, now
            numbers = ready[0] if ready is not None else _draw(key, step, draw, lane, blocks, kind)
        else:
            ready, first, numbers = None, now, _draw(key, step, draw, lane, blocks, kind)
        self._last[stream] = (first, ready)
        if len(self._last) > self.STREAMS:
            self._last.pop(next(iter(self._last)))
        return numbers.clone() if ready is not None else numbers

    @staticmethod
    def _ahead(key: Tensor, step: int, draw: int, lane: int, blocks: int, kind: str, many: int) -> Tensor:
        """(many, *stack, 4 * blocks): the draws of this step and the next."""
        steps = torch.arange(step, step + many).view(many, *(1,) * (key.dim() - 1))
        return _draw(key.expand(many, *key.shape), steps.expand(many, *key.shape[:-1]), draw, lane, blocks, kind)


_lookahead = _Lookahead()


def _draw_soon(key: Tensor, step: Tensor, draw: int, lane: int, blocks: int, kind: str) -> Tensor:
    draws = _draw if key.device.type != "cpu" or step.dim() else _lookahead.draw
    return draws(key, step, draw, lane, blocks, kind)


# Not by `custom_op`, whose calls import torch's compiler, for a second, in programs that never train.
torch.library.define(
    "sslbench::draw", "(Tensor key, Tensor step, int draw, int lane, SymInt blocks, str kind) -> Tensor"
)
torch.library.impl("sslbench::draw", ("cpu", "cuda"), _draw_soon)
_draw_op = torch.ops.sslbench.draw.default


@torch.library.register_fake("sslbench::draw")
def _(key: Tensor, step: Tensor, draw: int, lane: int, blocks: int, kind: str) -> Tensor:  # noqa: ARG001
    dtype = torch.int64 if kind == "bits" else torch.float32
    return key.new_empty((*key.shape[:-1], 4 * blocks), dtype=dtype)


@torch.library.register_vmap("sslbench::draw")
def _(info, in_dims, key, step, draw, lane, blocks, kind):  # type: ignore[no-untyped-def]
    # One call draws for the whole stack: the hundred small integer operations of Philox would otherwise each pay
    # vmap's dispatch.
    key = key.movedim(in_dims[0], 0) if in_dims[0] is not None else key.expand(info.batch_size, -1)
    step = step.movedim(in_dims[1], 0) if in_dims[1] is not None else step
    return _draw_op(key, step, draw, lane, blocks, kind), 0


@functools.cache
def _table(device: torch.device | str) -> Tensor:
    """(_TABLE,) standard normals, the same for all; drawn on the CPU, so that every device has the same bits."""
    table = Rng.root(0).child("noise table").normal(_TABLE)
    return ((table - table.mean()) / table.std()).to(device)


def _filled(word: int, device: torch.device) -> Tensor:
    """A 0-d int64 tensor, written on the device: no copy that the host would wait for."""
    return torch.full((), word, dtype=torch.int64, device=device)


def _digest(name: str | int) -> tuple[int, int, int, int]:
    """Four 32-bit words that stand for a name."""
    digest = hashlib.sha256(f"{type(name).__name__}:{name}".encode()).digest()
    a, b, c, d = (int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4))
    return a, b, c, d


class Rng:
    """A stream of draws named by a key. Drawing advances it; deriving a child or a step does not."""

    __slots__ = ("_device", "_draws", "_key", "_lane", "_step", "_words")

    def __init__(
        self,
        key: Tensor | tuple[int, int],
        step: Tensor | int | None = None,
        lane: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        """
        Args:
            key: (2,) int64 words in [0, 2^32), batched under `vmap` when seeds are stacked; or two integers, from which
                children are derived without a tensor.
            step: training step, a counter word of its own (0 outside of any step); a 0-d int64 tensor in captured code.
            lane: keeps draws for different purposes within a step apart.
            device: where to draw, if the key is given as integers.
        """
        self._key: Tensor | None = key if isinstance(key, Tensor) else None
        self._words: tuple[int, int] | None = None if isinstance(key, Tensor) else key
        self._device = key.device if isinstance(key, Tensor) else device
        self._step, self._lane, self._draws = step, lane, 0

    @classmethod
    def root(cls, seed: int, device: torch.device | str = "cpu") -> Rng:
        """The generator of a whole suite. `seed` is in [0, 2^64)."""
        if not 0 <= seed < 1 << 64:
            raise ValueError(f"a seed must be in [0, 2^64), not {seed}")
        return cls((seed & _MASK, seed >> 32), device=device)

    @property
    def key(self) -> Tensor:
        """(2,) int64: what the draws depend on, with step and lane."""
        if self._key is None:
            self._key = torch.tensor(self._words, dtype=torch.int64, device=self._device)
        return self._key

    def child(self, *names: str | int) -> Rng:
        """An independent generator, named by this one's key, step and lane and by `names`, not by what was drawn."""
        belongs = self._step is not None or self._lane  # a child within a step belongs to the step
        if self._words is not None and not isinstance(self._step, Tensor):
            k0, k1 = self._words
            if belongs:
                k0, k1, _, _ = philox((_MASK, _MASK, self._step or 0, self._lane), (k0, k1))
            for name in names:
                k0, k1, _, _ = philox(_digest(name), (k0, k1))
            return Rng((k0, k1), device=self._device)
        key = self.key
        if belongs:
            most, lane = (_filled(word, key.device) for word in (_MASK, self._lane))
            words = philox([most, most, self._at(), lane], (key[..., 0], key[..., 1]))
            key = torch.stack(words[:2], dim=-1)
        for name in names:
            counter = [_filled(word, key.device) for word in _digest(name)]
            key = torch.stack(philox(counter, (key[..., 0], key[..., 1]))[:2], dim=-1)
        return Rng(key)

    def at(self, step: Tensor | int, lane: int = 0) -> Rng:
        """The draws of one step (and of one lane in it)."""
        return Rng(self._words or self.key, step, lane, self._device)

    def to(self, device: torch.device | str) -> Rng:
        return Rng(self._words or self.key.to(device), self._step, self._lane, device)

    def uniform(self, *shape: int) -> Tensor:
        """float32 in [0, 1)."""
        return self._take("uniform", shape)

    def normal(self, *shape: int) -> Tensor:
        """float32, standard normal (Box-Muller)."""
        return self._take("normal", shape)

    def noise(self, n: int, *features: int) -> Tensor:
        """float32 (n, *features): standard normal noise for augmentation and the like, at a tenth of the cost of `normal`.

        Each row is a stretch of a fixed table of 2^20 standard normals that begins at a random place, as Salimans et al. 2017
        (arXiv:1703.03864) draw theirs: values within a row are independent, and two rows are, unless their stretches overlap;
        then they are the same values at other features. Rows of few values are drawn by `normal`.
        """
        size = math.prod(features)
        if not _TABLE_ROW_MIN <= size <= _TABLE // 16:
            return self.normal(n, *features)
        starts = self.integers(_TABLE - size + 1, n)
        return F.embedding(starts, _table(self._device).unfold(0, size, 1)).view(n, *features)

    def integers(self, high: int, *shape: int) -> Tensor:
        """int64 in [0, high), high <= 2^31. The bias of the multiply-shift is below high / 2^32."""
        if not 0 < high <= 1 << 31:
            raise ValueError(f"integers needs 0 < high <= 2^31, not {high}")
        return (self._take("bits", shape) * high) >> 32

    def bernoulli(self, p: float, *shape: int) -> Tensor:
        """bool, True with probability p."""
        return self.uniform(*shape) < p

    def permutation(self, n: int) -> Tensor:
        """(n,) int64: a uniform permutation, by sorting 63-bit keys (a tie has probability below n^2 / 2^63)."""
        words = self._take("bits", (2, n))
        return torch.argsort((words[0] << 31) | (words[1] >> 1), stable=True)

    def _take(self, kind: str, shape: Sequence[int]) -> Tensor:
        size = 1
        for extent in shape:
            size *= extent
        numbers = _draw_op(self.key, self._at(), self._draws, self._lane, max(1, -(-size // 4)), kind)
        self._draws += 1
        return numbers[:size].reshape(tuple(shape))

    def _at(self) -> Tensor:
        """The step as a 0-d tensor."""
        return self._step if isinstance(self._step, Tensor) else _filled(self._step or 0, self.key.device)
