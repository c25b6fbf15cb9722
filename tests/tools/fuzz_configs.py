"""Damages configs, and says what becomes of them on a toy model: they run, or are refused by key and value.

    python tests/tools/fuzz_configs.py FIRST COUNT

Config number N is the same on every run. tests/core/test_config_fuzz.py runs it.
"""

import json
import random
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch

from lipar import ConfigError, Scheduler, build_config
from lipar.bounds import shown
from lipar.config import Config, parse_setting
from lipar.editing.run import edit_video
from lipar.events import EditOptions
from lipar.hookspecs import hookimpl
from lipar.masks.source import SourcePiece
from lipar.plugin.compatibility import check_config
from lipar.plugin.host import PluginHost, load_plugins
from lipar.plugin.parts import make_adapter
from lipar.plugin.registry import Registry
from lipar.spec import ModelSpec
from lipar.testing.toy import ToyAutoencoder, ToyModel

FRAMES = 24
"""Latent frames of the toy's source: whole blocks of 1 to 4 frames, and more than any window that is drawn."""


@attrs.frozen(kw_only=True)
class Toy:
    """A model that runs at once."""

    block_frames: int = attrs.field(default=3, validator=attrs.validators.in_((1, 2, 3, 4)))
    autoencoder: bool = True

    def _model(self) -> ToyModel:
        return ToyModel(
            num_layers=1,
            block_frames=self.block_frames,
            window_frames=2 * self.block_frames,
            autoencoder=ToyAutoencoder() if self.autoencoder else None,
        )

    def spec(self) -> ModelSpec:
        return ModelSpec.of(self._model())

    def load(self, device: torch.device, dtype: torch.dtype) -> ToyModel:
        return self._model()


class ToyPlugin:
    @hookimpl
    def lipar_register_adapters(self, registry: Registry) -> None:
        registry.add("toy", Toy)


HOST: PluginHost = load_plugins(ToyPlugin())


def _source() -> SourcePiece:
    """Half of the picture stays and half changes, so that every block but the first prunes."""
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 1, 4, 8, 8, generator=generator).repeat(1, FRAMES, 1, 1, 1)
    latents[..., 4:] += torch.randn(1, FRAMES, 4, 8, 4, generator=generator)
    pixels = torch.rand(1, 4 * FRAMES, 3, 32, 32, generator=generator)
    return SourcePiece(latents=latents, pixels=pixels)


SOURCE = _source()


def make_masks(folder: Path) -> dict[str, Path]:
    """Files for the criterion `mask`, good and bad."""
    files = {
        name: folder / name for name in ("good.npy", "text.npy", "nan.npy", "text.mp4", "empty.mp4", "no.npy")
    }
    np.save(files["good.npy"], np.eye(8))
    np.save(files["nan.npy"], np.full((8, 8), np.nan))
    files["text.npy"].write_text("no array")
    files["text.mp4"].write_text("no video")
    files["empty.mp4"].touch()
    return files


def says_can_run(config: Config, *, dense: bool = False) -> bool:
    """What `lipar check` says."""
    try:
        check_config(HOST, config, dense=dense)
    except (ConfigError, LookupError):
        return False
    return True


def runs(config: Config, *, dense: bool = False) -> bool:
    """Whether an edit on the toy gets to its end; False where it is refused, an error where it fails otherwise."""
    try:
        model: Any = make_adapter(HOST, config).load(torch.device("cpu"), torch.float32)
    except ConfigError:
        return False
    model.set_prompt("a dog")
    if model.autoencoder is None:
        return _edits(model, config)
    try:
        blocks = list(Scheduler(model, config, host=HOST, dense=dense).run([SOURCE]))
    except (ValueError, LookupError):
        return False
    assert sum(block.layout.frames for block in blocks) == FRAMES
    assert all(bool(block.latents.isfinite().all()) for block in blocks)
    return True


def _edits(model: ToyModel, config: Config) -> bool:
    options = EditOptions(prompt="a dog", output=Path("never.mp4"), synthetic_frames=12, resolution=(32, 32))
    try:
        edit_video(model, config, options, host=HOST)
    except (ValueError, LookupError):
        return False
    return True


def quietly(call: Any, *arguments: Any, **named: Any) -> Any:
    """A call without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(*arguments, **named)


# --- damages ----------------------------------------------------------------------------------------------------

WHOLE = """\
criterion = "l1"
refiners = ["median", "gaussian-threshold", "median", "open-close", "dilate", "keep-movers"]
restorer = "copy"
strength = 0.4
seed = 7
steps = [400, 300, 250]

