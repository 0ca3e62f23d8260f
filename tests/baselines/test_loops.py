"""The engine against the plain loops of `baselines/`: same weights, batches, augmentation, masks and directions."""

from __future__ import annotations

import dataclasses
from itertools import chain

import pytest
import torch

from baselines import augmentations, loops, losses, networks
from benchmarks.perf.replay import CPU, Replay, engine_trainings, in_float64, on_the_same_draws, plain_form
from benchmarks.perf.settings import Setting, plain_arguments, plain_augmentation, plain_network, plain_optimizer
from sslbench.methods.base import Step, rows_of
from sslbench.methods.mean_teacher import AVERAGED
from tests.conftest import KINDS_OF_INPUT, LOSS_METHODS, rng_of

STEPS = 10
LATE = 7
"""A step at which every weight has risen to its end."""
SOON = {
    "pseudo-label-interleaved": {"ramp_start": 1.0, "ramp_end": 4.0, "every": 2},
    "mean-teacher": {"decay": 0.8},
}
"""So that a few steps come to all that the method does: labelled and unlabelled ones, and an average that is not a mean."""
CONFIDENT = {"images": 0.41, "points": 0.75, "features": 0.18}
"""Thresholds that some of the unlabelled examples pass within these steps, and some do not."""
ANNEALING = {"images": "linear", "points": "log", "features": "exp"}


@pytest.fixture(params=LOSS_METHODS)
def name(request):
    return request.param


@pytest.fixture(params=KINDS_OF_INPUT)
def setting(request, name):
    scenario, changes = KINDS_OF_INPUT[request.param], dict(SOON.get(name, {}))
    small = {"unlabelled_batch": 24, "labelled_batch": 20 if scenario != "two-moons-6" else 6}
    if name in ("fixmatch", "uda"):
        changes["threshold"] = CONFIDENT[request.param]
    if name == "uda":
        changes["annealing"] = ANNEALING[request.param]
    return Setting(name, scenario, small, changes)


def test_every_loss_method_has_a_loop():
    assert set(LOSS_METHODS) == set(loops.LOOPS)


def test_a_training_agrees_step_by_step(setting):
    """In float64, where only an error would show; a stack of two seeds against one plain loop after the other."""
    both = on_the_same_draws(setting, STEPS, [rng_of(0), rng_of(1)])
    torch.testing.assert_close(both.engine, both.reference, rtol=0, atol=1e-6)
    assert both.engine.shape == (2, STEPS)
    assert both.weights_apart < 1e-4  # Adam divides by gradients near 0
    assert both.predictions_apart < 1e-4
    assert float(both.engine.std()) > 1e-3


def test_the_loss_and_its_gradient_agree(setting):
    """Each plain loss function, called by itself, against the engine's objective on one batch."""
    (training,) = engine_trainings(setting, [rng_of(0)], CPU, STEPS)
    in_float64(training)
    if "threshold" in setting.method_changes:
        setting = dataclasses.replace(
            setting, method_changes={**setting.method_changes, "threshold": median_confidence(training)}
        )
        training.method = setting.chosen()
    kinds = ["labelled", "unlabelled"] if setting.method == "pseudo-label-interleaved" else [training.kinds[0]]
    problem = setting.posed().problem(rng_of(0))
    for kind in kinds:
        rows = training.labelled[0].batches(0, 1)[0], training.unlabelled[0].batches(0, 1)[0]
        step = Step(torch.tensor(LATE), torch.tensor(2.5), STEPS, kind)
        training.kinds = [kind] * STEPS
        leaves = {
            n: (p[0] if training.stacked else p).detach().requires_grad_() for n, p in training.parameters.items()
        }
        state = {n: 0.9 * (s[0] if training.stacked else s) for n, s in training.state.items()}
        if AVERAGED in state:
            state[AVERAGED] = torch.tensor(LATE).double()
        ours, _, terms, _ = training.objective(leaves, training.keys[0], rows, step, state)
        if "threshold" in setting.method_changes:
            assert 0.3 < float(terms["kept"]) < 0.7

        replay = Replay(training, rng_of(0), first=LATE)
        network = plain_form(setting.posed(), problem, leaves.values(), replay)
        teacher = plain_form(
            setting.posed(), problem, [s for n, s in state.items() if n != AVERAGED] or leaves.values(), replay
        )
        theirs = plain_loss(setting, network, teacher, training, rows, replay, kind)

        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-9)
        unused = {"materialize_grads": True}
        expected = torch.autograd.grad(theirs, list(network.parameters()), **unused)
        found = torch.autograd.grad(ours, list(leaves.values()), **unused)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)
        assert any(float(g.abs().max()) > 1e-6 for g in found)


def median_confidence(training):
    """Of the unlabelled batch, half way between two of its examples."""
    rows = training.unlabelled[0].batches(0, 1)
    return float(training.predict(rows_of(training.x, rows)).max(dim=-1).values.quantile(0.5))


