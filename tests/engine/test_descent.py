"""Descent on parameters that are parts of one tensor, held against torch's optimizers."""

import pytest
import torch

from sslbench.engine.descent import SGD, Adam, joined

SHAPES = [(4, 3, 5, 5), (4,), (7, 6), (7,)]


def values(stack, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*([stack] if stack else []), *shape, generator=generator, dtype=dtype) for shape in SHAPES]


def descent_of(name, given, stacked, decay=0.0):
    whole, parts = joined(given, stacked)
    made = Adam(whole, parts, stacked, 0.02, decay) if name == "adam" else SGD(whole, parts, stacked, 0.02, decay, 0.9)
    return made, parts


def plain_of(name, given, decay=0.0):
    parts = [value.clone().requires_grad_() for value in given]
    if name == "adam":
        return torch.optim.Adam(parts, lr=0.02, weight_decay=decay), parts
    return torch.optim.SGD(parts, lr=0.02, weight_decay=decay, momentum=0.9), parts


def loss_of(parts, step):
    return sum(((p - 0.1 * step) ** 2).sum() + p.sin().sum() for p in parts)


@pytest.mark.parametrize("stack", [0, 3])
@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_it_descends_as_torch_does(name, decay, stack):
    ours, parts = descent_of(name, values(stack), bool(stack), decay)
    theirs, plain = plain_of(name, values(stack), decay)
    for step in range(20):
        for optimizer, descended in ((ours, parts), (theirs, plain)):
            optimizer.zero_grad()
            loss_of(descended, step).backward()
            optimizer.step()
    for one, other in zip(parts, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_a_rate_that_is_written_is_the_one_that_counts(name):
    ours, parts = descent_of(name, values(0), False)
    before = [p.detach().clone() for p in parts]
    ours.rate.fill_(0.0 if name == "sgd" else 1e-30)
    loss_of(parts, 0).backward()
    ours.step()
    for one, other in zip(parts, before, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-20)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_the_bits_of_a_seed_do_not_depend_on_its_place(name):
    """Nor on whether the ends of a vector register fall within it."""
    given = values(5, torch.float32)
    together, parts = descent_of(name, given, True)
    alone = [descent_of(name, [value[i : i + 1] for value in given], True) for i in range(5)]
    for step in range(5):
        for optimizer, descended in [(together, parts), *alone]:
            optimizer.zero_grad()
            loss_of(descended, step).backward()
            optimizer.step()
    for i, (_, own) in enumerate(alone):
        for one, other in zip(parts, own, strict=True):
            assert torch.equal(one[i], other[0])


def test_without_a_stack_images_lie_channels_last():
    whole, parts = joined(values(0), False)
    assert parts[0].is_contiguous(memory_format=torch.channels_last)
    for part, value in zip(parts, values(0), strict=True):
        assert torch.equal(part, value)
        assert part.requires_grad
        assert part.is_leaf
    rest = whole[sum(value.numel() for value in values(0)) :]
    assert len(rest) < 64
    assert torch.equal(rest, torch.zeros_like(rest))


def test_a_part_without_a_gradient_stays():
    ours, parts = descent_of("sgd", values(0), False)
    before = parts[1].detach().clone()
    parts[0].square().sum().backward()
    ours.step()
    assert torch.equal(parts[1], before)
