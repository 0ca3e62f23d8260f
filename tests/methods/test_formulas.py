"""Each method's loss against the equation of its paper, written out plainly with torch's own autograd."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslbench.errors import BadInput
from sslbench.methods.base import Batch, Kind, Model, Sizes, Step, Task, kl
from sslbench.methods.pi_model import PiModel
from sslbench.methods.pseudo_label import PseudoLabel
from sslbench.methods.pseudo_label_interleaved import PseudoLabelInterleaved
from sslbench.methods.pseudo_label_rounds import PseudoLabelRounds
from sslbench.methods.supervised import Supervised
from sslbench.methods.vat import VAT, unit
from sslbench.networks.dropout import dropout
from sslbench.rng import Rng


class Net(nn.Module):
    """A small network with dropout, for inputs of any shape."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(inputs, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor, rng: Rng | None = None) -> Tensor:
        return self.b(dropout(torch.tanh(self.a(x.flatten(1))), 0.5, rng))


SHAPES = {"images": (1, 6, 6), "points": (2,), "features": (40,)}


@pytest.fixture(params=SHAPES)
def setting(request):
    """A network, a model of it and a batch, of each kind of input."""
    shape = SHAPES[request.param]
    torch.manual_seed(0)
    network = Net(math.prod(shape)).double()
    batch = Batch(
        x=torch.randn(5, *shape).double(),
        y=torch.tensor([0, 1, 2, 0, 1]),
        u=torch.randn(7, *shape).double(),
        views=(torch.randn(7, *shape).double(),),
    )
    return network, Model(network, dict(network.named_parameters())), batch


def step(index: int = 50, total: int = 100, epoch: float = 0.0, kind: Kind = "joint") -> Step:
    return Step(torch.tensor(index), torch.tensor(epoch), total, kind)


def test_supervised_is_cross_entropy_with_dropout(setting):
    network, model, batch = setting
    loss = Supervised().loss(model, batch, step(), Rng.root(0))
    expected = F.nll_loss(F.log_softmax(network(batch.x, Rng.root(0)), dim=1), batch.y)
    torch.testing.assert_close(loss.total, expected)


@pytest.mark.parametrize(("index", "alpha"), [(0, 0.0), (10, 0.0), (35, 1.5), (60, 3.0), (99, 3.0)])
def test_pseudo_label_is_lee_2013(setting, index, alpha):
    network, model, batch = setting
    loss = PseudoLabel(weight=3.0).loss(model, batch, step(index), Rng.root(0))
    rng = Rng.root(0)
    labelled = F.cross_entropy(network(batch.x, rng), batch.y)
    pseudo = network(batch.u).argmax(1)
    unlabelled = -F.log_softmax(network(batch.u, rng), 1)[torch.arange(7), pseudo].mean()
    torch.testing.assert_close(loss.total, labelled + alpha * unlabelled)


def test_pseudo_labels_below_the_threshold_are_left_out(setting):
    network, model, batch = setting
    confidence = F.softmax(network(batch.u), 1).max(1).values.detach()
    threshold = float(confidence.median())
    loss = PseudoLabel(threshold=threshold).loss(model, batch, step(), Rng.root(0))
    assert float(loss.diagnostics["kept"]) == pytest.approx(4 / 7)
    none = PseudoLabel(threshold=1.0).loss(model, batch, step(), Rng.root(0))
    assert float(torch.as_tensor(none.unlabelled).detach()) == 0


