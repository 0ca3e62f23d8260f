"""What a CUDA graph needs of a step, told without a GPU; and, with one, that replayed steps are those that were recorded."""

import dataclasses
import functools

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sslbench.engine.capture import WARM_UP
from sslbench.engine.checkpoints import Saver
from sslbench.engine.course import train
from sslbench.engine.cuda_graphs import CudaGraphs
from sslbench.engine.evaluation import Evaluation
from sslbench.engine.training import Training
from sslbench.methods.base import Loss, LossMethod, cross_entropy
from sslbench.registry import METHODS
from tests.conftest import make_method, make_scenario, rng_of

CPU = torch.device("cpu")
LOSS_METHODS = [name for name in METHODS.names() if issubclass(METHODS.get(name).thing, LossMethod)]
SCENARIOS = ["two-moons-6", "mnist5k-50", "mnist5k-1000-logreg"]


class OnTheDevice(TorchDispatchMode):
    """Refuses what crosses from host to device or back, and arrays on the host: numbers are passed as arguments of kernels."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        given, made = (
            [leaf for leaf in tree_leaves(part) if isinstance(leaf, torch.Tensor)] for part in ((args, kwargs), out)
        )
        devices = {tensor.device for tensor in made} - {tensor.device for tensor in given}
        assert not (given and devices), f"{function} copies to {devices}"
        host = [tensor.shape for tensor in [*given, *made] if tensor.device.type == "cpu" and tensor.dim()]
        assert not host, f"{function} works on the host: {host}"
        return out


@functools.cache
def prepared(name):
    """A scenario and its problems at two seeds."""
    scenario = make_scenario(name, steps=3, points=1)
    return scenario, [scenario.problem(rng_of(seed)) for seed in range(2)]


def steps_on_meta(method, name):
    """The first steps, on a device that computes nothing, so that whatever waits for a value of it raises."""
    scenario, problems = prepared(name)
    training = Training(method, scenario, problems, [rng_of(seed) for seed in range(2)], torch.device("meta"))
    for t, (step, rows) in enumerate(training.steps()):
        training.advance(step, rows, t % 2 == 0)  # tables that are made once
        with OnTheDevice():
            training.advance(step, rows, t % 2 == 0)


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("method", LOSS_METHODS)
def test_a_step_neither_waits_for_its_device_nor_copies_to_it(method, name):
    steps_on_meta(make_method(method, prepared(name)[0]), name)


@dataclasses.dataclass(frozen=True)
class Peeking(LossMethod):
    """Looks at a value in the middle of a step."""

    def loss(self, model, batch, step, rng):
        loss = cross_entropy(model, batch, rng)
        return Loss(loss, weight=float(step.progress))


@dataclasses.dataclass(frozen=True)
class Copying(LossMethod):
    """Makes a constant on the host in every step."""

    def loss(self, model, batch, step, rng):
        weights = torch.tensor([1.0, 2.0]).to(batch.u.device)
        return Loss(cross_entropy(model, batch, rng), model(batch.u, rng).square().mean(), weights.mean())


@pytest.mark.parametrize("method", [Peeking(), Copying()])
def test_a_step_that_does_is_noticed(method):
    with pytest.raises((AssertionError, RuntimeError)):
        steps_on_meta(method, "two-moons-6")


class Replayed:
    """Stands for CUDA graphs on a CPU: what is recorded runs when it is replayed, and writes to the same tensors each time."""

    name = "a CUDA graph"

    def __init__(self):
        self.ran = self.recorded = self.replayed = 0

    def run(self, body):
        self.ran += 1
        return body()

    def record(self, body, changed):
        self.recorded += 1
        places = []

        def replay():
            self.replayed += 1
            loss, terms = body()
            if not places:
                places.append((loss.clone(), {name: value.clone() for name, value in terms.items()}))
            places[0][0].copy_(loss)
            for name, value in terms.items():
                places[0][1][name].copy_(value)
            return places[0]

        return replay(), replay


class Refusing(Replayed):
    def record(self, body, changed):
        raise RuntimeError("operation not permitted when stream is capturing\nand more")


@dataclasses.dataclass(frozen=True)
class Remembering(LossMethod):
    """Its state hands a value on from name to name, so that the order in which a step's state is copied would show."""

    def init(self, model):
        return {name: torch.zeros(()) for name in ("before", "last", "oldest")}

    def loss(self, model, batch, step, rng):
        loss = cross_entropy(model, batch, rng)
        old = step.state
        state = {"oldest": old["before"], "before": old["last"], "last": loss.detach()}
        distance = (loss - old["oldest"]).square()
        return Loss(loss, distance, 0.1 * step.progress, {"oldest": old["oldest"]}, state)


