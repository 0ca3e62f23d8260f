"""Training steps on a CPU as a flat list of kernels, which TorchScript's interpreter runs.

A step runs once under a dispatch mode, which sees each kernel beneath autograd and `vmap`, with its arguments. Played back, the
kernels are the same and so are the bits; what is saved is Python, autograd and `vmap` around them. Nothing is fused or
reordered, and no compiler is needed. (TorchScript is deprecated, but nothing else in torch runs kernels one after the other
without Python between them.)
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from sslbench.engine.capture import Replay, Result

_aten = torch.ops.aten
_SAME = {_aten.detach.default, _aten.alias.default}
"""Kernels that give what they were given."""
_INDEXING = {_aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default}
_READS = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
_UNSEEN = {getattr(Tensor, name) for name in ("tolist", "numpy", "__array__", "__dlpack__", "data_ptr")}
"""Ways to a tensor's values that are no kernel."""


@dataclass(frozen=True)
class _Value:
    """A tensor of a step. Those that come from outside are numbered in order of appearance, those that it makes likewise."""

    number: int
    made: bool

    def __str__(self) -> str:
        return f"{'made' if self.made else 'given'}{self.number}"


class _Unread(TorchFunctionMode):
    """Refuses to hand out values by ways that no kernel is seen on."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        if function in _UNSEEN:
            raise RuntimeError(f"it reads a tensor's values, by {function.__name__}()")
        return function(*args, **(kwargs or {}))


class _Tape(TorchDispatchMode):
    """What runs, as the lines of a TorchScript function."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.outside: list[Tensor] = []
        """What comes from outside: the function's arguments."""
        self._known, self._made = WeakTensorKeyDictionary(), 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # what torch asks before it wraps a mode, for which it would import its compiler, for a second

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        if function is _aten._local_scalar_dense.default:
            raise RuntimeError("it reads a tensor's value, as .item(), float() and if do")
        if _reads(function, args):
            raise RuntimeError(f"the shape of what {function} gives depends on values")
        given = [self._text(function, place, value) for place, value in enumerate(args)]
        given += [f"{name}={self._text(function, name, value)}" for name, value in (kwargs or {}).items()]
        out = function(*args, **(kwargs or {}))
        if function in _SAME:
            self._known[out] = self.value(args[0])
        elif function.namespace != "profiler":
            self._write(
                f"torch.ops.{function.namespace}.{function._schema.name.partition('::')[2]}({', '.join(given)})", out
            )
        return out

    def value(self, tensor: Tensor) -> _Value:
        """What stands for a tensor; one that nothing here made comes from outside."""
        if tensor not in self._known:
            self._known[tensor] = _Value(len(self.outside), made=False)
            self.outside.append(tensor.detach())
        found: _Value = self._known[tensor]
        return found

    def source(self, results: Sequence[Tensor]) -> str:
        """The function of what ran that returns these of its values."""
        given = ", ".join(str(_Value(i, made=False)) for i in range(len(self.outside)))
        returned = "".join(f"{self.value(result)}, " for result in results)
        return "\n".join(
            [f"def step({given}):", *(f"    {line}" for line in [*self.lines, f"return ({returned})"]), ""]
        )

    def _write(self, call: str, out: Any) -> None:
        """A call, with names for what it makes; what it changes in place has a name."""
        if out is None:
            raise RuntimeError(f"TorchScript would leave out {call.partition('(')[0]}, which returns nothing")
        if isinstance(out, list):
            some = f"some{self._made}"
            self.lines += [f"{some} = {call}", *(f"{self._named(o)} = {some}[{i}]" for i, o in enumerate(out))]
        elif isinstance(out, tuple):
            self.lines.append(f"{', '.join('_' if o is None else self._named(o) for o in out)} = {call}")
        else:
            self.lines.append(call if out in self._known else f"{self._named(out)} = {call}")

    def _named(self, out: Tensor) -> str:
        self._known[out] = _Value(self._made, made=True)
        self._made += 1
        return str(self._known[out])

    def _text(self, function: Any, place: int | str, value: Any) -> str:
        """An argument of a kernel in TorchScript's source."""
        if isinstance(value, Tensor):
            return str(self.value(value))
        if isinstance(value, list | tuple):
            inner = f"[{', '.join(self._text(function, '', v) for v in value)}]"
            indices = function in _INDEXING and place == 1
            return f"torch.jit.annotate(List[Optional[Tensor]], {inner})" if indices else inner
        if isinstance(value, int | float) and place == 0:  # where `vmap` has made a tensor of a number
            return f"torch.scalar_tensor({value}, dtype=torch.{'int64' if isinstance(value, int) else 'float64'})"
        if isinstance(value, float) and not math.isfinite(value):
            return f"float('{value}')"
        return f"torch.device('{value}')" if isinstance(value, torch.device) else repr(value)


def _reads(function: Any, args: Any) -> bool:
    """Whether what Python is given depends on a tensor's values: a value, or the shape of the result."""
    if function in _INDEXING:  # a mask's values tell how many it takes
        return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])
    return not _READS.isdisjoint(function.tags)


class _Program:
    """A step as TorchScript has it."""

    def __init__(self, source: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self._step: Callable[..., tuple[Tensor, ...]] = torch.jit.CompilationUnit(source).step
        self.held = False
        """Whether it was held against the step itself."""

    def __call__(self, outside: Sequence[Tensor]) -> tuple[Tensor, ...]:
        with torch.no_grad(), torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            return self._step(*outside)


_program = functools.lru_cache(maxsize=64)(_Program)
"""The same for every seed, as these differ in what comes from outside alone."""


class Tapes:
    """Records steps as flat programs. Each is held, at its first replay in a process, against the step itself, to the bit."""

    name = "a flat program"

    def run(self, body: Replay) -> Result:
        """As it is."""
        return body()

    def record(self, body: Replay, changed: Sequence[Tensor]) -> tuple[Result, Replay]:
        """A flat program of it."""
        tape, places = _Tape(), [tensor.detach() for tensor in changed]
        before = [place.clone() for place in places]
        try:
            with _Unread(), tape:
                loss, terms = body()
            program, outside = _program(tape.source([loss, *terms.values()])), tuple(tape.outside)
        except Exception as error:
            _restore(places, before)
            raise RuntimeError(str(error)) from error

        def play() -> Result:
            first, *others = program(outside)
            return first, dict(zip(terms, others, strict=True))

        def replay() -> Result:
            if not program.held:
                _hold(play, body, places)
                program.held = True
            return play()

        return (loss, terms), replay


def _hold(play: Replay, body: Replay, places: Sequence[Tensor]) -> None:
    """Hold a program against the step itself, from where the training stands, and leave that as it is.

    Raises:
        RuntimeError: they do not do the same.
    """
    before, found = [place.clone() for place in places], []
    for way in (body, play):
        loss, terms = way()
        found.append([loss, *terms.values(), *(place.clone() for place in places)])
        _restore(places, before)
    if not all(torch.allclose(a, b, rtol=0, atol=0, equal_nan=True) for a, b in zip(*found, strict=True)):
        raise RuntimeError("played back, it does something else, so it depends on what no kernel is seen to read")


def _restore(places: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for place, value in zip(places, values, strict=True):
        place.copy_(value)