@pytest.mark.parametrize(("index", "rise"), [(0, 0.0), (20, 0.5), (40, 1.0), (80, 1.0)])
def test_pi_model_is_laine_and_aila_2017(setting, index, rise):
    network, model, batch = setting
    loss = PiModel(weight=20.0, ramp=0.4).loss(model, batch, step(index), Rng.root(0))
    rng = Rng.root(0)
    labelled = F.cross_entropy(network(batch.x, rng), batch.y)
    first = network(batch.u, rng).softmax(1)
    second = network(batch.views[0], rng).softmax(1).detach()
    weight = 20.0 * math.exp(-5 * (1 - rise) ** 2)
    torch.testing.assert_close(loss.total, labelled + weight * ((first - second) ** 2).mean(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("iterations", [1, 3])
def test_vat_is_miyato_2018(setting, iterations):
    network, model, batch = setting
    method = VAT(weight=2.0, radius=0.7, xi=1e-3, iterations=iterations, entropy=0.5)
    loss = method.loss(model, batch, step(), Rng.root(0))

    rng = Rng.root(0)
    labelled = F.cross_entropy(network(batch.x, rng), batch.y)
    p = network(batch.u).softmax(1).detach()

    def normalised(v: Tensor) -> Tensor:
        return torch.stack([row / row.norm() for row in v.flatten(1)]).view_as(v)

    def divergence(r: Tensor) -> Tensor:
        q = network(batch.u + r).softmax(1)
        return (p * (p.log() - q.log())).sum(1)

    d = normalised(rng.normal(*batch.u.shape).double())
    for _ in range(iterations):
        d.requires_grad_()
        (g,) = torch.autograd.grad(divergence(1e-3 * d).sum(), d)
        d = normalised(g).detach()
    q = network(batch.u + 0.7 * d).softmax(1)
    expected = labelled + 2.0 * (divergence(0.7 * d).mean() + 0.5 * -(q * q.log()).sum(1).mean())
    torch.testing.assert_close(loss.total, expected, rtol=1e-4, atol=1e-6)
    ours = torch.autograd.grad(loss.total, list(network.parameters()))
    theirs = torch.autograd.grad(expected, list(network.parameters()))
    torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=1e-5)


def test_the_adversarial_direction_is_worse_than_a_random_one(setting):
    network, model, batch = setting
    method = VAT(radius=0.5)
    target = network(batch.u).softmax(1).detach()
    with torch.no_grad():
        r = method.perturbation(model, batch.u, target, Rng.root(0)).double()
    torch.testing.assert_close(r.flatten(1).norm(dim=1), torch.full((7,), 0.5).double(), rtol=1e-4, atol=0)
    random = 0.5 * unit(torch.randn_like(batch.u))
    with torch.no_grad():
        adversarial, chance = (float(kl(target, network(batch.u + v)).mean()) for v in (r, random))
    assert adversarial > chance


def test_vat_normalises_over_all_dimensions_of_an_input():
    for shape in SHAPES.values():
        assert torch.allclose(unit(torch.randn(4, *shape)).flatten(1).norm(dim=1), torch.ones(4), atol=1e-5)


def test_kl_is_zero_for_equals_and_finite_for_certain_targets():
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    torch.testing.assert_close(kl(logits.softmax(1), logits), torch.zeros(1), rtol=0, atol=1e-6)
    assert float(kl(torch.tensor([[1.0, 0.0, 0.0]]), logits)) == pytest.approx(-float(logits.log_softmax(1)[0, 0]))


# The article's loop ---------------------------------------------------------------------------------------------------


def test_the_interleaved_order_is_the_articles():
    method = PseudoLabelInterleaved(ramp_start=2, ramp_end=4, every=3)
    sizes = Sizes(labelled=10, unlabelled=40, labelled_batch=5, unlabelled_batch=10)  # 2 and 4 batches a pass
    order = method.order(sizes)
    kinds = "".join(kind[0] for kind, _ in zip(order, range(4 + 2 * 8), strict=False))
    assert kinds == "llll" + "ulluuull" + "ulluuull"


def test_the_interleaved_alpha_counts_labelled_epochs():
    method = PseudoLabelInterleaved()
    values = {t: float(method.alpha(step(epoch=t))) for t in (0.0, 100.0, 350.0, 600.0, 900.0)}
    assert values == {0.0: 0.0, 100.0: 0.0, 350.0: 1.5, 600.0: 3.0, 900.0: 3.0}


def test_the_interleaved_loss_uses_one_part_at_a_time(setting):
    network, model, batch = setting
    method = PseudoLabelInterleaved()
    labelled = method.loss(model, batch, step(epoch=350.0, kind="labelled"), Rng.root(0))
    torch.testing.assert_close(labelled.total, F.cross_entropy(network(batch.x, Rng.root(0)), batch.y))
    unlabelled = method.loss(model, batch, step(epoch=350.0, kind="unlabelled"), Rng.root(0))
    expected = 1.5 * F.cross_entropy(network(batch.u, Rng.root(0)), network(batch.u).argmax(1))
    torch.testing.assert_close(unlabelled.total, expected)


@pytest.mark.parametrize("method", [PseudoLabel, PseudoLabelInterleaved])
def test_a_ramp_that_ends_before_it_starts_is_refused(method):
    with pytest.raises(BadInput, match="ramp_end must be at least ramp_start"):
        method(ramp_start=0.5, ramp_end=0.2)


# Rounds of an estimator -----------------------------------------------------------------------------------------------


class Recorder:
    """Stands in for a classifier: certain of every even row, and keeps what it was fitted on."""

    fits: list[tuple[np.ndarray, np.ndarray]]
    classes_ = np.array([0, 2])

    def __init__(self, fits):
        self.fits = fits

    def fit(self, x, y):
        self.fits.append((x.copy(), y.copy()))

    def predict_proba(self, x):
        even = x[:, 0].astype(int) % 2 == 0
        return np.where(even[:, None], [[0.05, 0.95]], [[0.5, 0.5]])


def test_rounds_add_the_confident_rows_of_each_slice_once():
    fits: list = []
    u = np.arange(100, 120, dtype=np.float32)[:, None]
    task = Task(np.zeros((4, 1), np.float32), np.array([0, 2, 0, 2]), u, 3, lambda state: Recorder(fits))
    watched = []
    PseudoLabelRounds(sample_rate=0.25, rounds=4).fit(task, Rng.root(0), watched.append)
    assert len(fits) == 5
    assert len(watched) == 4
    x, y = fits[-1]
    assert sorted(x[4:, 0].tolist()) == [float(v) for v in range(100, 120, 2)]  # 0.5 is neither above 0.6 nor below 0.4
    assert set(y[4:].tolist()) == {2}  # labels are class numbers, not columns


def test_no_rounds_is_supervised():
    u = np.zeros((0, 1), np.float32)
    fits: list = []
    task = Task(np.zeros((4, 1), np.float32), np.array([0, 2, 0, 2]), u, 3, lambda state: Recorder(fits))
    rounds = PseudoLabelRounds().fit(task, Rng.root(0), lambda p: None)
    alone = Supervised().fit(task, Rng.root(0), lambda p: None)
    x = torch.arange(6.0)[:, None]
    assert torch.equal(rounds(x), alone(x))
    assert rounds(x).shape == (6, 3)
    assert float(rounds(x)[:, 1].max()) == 0  # a class never seen has probability 0, in its own column
