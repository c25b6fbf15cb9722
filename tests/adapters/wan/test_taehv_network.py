"""The network of TAEHV: the names and shapes of its released files, and inputs that stay as they are."""

import pytest
import torch
from taehv_toys import NAMES, taehv_state

from lipar_adapters.wan.taehv_network import VERSIONS, TaehvNetwork


@pytest.mark.parametrize("version", VERSIONS.values(), ids=lambda version: version.name)
def test_names_and_shapes_are_those_of_the_files(version):
    assert NAMES[version.name] == (version.latent_channels, version.patch)
    wanted = {name: tensor.shape for name, tensor in taehv_state(version.name).items()}
    with torch.device("meta"):
        network = TaehvNetwork(version)
    assert {name: tensor.shape for name, tensor in network.state_dict().items()} == wanted


@torch.no_grad()
def test_inputs_and_states_stay_as_they_are():
    network = TaehvNetwork(VERSIONS[3])
    latents = torch.randn(1, 2, 16, 2, 3)
    pixels, state = network.decode(latents, None)
    head = network.encode_head(pixels[:, :4])
    _, encoded_state = network.encode_group(head, None)
    given = [latents, head, *state, *encoded_state]
    before = [tensor.clone() for tensor in given]
    network.decode(latents, state)
    network.encode_group(head, encoded_state)
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))
