"""Initial weights, drawn from a key."""

from __future__ import annotations

from torch import Tensor, nn

from sslbench.rng import Rng


def initial_parameters(network: nn.Module, rng: Rng) -> dict[str, Tensor]:
    """Weights and biases of each linear and convolution layer from U(−1/√fan_in, 1/√fan_in), torch's own default.

    Raises:
        TypeError: the network has other layers with parameters, or buffers (batch statistics), which a
            pure function of parameters and inputs cannot carry.
    """
    if buffers := [name for name, _ in network.named_buffers()]:
        raise TypeError(f"networks here have no buffers, but this one has {buffers[0]}: use no batch statistics")
    parameters = {}
    for prefix, layer in network.named_modules():
        own = dict(layer.named_parameters(recurse=False))
        if own and not isinstance(layer, nn.Linear | nn.Conv2d):
            raise TypeError(f"no initial weights are known for {type(layer).__name__} ({prefix})")
        for name, parameter in own.items():
            assert isinstance(layer.weight, Tensor)
            bound = layer.weight[0].numel() ** -0.5
            path = f"{prefix}.{name}" if prefix else name
            parameters[path] = (rng.child(path).uniform(*parameter.shape) * 2 - 1) * bound
    return parameters
