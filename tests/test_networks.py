"""Networks: shapes, dropout with a key, initial weights."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call, grad, vmap

from sslbench.methods.base import Model
from sslbench.networks import MLP, ConvNet, frozen, initial_parameters
from sslbench.networks.convolution import convolve
from sslbench.networks.dropout import dropout
from sslbench.networks.pooling import pooled
from sslbench.networks.winograd import filtered
from sslbench.rng import Rng


def test_the_convolution_network_is_the_articles():
    layers = {name: tuple(p.shape) for name, p in ConvNet(10).named_parameters() if name.endswith("weight")}
    assert layers == {
        "conv1.weight": (20, 1, 5, 5),
        "conv2.weight": (40, 20, 5, 5),
        "linear1.weight": (150, 640),
        "linear2.weight": (10, 150),
    }


def test_the_convolution_network_equals_a_plain_one():
    network = ConvNet(10)
    p = dict(network.named_parameters())
    x = torch.randn(4, 1, 28, 28)
    h = F.relu(F.max_pool2d(F.conv2d(x, p["conv1.weight"], p["conv1.bias"]), 2))
    h = F.relu(F.max_pool2d(F.conv2d(h, p["conv2.weight"], p["conv2.bias"]), 2)).flatten(1)
    h = F.relu(F.linear(h, p["linear1.weight"], p["linear1.bias"]))
    expected = F.linear(h, p["linear2.weight"], p["linear2.bias"])
    torch.testing.assert_close(network(x), expected, rtol=1e-5, atol=1e-5)
    assert float(ConvNet(10, relu_logits=True)(x).detach().min()) >= 0


def test_dropout_is_off_without_a_key_and_drawn_with_one():
    network, x = ConvNet(10), torch.randn(4, 1, 28, 28)
    assert torch.equal(network(x), network(x))
    rng = Rng.root(0)
    assert not torch.equal(network(x, rng), network(x, rng))
    assert torch.equal(network(x, Rng.root(0)), network(x, Rng.root(0)))


def test_dropout_keeps_the_mean_and_drops_whole_channels():
    x = torch.ones(2000, 5, 3, 3)
    dropped = dropout(x, 0.4, Rng.root(0), channels=True)
    per_channel = dropped.flatten(2)
    assert bool((per_channel == per_channel[..., :1]).all())
    assert abs(float(dropped.mean()) - 1) < 0.03
    assert dropout(x, 0.0, Rng.root(0)) is x
    assert dropout(x, 0.4, None) is x


@pytest.mark.parametrize("image", [(3, 32, 32), (1, 16, 16), (3, 17, 41)])
def test_the_convolution_network_takes_images_of_other_shapes(image):
    network = ConvNet(5, image=image)
    x = torch.rand(3, *image)
    assert network(x).shape == network(x, Rng.root(0)).shape == (3, 5)
    assert functional_call(network, initial_parameters(network, Rng.root(0)), (x,)).shape == (3, 5)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(4, 20, 24, 24), (2, 40, 8, 8), (3, 3, 17, 9)])
def test_pooling_without_a_gradient_is_pooling(shape, layout):
    x = torch.randn(shape).contiguous(memory_format=layout)
    x[..., 0] = 0.5  # ties
    found = pooled(x)
    assert torch.equal(found, F.max_pool2d(x, 2))
    assert found.is_contiguous(memory_format=layout)
    assert pooled(x.requires_grad_()).requires_grad


def test_an_mlp_without_hidden_layers_is_linear():
    network, x = MLP(7, (), 3), torch.randn(5, 7)
    torch.testing.assert_close(network(x + 1) - network(x), network(x * 0 + 1) - network(x * 0))
    assert MLP(2, (10, 10, 10), 2)(torch.randn(5, 2)).shape == (5, 2)


def test_initial_weights_have_a_key_and_the_default_range():
    network = ConvNet(10)
    a, b, again = (initial_parameters(network, Rng.root(s)) for s in (0, 1, 0))
    assert a.keys() == dict(network.named_parameters()).keys()
    for name in a:
        fan_in = dict(network.named_parameters())[name.replace("bias", "weight")][0].numel()
        assert float(a[name].abs().max()) <= fan_in**-0.5
        assert torch.equal(a[name], again[name])
        assert not torch.equal(a[name], b[name])
    assert float(a["linear1.weight"].std()) == pytest.approx((1 / 640 / 3) ** 0.5, rel=0.02)
    x = torch.randn(3, 1, 28, 28)
    assert functional_call(network, a, (x,)).shape == (3, 10)


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(3), nn.Bilinear(2, 2, 2)])
def test_layers_without_known_initial_weights_are_refused(layer):
    with pytest.raises(TypeError, match="batch statistics|no initial weights"):
        initial_parameters(nn.Sequential(layer), Rng.root(0))


@given(
    height=st.integers(14, 29),
    width=st.integers(14, 29),
    n=st.integers(1, 5),
    channels=st.integers(1, 3),
    kernel=st.sampled_from([3, 5]),
)
@settings(max_examples=20, deadline=None)
def test_two_layers_without_a_gradient_are_the_two_layers(height, width, n, channels, kernel):
    """Whatever pooling leaves over, and where the last images are fewer than those before."""
    first, second = nn.Conv2d(channels, 4, kernel).double(), nn.Conv2d(4, 3, 5).double()
    x = torch.randn(n, channels, height, width, dtype=torch.float64)
    with torch.no_grad():
        ours = frozen.convolved(first, second, x, chunk=2)
        torch.testing.assert_close(ours, second(F.relu(F.max_pool2d(first(x), 2))), rtol=1e-11, atol=1e-11)


def test_a_frozen_model_passes_without_what_a_gradient_takes():
    torch.manual_seed(0)
    network, x = ConvNet(10), torch.rand(70, 1, 28, 28)
    model = Model(network, dict(network.named_parameters()), stacked=False)
    assert frozen.suits(network.requires_grad_(False).conv1, network.conv2, x)
    stem = network.stem(x)
    assert stem.stride(0) == 1  # the images are in the innermost place
    network.requires_grad_()
    assert not frozen.suits(network.conv1, network.conv2, x)
    with torch.no_grad():
        assert frozen.suits(network.conv1, network.conv2, x)
    trained = network.stem(x)
    assert trained.requires_grad
    assert trained.stride(0) > 1
    torch.testing.assert_close(model.frozen()(x), model(x), rtol=1e-5, atol=1e-6)
    assert float((stem - trained.detach()).std() / stem.std()) < 5e-6


@pytest.mark.parametrize(("network", "x"), [(ConvNet(10), (70, 1, 28, 28)), (MLP(2, (10, 10), 2), (70, 2))])
def test_a_pass_that_shares_the_stem_equals_one_that_does_not(network, x):
    """Values and gradients, whichever comes first; 70 images are more than a CPU convolves at once."""
    x = torch.randn(x)
    p = initial_parameters(network, Rng.root(0))

    def passes(share):
        parameters = {n: v.clone().requires_grad_() for n, v in p.items()}
        model = Model(network, parameters)
        with torch.no_grad():
            plain = model(x)
        dropped = model(x if share else x.clone(), Rng.root(1))
        return plain, dropped, torch.autograd.grad(dropped.square().sum(), list(parameters.values()))

    shared, apart = passes(True), passes(False)
    assert torch.equal(shared[0], apart[0])
    assert torch.equal(shared[1], apart[1])
    assert all(torch.equal(a, b) for a, b in zip(shared[2], apart[2], strict=True))
    assert not shared[0].requires_grad


def assert_is_the_layer(convolution, layer, x):
    """Values, gradients, their own gradients, and those within `torch.func.grad` and under `vmap`, in float64."""

    def found(convolution):
        value = convolution(x).tanh().sum()
        first = torch.autograd.grad(value, [x, *layer.parameters()], create_graph=True)
        second = torch.autograd.grad(first[0].square().sum(), [x, *layer.parameters()])
        within = vmap(grad(lambda x: convolution(x).tanh().sum()))(torch.stack([x, 2 * x]).detach())
        return value, *first, *second, within

    for ours, plain in zip(found(convolution), found(layer), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kernel", [5, (3, 2)])
def test_a_convolution_with_a_way_of_its_own_back_to_its_input_is_a_convolution(kernel):
    layer = nn.Conv2d(1, 4, kernel).double()
    x = torch.randn(2, 1, 8, 7, dtype=torch.float64, requires_grad=True)
    assert_is_the_layer(partial(convolve, layer), layer, x)
    assert convolve(layer, x).grad_fn.name() != layer(x).grad_fn.name()


@given(height=st.integers(5, 14), width=st.integers(5, 14), n=st.integers(1, 3), out=st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_minimal_filtering_is_a_convolution(height, width, n, out):
    """Of one tile, of some, and of such as reach beyond the image."""
    layer = nn.Conv2d(8, out, 5).double()
    x = torch.randn(n, 8, height, width, dtype=torch.float64, requires_grad=True)
    assert_is_the_layer(lambda x: filtered(x, layer.weight, layer.bias), layer, x)


def test_minimal_filtering_rounds_little():
    torch.manual_seed(0)
    layer, x = nn.Conv2d(20, 40, 5), torch.randn(64, 20, 12, 12).relu()
    layer.requires_grad_(False)
    exact = layer.double()(x.double())
    ours = convolve(layer.float(), x)
    assert float((ours - exact).std() / exact.std()) < 5e-6
    assert torch.equal(ours, filtered(x, layer.weight, layer.bias))
    assert not torch.equal(ours, layer(x))  # the article's second layer goes this way


@pytest.mark.parametrize(("network", "x"), [(ConvNet(10), (70, 1, 28, 28)), (MLP(2, (10, 10), 2), (70, 2))])
def test_the_gradient_in_an_input_is_the_same_constant_alone_as_in_a_stack(network, x):
    x, network = torch.randn(x).double(), network.double()
    p = dict(network.named_parameters())

    def gradient(model):
        with torch.no_grad():
            return model.gradient(lambda x: model(x, Rng.root(0)).square().sum(), x)

    alone, stacked = gradient(Model(network, p, stacked=False)), gradient(Model(network, p))
    x.requires_grad_()
    (plain,) = torch.autograd.grad(network(x, Rng.root(0)).square().sum(), x)
    torch.testing.assert_close(alone, plain, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(stacked, plain, rtol=1e-12, atol=1e-12)
    assert not alone.requires_grad
    assert not stacked.requires_grad


def test_a_network_without_parts_serves_as_well():
    network = nn.Sequential(nn.Linear(3, 2))

    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = network

        def forward(self, x, rng=None):
            return self.layers(x)

    plain, x = Plain(), torch.randn(4, 3)
    model = Model(plain, dict(plain.named_parameters()))
    assert torch.equal(model(x), model(x, Rng.root(0)))