[adapter]
name = "toy"
block_frames = 3

[prune]
tau_short = 0.15
tau_long = 0.3
long_reference = "kept"
first_frames = 3
scene_cuts = true

[self_redundancy]

[recovery]
name = "m-degree"
degree = 2

[noise]
name = "step-shift"
momentum = 0.5
in_block = true

[cache]
sink_frames = 1
window_frames = 6
positions = "rolling"
"""
"""A config that runs, with a key of every sort."""

KEYS = [
    *(
        "criterion",
        "refiners",
        "restorer",
        "strength",
        "seed",
        "steps",
        "adapter.block_frames",
        "adapter.autoencoder",
    ),
    *("prune.tau_short", "prune.tau_long", "prune.quantile", "prune.keep", "prune.long_reference"),
    *("prune.first_frames", "prune.scene_cuts", "prune", "cache", "cache.sink_frames", "cache.window_frames"),
    *("cache.positions", "self_redundancy.full_steps", "self_redundancy.recheck", "self_redundancy"),
    *(
        "recovery.degree",
        "recovery.weigh",
        "recovery",
        "noise.momentum",
        "noise.in_block",
        "noise",
        "criterion.trim",
    ),
]
NUMBERS = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "0.5",
    "1e-9",
    "1e300",
    "-0.0",
    "inf",
    "-inf",
    "nan",
    "1e400",
    "999999999999",
]
ODD = [
    *NUMBERS,
    *(
        str(10**26),
        "0x7fffffffffffffffffff",
        "9" * 5000,
        "true",
        "false",
        "''",
        "'high'",
        "'l2'",
        "'none'",
        "'kept'",
    ),
    *(
        "[]",
        "[1]",
        "[400, 400]",
        "[0]",
        "[1000, 1]",
        "['median', 'threshold']",
        "['threshold']",
        "[[]]",
        "[" * 900,
    ),
    *("{}", "{name = 'l2'}", "{name = 'l2', normalise = 'released'}", "{name = 3}", "{x = 1}", "{name = ''}"),
    *(
        "{name = 'union', of = ['l1', 'cosine']}",
        "{name = 'union', of = ['l1']}",
        "{name = 'mask', path = 'no.npy'}",
    ),
    *("1979-05-27", "07:32:00", "'\\u001b[2J'", '"\\ud7ff"', "'a\tb'", "'\u202e'", "[1, 'a']", "{a.b.c = 1}"),
]
"""Values as TOML has them, many of them not for the key that they are given to."""
TRAILS = [
    "\n",
    "\nfoo = 2",
    "\nseed = 1",
    " # one",
    "\n[prune]\nkeep = 0.5",
    ", 2",
    "] # [",
    " 3",
    "\r",
    "\x00",
    "\n\n",
]


def damaged_text(rng: random.Random) -> tuple[str, list[Any], list[str]]:
    """A config file with characters deleted, put in, doubled or exchanged."""
    text = WHOLE
    for _ in range(rng.randint(1, 3)):
        place, length = rng.randrange(len(text)), rng.choice([1, 1, 2, 8, 40])
        piece = text[place : place + length]
        new = rng.choice(
            ["", piece * 2, piece[::-1], rng.choice("=[]{}'\"#.,\n\t \x00\x1b\u202eé9-"), rng.choice(ODD)]
        )
        text = text[:place] + new + text[place + length :]
    return text, [], []


def damaged_value(rng: random.Random) -> tuple[str, list[Any], list[str]]:
    """One value exchanged for another."""
    key, value = rng.choice(KEYS), rng.choice(ODD)
    return WHOLE, [f"{key}={value}"], [key, value]


def damaged_key(rng: random.Random) -> tuple[str, list[Any], list[str]]:
    """One key misspelt."""
    key = rng.choice(KEYS)
    place = rng.randrange(len(key))
    new = rng.choice(["", key[place] * 2, rng.choice("_-x.9 \n\x1bé'\"[]"), key[place].upper()])
    misspelt = key[:place] + new + key[place + 1 :]
    return WHOLE, [f"{misspelt}={rng.choice(['1', '0.5', 'true', 'l1'])}"], [misspelt]


def damaged_settings(rng: random.Random) -> tuple[str, list[Any], list[str]]:
    """Several settings, some with text behind their value."""
    settings = []
    for _ in range(rng.randint(1, 4)):
        trail = rng.choice(TRAILS) if rng.random() < 0.4 else ""
        settings.append(f"{rng.choice(KEYS)}{rng.choice(['=', ' = ', '='])}{rng.choice(ODD)}{trail}")
    return WHOLE, settings, []


def sound_numbers(rng: random.Random) -> tuple[str, list[Any], list[str]]:
    """Numbers that may well be meant, several at a time."""
    some = {
        "strength": rng.choice(["0.0", "0.2", "1.0"]),
        "seed": str(rng.randrange(2**64)),
        "cache.window_frames": str(rng.randrange(0, 10)),
        "cache.sink_frames": str(rng.randrange(0, 6)),
        "prune.tau_short": f"{rng.uniform(0.001, 3):.3f}",
        "prune.tau_long": f"{rng.uniform(0.1, 6):.3f}",
        "prune.first_frames": str(rng.randrange(1, 9)),
        "recovery.degree": str(rng.randrange(1, 5)),
        "noise.momentum": f"{rng.uniform(0, 0.99):.2f}",
        "adapter.block_frames": str(rng.randrange(1, 5)),
    }
    return WHOLE, [f"{key}={some[key]}" for key in rng.sample(sorted(some), rng.randint(1, 5))], []


KINDS: list[Callable[[random.Random], tuple[str, list[Any], list[str]]]] = [
    *(damaged_text, damaged_value, damaged_value, damaged_key, damaged_settings, sound_numbers)
]


def damaged(number: int) -> tuple[str, str, list[Any], list[str]]:
    """Kind, text and settings of a damaged config, and what a refusal must name: perhaps the key, and its value."""
    rng = random.Random(number)
    kind = KINDS[number % len(KINDS)]
    return (kind.__name__, *kind(rng))


def verdict(text: str, settings: list[Any], named: list[str], folder: Path) -> tuple[str, str]:
    """`runs`, `refused` with what was said, or what must not be."""
    file = folder / "damaged.toml"
    file.write_text(text, "utf-8")
    try:
        config = build_config(file=file, settings=settings)
        if config.adapter.name != "toy":
            return "refused", "another adapter"
        does_run = runs(config)
        try:
            check_config(HOST, config)
        except ConfigError:
            if does_run:
                return "refused, but it runs", traceback.format_exc()[-2000:]
            raise
        return ("runs", "") if does_run else ("said to run, but it is refused", "")
    except ConfigError as error:
        said = str(error)
        if not said or len(said) > 3000:
            return "refused without a word, or with too many", said[:200]
        if named and not names(said, named[0]):
            return "refused without its key", said
        if named[1:] and not tells(said, named[1]):
            return "refused without its value", said
        return "refused", said
    except Exception:
        return "an error of another kind", traceback.format_exc()[-2000:]


def names(said: str, key: str) -> bool:
    """Whether a message names a key, a part of it, or the whole as it was typed."""
    parts = [part.strip() for part in key.split(".")]
    return shown(key)[1:-1] in said or any(
        part and (part in said or shown(part)[1:-1] in said) for part in parts
    )


OF_SEVERAL = (
    *(
        "in one way",
        "the refiners make no mask",
        "self_redundancy reads",
        "tau_long must be at least",
        "window of",
    ),
    *(
        "has no default thresholds",
        "no autoencoder",
        "there is no mask",
        "cannot do without",
        "counts from the first",
    ),
    *("one value after the =", "has no option", "unknown key", "refiners: "),
)
"""What is refused because of several keys together, or before any value is looked at."""


def tells(said: str, value: str) -> bool:
    """Whether a message says which value it refuses, or a part of it."""
    parsed = parse_setting(f"x={value}")["x"]
    parts = list(parsed.values()) if isinstance(parsed, dict) else parsed if isinstance(parsed, list) else []
    told = any(shown(part) in said for part in (parsed, *parts)) or repr(parsed) in said
    return told or any(reason in said for reason in OF_SEVERAL)


def main(first: int, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + count):
            kind, *config = damaged(number)
            came, said = quietly(verdict, *config, Path(folder))
            sys.stdout.write(
                json.dumps({"number": number, "kind": kind, "verdict": came, "said": said}) + "\n"
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