def plain_loss(setting, network, teacher, training, rows, replay, kind):
    given = setting.hyperparameters()
    y = training.y[rows[0]]

    def labelled():
        return replay.augment(training.x[rows[0]])

    def unlabelled():
        return replay.augment(training.x[rows[1]])

    match setting.method:
        case "supervised":
            return losses.supervised_loss(network, labelled(), y)
        case "pseudo-label":
            return losses.pseudo_label_loss(network, labelled(), y, unlabelled(), given["weight"], given["threshold"])
        case "pseudo-label-interleaved" if kind == "labelled":
            return losses.supervised_loss(network, labelled(), y)
        case "pseudo-label-interleaved":
            return 1.5 * losses.pseudo_label_term(network, unlabelled())  # half way from epoch 1 to 4, of 3
        case "pi-model":
            return losses.pi_model_loss(network, labelled(), y, unlabelled(), unlabelled(), given["weight"])
        case "vat":
            return losses.vat_loss(network, labelled(), y, unlabelled(), **given, direction=replay.direction)
        case "mean-teacher":
            losses.average(teacher, network, LATE, given["decay"])
            return losses.mean_teacher_loss(
                network, teacher, labelled(), y, unlabelled(), unlabelled(), given["weight"]
            )
        case "fixmatch":
            return losses.fixmatch_loss(network, labelled(), y, unlabelled(), unlabelled(), **given)
        case "uda":
            return losses.uda_loss(network, labelled(), y, unlabelled(), unlabelled(), LATE / STEPS, **given)
        case "mixmatch":
            del given["ramp"]
            views = labelled(), y, unlabelled(), unlabelled()
            return losses.mixmatch_loss(network, *views, **given, shares=replay.shares, partners=replay.partners)
        case "pseudo-label-mixup":
            del given["warm_up"]
            drawn = {"shares": replay.shares, "partners": replay.partners}
            return losses.pseudo_label_mixup_loss(network, labelled(), y, unlabelled(), **given, **drawn)
    raise AssertionError(f"say here how the plain loss of {setting.method} is called")


def test_a_loop_runs_by_itself(setting):
    """With torch's own draws, from a DataLoader over a TensorDataset to an accuracy."""
    torch.manual_seed(0)
    posed = setting.posed()
    problem = posed.problem(rng_of(0))
    network = plain_network(posed, problem)
    labelled, unlabelled = loops.loaders(
        problem.x[problem.labelled], problem.y[problem.labelled], problem.x[problem.unlabelled], 6, 24
    )
    watched = []
    run = loops.Run(
        network,
        labelled,
        unlabelled,
        plain_optimizer(posed, network),
        STEPS,
        plain_augmentation(posed),
        watch=lambda step, loss: watched.append((step, loss)),
    )
    own = plain_arguments(setting.method, posed, network)
    trained = loops.LOOPS[setting.method](run, **own, **setting.hyperparameters())
    assert watched == list(zip(range(1, STEPS + 1), trained, strict=True))
    assert all(torch.isfinite(torch.tensor(trained)))
    test = torch.utils.data.TensorDataset(problem.x[problem.test], problem.y[problem.test])
    assert 0 < loops.accuracy(network, torch.utils.data.DataLoader(test, batch_size=100)) < 1
    assert network.training


def test_the_articles_order_is_the_articles():
    labelled = [(torch.tensor(i), torch.tensor(0)) for i in range(2)]
    unlabelled = [(torch.tensor(10 + i),) for i in range(4)]
    batches = loops.article_batches(labelled, unlabelled, before=1, every=3)
    seen = [(epochs, int(x), y is None) for (epochs, x, y), _ in zip(batches, range(10), strict=False)]
    assert [x for _, x, _ in seen] == [0, 1, 10, 0, 1, 11, 12, 13, 0, 1]
    assert [epochs for epochs, _, _ in seen] == [0, 0, 1, 1, 1, 2, 2, 2, 2, 2]
    assert [x >= 10 for _, x, _ in seen] == [unlabelled for _, _, unlabelled in seen]


def test_the_plain_shift_moves_each_image_by_itself():
    torch.manual_seed(0)
    images = torch.zeros(60, 1, 9, 9)
    images[:, :, 4, 4] = 1
    moved = augmentations.shift(2)(images)
    places = {tuple(image[0].nonzero()[0].tolist()) for image in moved}
    assert moved.sum() == 60
    assert len(places) > 10
    assert all(2 <= place <= 6 for place in chain(*places))


def test_the_plain_networks_are_the_engines():
    """The same layers of the same shapes in the same order."""
    for scenario, theirs in (
        ("mnist5k-50", networks.ConvNet()),
        ("two-moons-6", networks.MLP()),
        ("mnist5k-1000-logreg", networks.Linear()),
    ):
        posed = Setting("supervised", scenario).posed()
        ours = posed.network(posed.problem(rng_of(0)))
        assert [p.shape for p in ours.parameters()] == [p.shape for p in theirs.parameters()]