def outcomes_of(method, scenario, recorder, device=CPU, seeds=2, saver=None):
    rngs = [rng_of(s) for s in range(seeds)]
    problems = [scenario.problem(rng) for rng in rngs]
    evaluations = [Evaluation(p, scenario.watched, rng) for p, rng in zip(problems, rngs, strict=True)]
    return train(method, scenario, problems, evaluations, rngs, device, lambda *_: None, saver, recorder)


def same(ones, others):
    for one, other in zip(ones, others, strict=True):
        assert one.metrics == other.metrics
        assert one.curves == other.curves
        assert one.diagnostics == other.diagnostics


CHANGES = [{"optimizer": "adam"}, {"optimizer": "sgd", "momentum": 0.9}, {"optimizer": "adam", "schedule": "cosine"}]


@pytest.mark.parametrize("method", [*LOSS_METHODS, Remembering()], ids=str)
def test_replayed_steps_are_the_steps(method):
    scenario = make_scenario("two-moons-6", steps=24, points=3, training_points=80, test_points=60)
    method = make_method(method, scenario) if isinstance(method, str) else method
    recorder = Replayed()
    replayed = outcomes_of(method, scenario, recorder)
    same(outcomes_of(method, scenario, None), replayed)
    kinds = len(set(Training(method, scenario, [scenario.problem(rng_of(0))], [rng_of(0)], CPU).kinds))
    assert recorder.recorded == kinds
    assert recorder.ran == kinds * (WARM_UP + 3)  # and a measured one of each kind at each point
    assert recorder.ran + recorder.replayed == 24


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_replayed_steps_follow_the_schedule(changes):
    scenario = make_scenario("two-moons-6", steps=24, points=3, training_points=80, test_points=60, **changes)
    method = make_method("pi-model", scenario)
    same(outcomes_of(method, scenario, None), outcomes_of(method, scenario, Replayed()))


def test_a_rate_that_moves_is_written_where_a_graph_reads_it():
    """A number of the host would stay what it was when the step was recorded, and a new tensor would not be looked at."""
    scenario = make_scenario("two-moons-6", steps=24, training_points=80, test_points=60, schedule="cosine")
    method, rngs = make_method("pi-model", scenario), [rng_of(0)]
    training = Training(method, scenario, [scenario.problem(rng_of(0))], rngs, CPU)
    rate = training.optimizer.rate
    for index in (0, 12, 23):
        training.schedule(index)
        assert training.optimizer.rate is rate
        assert rate.item() == training.learning_rate(index)
    assert training.learning_rate(23) < training.learning_rate(0)


def test_what_cannot_be_recorded_runs_as_it_is_and_is_told():
    scenario = make_scenario("two-moons-6", steps=12, points=3, training_points=80, test_points=60)
    told = []
    found = outcomes_of(Remembering(), scenario, Refusing(), saver=Saver(tell=lambda *message: told.append(message)))
    same(outcomes_of(Remembering(), scenario, None), found)
    ((kind, text, of),) = told
    assert (kind, of) == ("noted", "method")
    assert text == (
        "its steps cannot be recorded as a CUDA graph (operation not permitted when stream is capturing): they run one by one"
    )


@pytest.mark.cuda
@pytest.mark.parametrize("changes", CHANGES, ids=str)
@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("method", LOSS_METHODS)
def test_a_graph_repeats_what_it_recorded(method, name, changes):
    scenario = make_scenario(name, steps=24, points=3, **changes)
    method = make_method(method, scenario)
    device, told = torch.device("cuda"), []
    plain = outcomes_of(method, scenario, None, device)
    saver = Saver(tell=lambda *message: told.append(message))
    replayed = outcomes_of(method, scenario, CudaGraphs(device), device, saver=saver)
    assert not told
    for one, other in zip(plain, replayed, strict=True):
        assert other.curves["labelled_loss"] == pytest.approx(one.curves["labelled_loss"], rel=2e-2, abs=1e-3)


@pytest.mark.cuda
def test_a_method_that_waits_for_the_device_runs_without_a_graph():
    scenario = make_scenario("two-moons-6", steps=8, points=1)
    told = []
    saver = Saver(tell=lambda *message: told.append(message))
    device = torch.device("cuda")
    (outcome,) = outcomes_of(Copying(), scenario, CudaGraphs(device), device, seeds=1, saver=saver)
    assert outcome.status == "ok"
    assert len(told) == 1
