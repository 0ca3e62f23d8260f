"""Small networks as torch modules: `network(x)` without dropout, `network(x, rng)` with dropout drawn from `rng`."""

from sslbench.networks.base import Network
from sslbench.networks.convnet import ConvNet
from sslbench.networks.initial import initial_parameters
from sslbench.networks.mlp import MLP

__all__ = ["MLP", "ConvNet", "Network", "initial_parameters"]
