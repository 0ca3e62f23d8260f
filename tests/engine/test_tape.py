"""Steps recorded as flat programs on a CPU: the same bits, and nothing that a replay could not know."""

import dataclasses
import itertools
from collections import Counter
from typing import ClassVar

import pytest
import torch

from sslbench.engine import run
from sslbench.engine.capture import WARM_UP, Captured
from sslbench.engine.checkpoints import Saver
from sslbench.engine.tape import Tapes, _program
from sslbench.engine.training import Training
from sslbench.methods.base import Loss, LossMethod, cross_entropy
from tests.conftest import make_method, make_scenario, rng_of
from tests.engine.test_capture import CHANGES, CPU, LOSS_METHODS, SCENARIOS, Remembering, outcomes_of, same


class Counting(Tapes):
    """Counts what is recorded and what is replayed."""

    def __init__(self):
        self.recorded = self.replayed = 0

    def record(self, body, changed):
        result, replay = super().record(body, changed)
        self.recorded += 1

        def counted():
            self.replayed += 1
            return replay()

        return result, counted


def assert_replayed(method, scenario, seeds=2):
    recorder, told = Counting(), []
    saver = Saver(tell=lambda *message: told.append(message))
    replayed = outcomes_of(method, scenario, recorder, seeds=seeds, saver=saver)
    assert not told
    same(outcomes_of(method, scenario, None, seeds=seeds), replayed)
    training = Training(method, scenario, [scenario.problem(rng_of(0))], [rng_of(0)], CPU)
    measured = training.measured()
    kinds = Counter(kind for i, kind in enumerate(training.kinds) if i not in measured)
    assert recorder.recorded == sum(count > WARM_UP for count in kinds.values())
    assert recorder.replayed == sum(max(0, count - WARM_UP - 1) for count in kinds.values())
    assert recorder.replayed > 0


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("method", LOSS_METHODS)
def test_every_method_is_replayed_to_the_bit(method, name):
    small = {"labelled_batch": 8, "unlabelled_batch": 16, "watched": 10} if name == "mnist5k-50" else {}
    scenario = make_scenario(name, steps=12, points=1, **small)
    short = {"ramp_start": 0.0, "every": 2} if method == "pseudo-label-interleaved" else {}
    assert_replayed(make_method(method, scenario, **short), scenario, 1 if name == "mnist5k-50" else 2)


@pytest.mark.parametrize("changes", CHANGES, ids=str)
@pytest.mark.parametrize("name", ["two-moons-6", "mnist5k-50"])
def test_every_optimizer_and_schedule_is_replayed_to_the_bit(name, changes):
    scenario = make_scenario(name, steps=14, points=2, weight_decay=1e-3, **changes)
    assert_replayed(make_method("pi-model", scenario), scenario, 1 if name == "mnist5k-50" else 2)


def test_a_state_is_handed_on():
    assert_replayed(Remembering(), make_scenario("two-moons-6", steps=14, points=2))


def test_seeds_share_a_program():
    scenario = make_scenario("mnist5k-50", steps=8, points=1)
    _program.cache_clear()
    for seed in range(3):
        run(make_method("supervised"), scenario, [rng_of(seed)], CPU)
    assert _program.cache_info().misses == 1


def test_a_run_replays_its_steps(monkeypatch):
    counted = Counting()
    monkeypatch.setattr("sslbench.engine.seeds.Tapes", lambda: counted)
    run(make_method("vat"), make_scenario("two-moons-6", steps=20, points=1), [rng_of(0)], CPU)
    assert counted.replayed == 20 - WARM_UP - 2  # recorded; measured


@dataclasses.dataclass(frozen=True)
class Method(LossMethod):
    """Supervised, but for what its consistency with a number of the last step is weighted with."""

    counter: ClassVar = itertools.count()

    def init(self, model):
        return {"last": torch.zeros(())}

    def loss(self, model, batch, step, rng):
        loss = cross_entropy(model, batch, rng)
        state = {"last": loss.detach()}
        return Loss(
            loss, model(batch.u).square().mean(), self.weight(step.state["last"], model(batch.u).detach()), state=state
        )

    def weight(self, last, logits):
        raise NotImplementedError


class Item(Method):
    def weight(self, last, logits):
        return 0.5 * float(last)


