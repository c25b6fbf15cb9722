"""The option `taehv` of adapters: the file of TAEHV, where that is the autoencoder."""

from pathlib import Path
from typing import Any

import attrs
from attrs.validators import instance_of, optional

from lipar_adapters.catalogue import located
from lipar_adapters.checkpoint_errors import MissingCheckpointError


def only_with_taehv(adapter: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    """An attrs validator for the option; `autoencoder` is declared before it.

    Raises:
        TypeError: it is no text.
        ValueError: it is set, and the autoencoder is another.
    """
    optional(instance_of(str))(adapter, attribute, value)
    if value is not None and adapter.autoencoder != "taehv":
        raise ValueError(
            f"taehv is set to {value!r}, but the autoencoder is {adapter.autoencoder!r}; set adapter.autoencoder "
            "to 'taehv', or leave adapter.taehv out"
        )


def taehv_file(option: str | None, name: str, model_dir: str | None = None) -> Path:
    """Where the file is.

    Args:
        option: of an adapter whose autoencoder is TAEHV; None: the file is looked for by the catalogue.
        name: of the file's model in the catalogue, `taew2_1` or `taew2_2`.
        model_dir: folder of models, as for `lipar_adapters.catalogue.located`.

    Raises:
        MissingCheckpointError: there is no such file.
    """
    if option is None:
        try:
            return located(name, ["taehv"], model_dir)["taehv"]
        except MissingCheckpointError as error:
            raise MissingCheckpointError(
                "the autoencoder taehv has no weights of its own; set adapter.taehv to the released taew2_1.pth (Wan "
                f"2.1 and Wan 2.2 A14B) or taew2_2.pth (Wan 2.2 TI2V 5B), or: {error}"
            ) from error
    path = Path(option).expanduser()
    if not path.is_file():
        raise MissingCheckpointError(f"adapter.taehv: there is no file at {path}")
    return path
