"""Each method's loss against the equation of its paper, written out plainly with torch's own autograd."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from sklearn.semi_supervised import _label_propagation
from torch import Tensor, nn

from sslbench.errors import BadInput
from sslbench.methods.base import Batch, Kind, Model, Sizes, Step, Task, kl
from sslbench.methods.fixmatch import FixMatch
from sslbench.methods.label_propagation import LabelPropagation
from sslbench.methods.label_spreading import LabelSpreading
from sslbench.methods.mean_teacher import AVERAGED, MeanTeacher
from sslbench.methods.mixmatch import MixMatch
from sslbench.methods.mixup import beta
from sslbench.methods.pi_model import PiModel
from sslbench.methods.pseudo_label import PseudoLabel
from sslbench.methods.pseudo_label_interleaved import PseudoLabelInterleaved
from sslbench.methods.pseudo_label_mixup import PseudoLabelMixup
from sslbench.methods.pseudo_label_rounds import PseudoLabelRounds
from sslbench.methods.self_training import SelfTraining
from sslbench.methods.supervised import Supervised
from sslbench.methods.uda import UDA
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


# A teacher ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("index", "rise"), [(0, 0.0), (20, 0.5), (40, 1.0), (80, 1.0)])
def test_mean_teacher_is_tarvainen_and_valpola_2017(setting, index, rise):
    network, model, batch = setting
    method = MeanTeacher(weight=7.0, ramp=0.4, decay=0.9)
    before = {n: torch.randn_like(p) for n, p in network.named_parameters()}
    state = {**before, AVERAGED: torch.tensor(30.0)}
    given = dataclasses.replace(step(index), state=state)
    loss = method.loss(model, batch, given, Rng.root(0))

    averaged = {n: 0.9 * before[n] + 0.1 * p.detach() for n, p in network.named_parameters()}
    teacher = Net(math.prod(batch.x.shape[1:])).double()
    teacher.load_state_dict(averaged)
    rng = Rng.root(0)
    labelled = F.cross_entropy(network(batch.x, rng), batch.y)
    student = network(batch.u, rng).softmax(1)
    target = teacher(batch.views[0], rng).softmax(1).detach()
    expected = labelled + 7.0 * math.exp(-5 * (1 - rise) ** 2) * F.mse_loss(student, target)
    torch.testing.assert_close(loss.total, expected, rtol=1e-5, atol=1e-7)
    ours = torch.autograd.grad(loss.total, list(network.parameters()))
    torch.testing.assert_close(ours, torch.autograd.grad(expected, list(network.parameters())), rtol=1e-4, atol=1e-7)
    assert loss.state is not None
    for n, value in averaged.items():
        torch.testing.assert_close(loss.state[n], value, rtol=1e-6, atol=1e-8)
        assert not loss.state[n].requires_grad


def test_the_teacher_is_the_mean_of_all_at_first_and_then_an_exponential_one(setting):
    """θ of 8, 4, 0, 10 with α = 0.6: 8; (8 + 4) / 2; then 2 / 3 would be above 0.6, so 0.6 · 6; 0.6 · 3.6 + 0.4 · 10."""
    _, model, _ = setting
    method = MeanTeacher(decay=0.6)

    def filled(value: float) -> Model:
        return model.at({n: torch.full_like(p, value) for n, p in model.parameters.items()})

    state, found = method.init(filled(8.0)), []
    for value in (8.0, 4.0, 0.0, 10.0):
        state = method.averaged(filled(value), state)
        found.append(float(state["b.bias"][0]))
    assert found == pytest.approx([8.0, 6.0, 3.6, 6.16])
    assert float(method.evaluated(filled(0.0), state).parameters["b.bias"][0]) == pytest.approx(0.6 * 6.16)


# A strong view --------------------------------------------------------------------------------------------------------


def test_fixmatch_is_sohn_2020(setting):
    network, model, batch = setting
    confidence, pseudo = network(batch.u).softmax(1).detach().max(1)
    threshold = float(confidence.median())
    loss = FixMatch(weight=2.0, threshold=threshold).loss(model, batch, step(), Rng.root(0))
    rng = Rng.root(0)
    expected = F.cross_entropy(network(batch.x, rng), batch.y)
    strong = network(batch.views[0], rng)
    passing = [i for i in range(7) if float(confidence[i]) >= threshold]
    assert len(passing) == 4
    expected = expected + 2.0 * sum(F.cross_entropy(strong[i : i + 1], pseudo[i : i + 1]) for i in passing) / 7
    torch.testing.assert_close(loss.total, expected)
    assert float(loss.diagnostics["kept"]) == pytest.approx(4 / 7)


ANNEALED = {
    "none": lambda t: 1.0,
    "log": lambda t: 1 - math.exp(-5 * t),
    "linear": lambda t: t,
    "exp": lambda t: math.exp(5 * (t - 1)),
}


@pytest.mark.parametrize("annealing", ANNEALED)
@pytest.mark.parametrize("index", [0, 10, 50])
def test_uda_is_xie_2020(setting, annealing, index):
    network, model, batch = setting
    threshold = float(network(batch.u).softmax(1).detach().max(1).values.median())
    method = UDA(weight=2.0, threshold=threshold, temperature=0.4, annealing=annealing)
    loss = method.loss(model, batch, step(index), Rng.root(0))
    rng = Rng.root(0)
    p = network(batch.x, rng).softmax(1)[torch.arange(5), batch.y]
    chances = p.tolist()
    ceiling = 1 / 3 + ANNEALED[annealing](index / 100) * (1 - 1 / 3)
    left = [-value.log() for value, chance in zip(p, chances, strict=True) if chance <= ceiling]
    labelled = sum(left) / len(left) if left else torch.tensor(0.0)
    logits, strong = network(batch.u).detach(), network(batch.views[0], rng)
    unlabelled = torch.tensor(0.0).double()
    for weak, other in zip(logits, strong, strict=True):
        if float(weak.softmax(0).max()) > threshold:
            powers = weak.softmax(0) ** (1 / 0.4)
            target = powers / powers.sum()
            unlabelled = unlabelled + F.kl_div(other.log_softmax(0), target, reduction="sum") / 7
    torch.testing.assert_close(loss.total, labelled + 2.0 * unlabelled)
    assert float(loss.diagnostics["kept"]) == pytest.approx(3 / 7)
    assert float(loss.diagnostics["labels_left"]) == pytest.approx(len(left) / 5)


# Mixup ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.5, 0.75, 4.0])
def test_the_shares_of_mixup_are_from_the_beta_distribution(alpha):
    shares = beta(alpha, 20_000, Rng.root(0))
    assert 0 <= float(shares.min()) <= float(shares.max()) <= 1
    assert stats.kstest(shares.double().numpy(), stats.beta(alpha, alpha).cdf).pvalue > 1e-3
    assert not torch.equal(shares[:50], beta(alpha, 50, Rng.root(1)))


@pytest.mark.parametrize("alpha", [0.2, 0.75, 4.0])
def test_shares_between_two_quantiles_are_those_of_the_distribution(alpha):
    place = torch.rand(1000, generator=torch.Generator().manual_seed(0))

    class Given(Rng):
        def uniform(self, *shape):
            return place.view(shape)

    shares = beta(alpha, 1000, Given((0, 0)))
    assert shares.numpy() == pytest.approx(stats.beta(alpha, alpha).ppf(place.double().numpy()), abs=1e-4)


def test_shares_of_alpha_zero_mix_nothing():
    assert torch.equal(beta(0, 3, Rng.root(0)), torch.ones(3))


def mixed_rows(x: Tensor, y: Tensor, alpha: float, greater: bool = False) -> tuple[Tensor, Tensor]:
    """Inputs and labels mixed row after row; `greater`: so that a row has the greater share in its own."""
    rng = Rng.root(0).child("mixup")
    shares = beta(alpha, len(x), rng).double().tolist()
    partners = rng.permutation(len(x)).tolist()
    rows, labels = [], []
    for i, (share, j) in enumerate(zip(shares, partners, strict=True)):
        share = max(share, 1 - share) if greater else share
        rows.append(share * x[i] + (1 - share) * x[j])
        labels.append(share * y[i] + (1 - share) * y[j])
    return torch.stack(rows), torch.stack(labels)


@pytest.mark.parametrize("index", [0, 20, 70])
def test_mixmatch_is_berthelot_2019(setting, index):
    network, model, batch = setting
    loss = MixMatch(weight=5.0, ramp=0.4, temperature=0.5, alpha=0.75).loss(model, batch, step(index), Rng.root(0))
    with torch.no_grad():
        mean = (network(batch.u).softmax(1) + network(batch.views[0]).softmax(1)) / 2
    guess = torch.stack([row**2 / (row**2).sum() for row in mean])
    one_hot = torch.eye(3).double()[batch.y]
    x, y = mixed_rows(torch.cat([batch.x, batch.u, batch.views[0]]), torch.cat([one_hot, guess, guess]), 0.75, True)
    rng = Rng.root(0)
    labelled = F.cross_entropy(network(x[:5], rng), y[:5])  # of soft labels
    unlabelled = F.mse_loss(network(x[5:], rng).softmax(1), y[5:])
    torch.testing.assert_close(
        loss.total, labelled + 5.0 * min(index / 40, 1) * unlabelled, rtol=1e-5, atol=1e-7
    )  # shares are drawn in float32


@pytest.mark.parametrize("index", [0, 70])
def test_pseudo_label_mixup_is_arazo_2019(setting, index):
    network, model, batch = setting
    method = PseudoLabelMixup(weight=2.0, warm_up=0.3, alpha=4.0, prior=0.8, entropy=0.4)
    loss = method.loss(model, batch, step(index), Rng.root(0))
    rng = Rng.root(0)
    if index == 0:  # labels alone
        torch.testing.assert_close(loss.total, F.cross_entropy(network(batch.x, rng), batch.y))
        return
    pseudo = network(batch.u).softmax(1).detach()
    x, y = mixed_rows(torch.cat([batch.x, batch.u]), torch.cat([torch.eye(3).double()[batch.y], pseudo]), 4.0)
    logits = torch.cat([network(x[:5], rng), network(x[5:], rng)])
    h = logits.softmax(1)
    prior = sum(1 / 3 * torch.log(1 / 3 / h[:, c].mean()) for c in range(3))
    entropy = torch.distributions.Categorical(h).entropy().mean()
    unlabelled = F.cross_entropy(logits[5:], y[5:]) + 0.8 * prior + 0.4 * entropy
    torch.testing.assert_close(loss.total, F.cross_entropy(logits[:5], y[:5]) + 2 * unlabelled, rtol=1e-5, atol=1e-7)


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


def test_a_classifier_that_starts_warm_is_fitted_again_with_a_new_state():
    made: list = []
    states: list = []

    class Warm(Recorder):
        warm_start = True

        def set_params(self, random_state):
            states.append(random_state)

    def estimator(state):
        states.append(state)
        made.append(Warm([]))
        return made[-1]

    u = np.arange(100, 120, dtype=np.float32)[:, None]
    task = Task(np.zeros((4, 1), np.float32), np.array([0, 2, 0, 2]), u, 3, estimator)
    PseudoLabelRounds(sample_rate=0.25, rounds=4).fit(task, Rng.root(0), lambda predict: None)
    assert len(made) == 1
    assert len(made[0].fits) == len(set(states)) == 5


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


# Graphs and self-training of scikit-learn -----------------------------------------------------------------------------


def two_lines(classes=(0, 2)) -> Task:
    """Two rows of points far apart, each with one label at its end."""
    along = np.arange(40, dtype=np.float32)
    lines = [np.stack([along, np.full(40, y, np.float32)], axis=1) for y in (0, 30)]
    x = np.stack([lines[0][0], lines[1][-1]])
    return Task(x, np.array(classes), np.concatenate([lines[0][1:], lines[1][:-1]]), 3)


@pytest.mark.parametrize("method", [LabelPropagation(neighbors=4), LabelSpreading(neighbors=4)])
def test_labels_run_along_a_line(method):
    predict = method.fit(two_lines(), Rng.root(0), lambda p: None)
    points = torch.tensor([[39.0, 1.0], [0.0, 29.0]])  # each nearest, among the labelled, to the one of the other line
    found = predict(points)
    assert found.argmax(dim=1).tolist() == [0, 2]
    torch.testing.assert_close(found.sum(dim=1), torch.ones(2))
    assert float(found[:, 1].max()) == 0  # a class without labels


@pytest.mark.parametrize("method", [LabelPropagation(neighbors=2), LabelSpreading(neighbors=2)])
def test_where_no_label_has_come_each_class_that_has_labels_is_as_probable(method):
    task = two_lines()
    far = np.arange(1000, 1010, dtype=np.float32)[:, None].repeat(2, axis=1)
    task = dataclasses.replace(task, u=np.concatenate([task.u, far]))
    predict = method.fit(task, Rng.root(0), lambda p: None)
    assert predict(torch.full((1, 2), 1005.0)).tolist() == [[0.5, 0.0, 0.5]]


@pytest.mark.parametrize("method", [LabelPropagation(pool=30), LabelSpreading(pool=30)])
def test_the_pool_of_a_graph_is_capped(method, monkeypatch):
    sizes = []
    graph = _label_propagation.BaseLabelPropagation
    knn = graph._get_kernel
    monkeypatch.setattr(graph, "_get_kernel", lambda self, x, y=None: (sizes.append(len(x)), knn(self, x, y))[1])
    method.fit(two_lines(), Rng.root(0), lambda p: None)
    assert set(sizes) == {32}


def test_self_training_takes_up_confident_examples():
    """A point beyond the labelled ones, confidently labelled, turns the boundary towards it."""
    x = np.array([[-1, 0], [1, 0]], np.float32)
    u = np.array([[-1, 4], [-1, 4], [1, -4], [1, -4]], np.float32)  # the second coordinate follows from the first
    task = Task(x, np.array([0, 2]), u, 3)
    point = torch.tensor([[0.0, 4.0]])
    trained = SelfTraining(threshold=0.6).fit(task, Rng.root(0), lambda p: None)(point)
    alone = SelfTraining(threshold=0.999).fit(task, Rng.root(0), lambda p: None)(point)
    assert alone[0].tolist() == pytest.approx([0.5, 0, 0.5], abs=1e-3)
    assert float(trained[0, 0]) > 0.7
    assert float(trained[0, 1]) == 0