class Branch(Method):
    def weight(self, last, logits):
        return 0.5 if last > 0.6 else 0.1


class List(Method):
    def weight(self, last, logits):
        return 0.5 * last.tolist()


class Numpy(Method):
    def weight(self, last, logits):
        return torch.as_tensor(last.numpy() * 0.5)


class Masked(Method):
    def weight(self, last, logits):
        return logits[logits > 0].mean()


class Nonzero(Method):
    def weight(self, last, logits):
        return logits.flatten()[(logits.flatten() > 0).nonzero().squeeze(1)].mean()


class ListInPlace(Method):
    def weight(self, last, logits):
        values = [logits.clone(), logits.clone()]
        torch._foreach_mul_(values, 2)
        return values[0].mean() - values[1].mean() + 0.1


class Counted(Method):
    def weight(self, last, logits):
        return 0.1 * next(self.counter)


def fresh(method):
    Method.counter = itertools.count()
    return method()


IMAGES = make_scenario("mnist5k-50", steps=12, points=2, labelled_batch=8, unlabelled_batch=8)


@pytest.mark.parametrize(
    ("method", "why"),
    [
        (Item, "it reads a tensor's value, as .item(), float() and if do"),
        (Branch, "it reads a tensor's value"),
        (List, "it reads a tensor's values, by tolist()"),
        (Numpy, "it reads a tensor's values, by numpy()"),
        (Masked, "the shape of what aten.index.Tensor gives depends on values"),
        (Nonzero, "the shape of what aten.nonzero.default gives"),
        (ListInPlace, "would leave out torch.ops.aten._foreach_mul_"),
    ],
)
def test_what_cannot_be_recorded_runs_as_it_is_and_is_told(method, why):
    """On images, where seeds do not stack, so that it may look."""
    told = []
    saver = Saver(tell=lambda *message: told.append(message))
    found = outcomes_of(fresh(method), IMAGES, Tapes(), seeds=1, saver=saver)
    same(outcomes_of(fresh(method), IMAGES, None, seeds=1), found)
    ((kind, text, of),) = told
    assert (kind, of) == ("noted", "method")
    assert text.startswith("its steps cannot be recorded as a flat program (")
    assert why in text


def test_what_a_replay_cannot_know_is_noticed_at_the_first_one():
    told = []
    problem = IMAGES.problem(rng_of(0))
    training = Training(fresh(Counted), IMAGES, [problem], [rng_of(0)], CPU)
    captured = Captured(training, Tapes(), lambda *message: told.append(message))
    for t, (step, rows) in enumerate(training.steps()):
        before = {name: p.detach().clone() for name, p in training.parameters.items()}
        captured.advance(step, rows)
        assert all(not torch.equal(p, before[name]) for name, p in training.parameters.items())
        assert len(told) == (t > WARM_UP)
    assert "played back, it does something else" in told[0][1]


def test_a_refusal_leaves_what_the_step_had_changed_so_far():
    """A method that changes something in place before it looks at a value."""
    place = torch.zeros(3)

    def body():
        place.add_(1)
        float(place.sum())
        raise AssertionError("refused before")

    with pytest.raises(RuntimeError, match="reads a tensor's value"):
        Tapes().record(body, [place])
    assert place.tolist() == [0, 0, 0]


def test_numbers_that_are_no_literals_are_written():
    x = torch.tensor([1.0, -1.0])
    (result, _), replay = Tapes().record(lambda: (x.masked_fill(x < 0, float("-inf")), {}), [])
    assert torch.equal(replay()[0], result)
    (result, _), replay = Tapes().record(lambda: (x.clamp(max=float("inf")).nan_to_num(1e-8), {}), [])
    assert torch.equal(replay()[0], result)


def test_lists_tuples_and_what_is_left_out_are_written():
    x = torch.arange(12.0).view(3, 4)

    def body():
        a, b, c = x.unbind(0)
        values, indices = torch.stack([a, c]).max(dim=1)
        picked = x[:, torch.tensor([0, 2])]
        return values.sum() + b.sum() + picked.sum() + indices.sum(), {"rows": x.to(torch.float64).mean(0)}

    (loss, terms), replay = Tapes().record(body, [])
    again, others = replay()
    assert torch.equal(loss, again)
    assert torch.equal(terms["rows"], others["rows"])
    assert others["rows"].dtype == torch.float64
