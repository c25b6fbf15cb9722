"""Digests of weights and files."""

from pathlib import Path

import torch

from lipar.files.content import file_digest
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar_lab.compare.fingerprint import weights_digest


def test_the_digest_of_weights_sees_every_tensor_and_nothing_else() -> None:
    class Holder:
        def __init__(self, *stored: object) -> None:
            self.stored = stored
            self.myself = self

    linear = torch.nn.Linear(2, 2)
    holder = Holder(linear, {"a": torch.zeros(2, dtype=torch.bfloat16)}, linear.forward, torch.tensor(3))
    before = weights_digest(holder)
    assert (
        weights_digest(
            Holder(linear, {"a": torch.zeros(2, dtype=torch.bfloat16)}, linear.forward, torch.tensor(3))
        )
        == before
    )
    with torch.no_grad():
        linear.bias[1] += 1e-6
    assert weights_digest(holder) != before
    toy = ToyModel(autoencoder=ToyAutoencoder())
    assert weights_digest(toy) == weights_digest(ToyModel(autoencoder=ToyAutoencoder()))
    assert weights_digest(toy) != weights_digest(ToyModel(autoencoder=ToyAutoencoder(), seed=1))


def test_the_digest_of_a_file_is_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_digest(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
