"""Layers of small causal video autoencoders, against their plain formulation."""

from collections.abc import Iterable

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from lipar.testing.closeness import assert_near
from lipar_adapters.frame_layers import (
    FrameLayer,
    MemoryBlock,
    State,
    enlarge,
    frames_together,
    join_in_time,
    per_frame,
    run_in_groups,
    run_layers,
    split_in_time,
)


class Block(MemoryBlock):
    """The smallest memory block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, channels, 3, padding=1)

    def update(self, both: Tensor) -> Tensor:
        return self.conv(both)


class Grow(FrameLayer):
    """One frame becomes two, at twice the size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.split = nn.Conv2d(channels, 2 * channels, 1)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        return per_frame(
            lambda images: enlarge(images, self.conv), split_in_time(per_frame(self.split, features), 2)
        )


def layers(dtype: torch.dtype = torch.float32) -> nn.ModuleList:
    torch.manual_seed(0)
    first = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(inplace=True))
    return nn.ModuleList([first, Block(3), Grow(3), Block(3), Block(3)]).to(dtype)


def plainly(network: Iterable[nn.Module], features: Tensor) -> Tensor:
    """A whole clip through the layers: nothing in place, channels first."""
    for layer in network:
        if isinstance(layer, Block):
            earlier = F.pad(features, (0, 0, 0, 0, 0, 0, 1, -1))
            both = torch.cat([features, earlier], 2).flatten(0, 1)
            update = F.conv2d(both, layer.conv.weight, layer.conv.bias, padding=1)
            features = F.relu(features + update.unflatten(0, features.shape[:2]))
        elif isinstance(layer, Grow):
            split = layer.split(features.flatten(0, 1)).unflatten(0, features.shape[:2])
            split = rearrange(split, "b t (p c) h w -> (b t p) c h w", p=2)
            grown = layer.conv(F.interpolate(split, scale_factor=2))
            features = grown.unflatten(0, (features.shape[0], -1))
        else:
            assert isinstance(layer, nn.Sequential)
            features = F.relu(layer[0](features.flatten(0, 1))).unflatten(0, features.shape[:2])
    return features


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 2)])
def test_layers_give_what_their_plain_formulation_gives(size: tuple[int, int]) -> None:
    network, features = layers(), torch.randn(2, 4, 2, *size)
    made, _ = run_layers(network, features, None)
    assert_near(made, plainly(network, features), 4e-5)


@torch.no_grad()
@pytest.mark.parametrize("group", [1, 2, 3, 100])
def test_groups_of_frames_and_calls_continue_each_other(group: int) -> None:
    network, features = layers(), torch.randn(1, 7, 2, 4, 6)
    state: State | None = None
    made = []
    for piece in features.split([2, 4, 1], 1):
        some, state = run_in_groups(network, piece, state, group)
        made.append(some)
    assert_near(torch.cat(made, 1), plainly(network, features), 4e-5)
    assert state is not None
    assert [tuple(entry.shape) for entry in state] == [(1, 1, 3, 4, 6), (1, 1, 3, 8, 12), (1, 1, 3, 8, 12)]


@torch.no_grad()
def test_no_layer_changes_what_it_was_given() -> None:
    network, features = layers(), torch.randn(1, 2, 2, 4, 6)
    made, state = run_layers(network, features, None)
    given = [features, made, *state]
    before = [tensor.clone() for tensor in given]
    run_layers(network, features, state)
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))


@torch.no_grad()
def test_a_state_holds_the_memory_of_one_frame() -> None:
    _, state = run_layers(layers(), torch.randn(1, 8, 2, 4, 6), None)
    assert all(entry.untyped_storage().nbytes() == entry.numel() * 4 for entry in state)


def test_gradients_are_those_of_the_plain_formulation() -> None:
    network = layers(torch.float64)
    features = torch.randn(1, 3, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    of = [features, *network.parameters()]
    weight = torch.randn(1, 6, 3, 6, 8, dtype=torch.float64)
    found = torch.autograd.grad((run_in_groups(network, features, None, 2)[0] * weight).sum(), of)
    wanted = torch.autograd.grad((plainly(network, features) * weight).sum(), of)
    for one, other in zip(found, wanted, strict=True):
        assert_near(one, other, 1e-12)


@torch.no_grad()
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (2, 7), (9, 4)])
def test_enlarging_is_repetition_and_a_convolution(size: tuple[int, int], bias: bool) -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 5, 3, padding=1, bias=bias)
    images = torch.randn(2, 3, *size)
    assert_near(enlarge(images, convolution), convolution(F.interpolate(images, scale_factor=2)), 1e-5)


def test_frames_are_split_and_joined_in_the_order_of_their_channels() -> None:
    features = torch.randn(2, 3, 8, 4, 5)
    assert torch.equal(split_in_time(features, 2), rearrange(features, "b t (p c) h w -> b (t p) c h w", p=2))
    assert torch.equal(join_in_time(split_in_time(features, 4), 4), features)


def test_a_cpu_computes_few_latents_together_and_an_accelerator_all() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert frames_together(10**6, cpu) == 1
    assert frames_together(60, cpu) == 20
    assert frames_together(10**6, gpu) > 10**6
