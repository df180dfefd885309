"""Counting against layers worked out by hand and against PyTorch's own FLOP counter."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from switchbench.measure import counting
from switchbench.spec.scope import Scope

FC = Scope(layers="fc")


class Reused(nn.Module):
    """Grouped, strided and padded convolutions, a layer used twice, a norm, biases."""

    def __init__(self) -> None:
        super().__init__()
        self.grouped = nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2)
        self.norm = nn.BatchNorm2d(8)
        self.twice = nn.Conv2d(8, 8, 1, bias=False)
        self.out = nn.Linear(8 * 16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.twice(self.twice(self.norm(self.grouped(x))))
        out: torch.Tensor = self.out(x.flatten(1))
        return out


def test_by_hand() -> None:
    network = Reused()
    count = counting.count(network, FC.of(network), torch.zeros(1, 4, 8, 8))
    weights = {"grouped": 8 * 2 * 9, "twice": 64, "out": 640}
    positions = {"grouped": 16, "twice": 2 * 16, "out": 1}
    assert count.macs == count.macs_dense == sum(weights[name] * positions[name] for name in weights)
    assert count.parameters == sum(weights.values()) + 8 + 16 + 5
    assert (count.density, count.density_prunable) == (1, 1)
    assert count.density_network == (count.parameters - 8) / count.parameters  # the norm's bias is zero


def test_densities_by_scope() -> None:
    network = Reused()
    with torch.no_grad():
        network.out.weight[:, 64:] = 0
        network.grouped.weight[0] = 0
    image = torch.zeros(1, 4, 8, 8)
    fc, everything = (counting.count(network, scope.of(network), image) for scope in (FC, Scope()))
    assert fc.density == 0.5
    assert everything.density == fc.density_prunable == (640 / 2 + 64 + 7 / 8 * 144) / (640 + 64 + 144)
    assert fc.density_layers == {"grouped": 7 / 8, "twice": 1.0, "out": 0.5}
    assert fc.macs == 126 * 16 + 64 * 32 + 320


@pytest.mark.parametrize("shape", [(1, 4, 8, 8), (1, 4, 8)])
def test_against_the_flop_counter_of_pytorch(shape: tuple[int, ...]) -> None:
    flat = nn.Sequential(nn.Conv1d(4, 6, 3), nn.Flatten(), nn.Linear(36, 2))
    network, image = Reused() if len(shape) == 4 else flat, torch.zeros(shape)
    with FlopCounterMode(display=False) as counter:
        network.eval()(image)
    counted = counting.count(network, Scope().of(network), image).macs_dense
    assert counted
    assert counted * 2 == counter.get_total_flops()


def test_counting_changes_nothing() -> None:
    network = Reused().train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    counting.count(network, Scope().of(network), torch.randn(1, 4, 8, 8))
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not network.out._forward_hooks


def test_bytes_of_a_layer_by_hand() -> None:
    last = nn.Linear(20, 3, bias=False)
    network = nn.Sequential(last)
    with torch.no_grad():
        last.weight[:, 2:] = 0
    layer = counting.count_layers(network, torch.zeros(1, 20))["0"]
    assert (layer.kind, layer.shape, layer.kept, layer.density) == ("Linear", (3, 20), 6, 0.1)
    # 60 values; 6 values, 6 columns and 4 row starts; 6 values and 60 bits
    assert layer.storage == {"dense": 240, "csr": 4 * (6 + 6 + 4), "bitmask": 4 * 6 + 8}


def test_a_layer_that_is_used_without_a_call_leaves_the_macs_unknown() -> None:
    attention = nn.MultiheadAttention(8, 2)

    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention, self.last = attention, nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.last(self.attention(x, x, x)[0])
            return out

    network = Attends()
    count = counting.count(network, FC.of(network), torch.zeros(3, 8))
    assert (count.macs, count.macs_dense, count.macs_shrunk) == (None, None, None)
    assert count.density == 1


def test_units_that_do_nothing_cost_nothing_once_they_are_out() -> None:
    first, last = nn.Linear(4, 3), nn.Linear(3, 2)
    network = nn.Sequential(first, nn.ReLU(), last)
    with torch.no_grad():
        first.weight[0] = 0  # nothing makes the first neuron
        last.weight[:, 1] = 0  # and nothing reads the second
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    count = counting.count(network, FC.of(network), torch.zeros(1, 4))
    assert (count.macs_dense, count.macs, count.macs_shrunk) == (18, 8 + 4, 4 + 2)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_csr_bytes_are_those_of_torchs_own_tensor() -> None:
    weight = torch.randn(30, 50) * (torch.rand(30, 50) < 0.1)
    layer = nn.Linear(50, 30)
    layer.weight.data.copy_(weight)
    counted = counting.count_layers(layer, torch.zeros(1, 50))[""]
    csr = weight.to_sparse_csr()
    parts = (csr.values(), csr.col_indices().int(), csr.crow_indices().int())
    assert counted.storage["csr"] == sum(part.numel() * part.element_size() for part in parts)
