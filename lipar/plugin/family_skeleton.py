"""What `lipar new-plugin --adapter` writes: a family of transformers for `lipar.enable`, with a toy that is pruned."""

_PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "@distribution@"
version = "0.1.0"
description = "Teaches lipar.enable the transformers of @short@."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["lipar"]

[project.optional-dependencies]
test = ["lipar[test]"]

[project.entry-points.lipar]
@short@ = "@module@.plugin"

[tool.hatch.build.targets.wheel]
only-include = ["@module@"]

[tool.pytest.ini_options]
testpaths = ["tests"]
"""

_README = """\
# @distribution@

Teaches `lipar.enable` the transformers of `@short@`.

```sh
pip install torch==2.13.0   # first, on a machine without a GPU
pip install -e ".[test]"
pytest                      # the laws of an enabled transformer, on the toy
```

The toy in `@module@/model.py` has the layout of diffusers' video transformers. To support a real one:

1. In `@module@/target.py`, name its class in `transformer` and `supported`, and its pipelines in `pipelines`.
2. In `@module@/seam.py`, say where its parts are and what its arguments hold.
3. In `tests/test_target.py`, make a small one of random weights, and call it as its pipelines do.
4. Delete `@module@/model.py`, and run `pytest` until every law holds.

lipar's page "Teach enable another family" has the details, with LTX-Video as the example.
"""

_PLUGIN = '''\
"""Offers the family to lipar; loads neither a model library nor the model."""

from @module@.target import @name@Target

from lipar.hookspecs import hookimpl
from lipar.plugin.registry import Registry


@hookimpl
def lipar_register_targets(registry: Registry) -> None:
    registry.add("@short@", @name@Target)
'''

_TARGET = '''\
"""How `lipar.enable` recognises and describes the transformers of @short@."""

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
from einops import rearrange
from torch import Tensor

from lipar.enabling.target_info import TargetInfo
from lipar_adapters.stock.target import StockTarget

if TYPE_CHECKING:
    from lipar_adapters.stock.seam import StockSeam


@attrs.frozen
class @name@Target(StockTarget):
    """Transformers of @short@; what attaches and detaches a session is in `StockTarget`."""

    supported: ClassVar[str] = "@module@.model.@name@Transformer"
    transformer: ClassVar[tuple[str, str]] = ("@module@.model", "@name@Transformer")
    # pipelines: ClassVar = (("diffusers.pipelines.@module@.pipeline", "@name@Pipeline"),)
    # and `pipeline_kind`, which returns an `EnabledPipeline` whose `seam` is that of this family

    @staticmethod
    def seam_kind() -> "type[StockSeam]":
        from @module@.seam import @name@Seam

        return @name@Seam

    def describe(self, target: Any) -> TargetInfo:
        transformers = self.checked_transformers(target)
        patch, channels = self.seam_kind().form_of(next(iter(transformers.values())))
        return TargetInfo(
            # a pipeline whose first frame is a clean image adds "clean-first-frame"
            facts=frozenset({"attention-bias", "source"}),
            patch_size=patch,
            channels=channels,
            latents_of_tokens=partial(latents_of_tokens, patch=patch),
            # of a pipeline also: clock=partial(schedule_point, target), encode, pixels, thresholds
        )


def latents_of_tokens(tokens: Tensor, grid: tuple[int, int, int], *, patch: tuple[int, int, int]) -> Tensor:
    """Output tokens `b places d` as latents `b t c h w`; their features have the order of your model's output."""
    (frames, rows, cols), (f, p, q) = grid, patch
    sizes = {"t": frames, "h": rows, "w": cols, "f": f, "p": p, "q": q}
    return rearrange(tokens, "b (t h w) (c f p q) -> b (t f) c (h p) (w q)", **sizes)
'''

_SEAM = '''\
"""Where the parts of a @short@ transformer are, and what the arguments of its forward hold."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from lipar_adapters.stock.arguments import Arguments
from lipar_adapters.stock.seam import StockSeam


class @name@Seam(StockSeam):
    """lipar's hooks on one transformer; projections in self-attention are those of `ContextSelfAttention`.

    If your processor has others (no norm, another order), derive from `ContextSelfAttention`, override `project`, and
    set `attention_kind`.
    """

    model: ClassVar[str] = "@name@Transformer"
    parts: ClassVar[tuple[str, ...]] = ("rope", "embed", "layers", "project")
    processor: ClassVar[str] = "@name@AttnProcessor"
    parameters: ClassVar[tuple[str, ...]] = ("hidden_states", "timestep", "encoder_hidden_states")

    @staticmethod
    def form_of(transformer: Any) -> tuple[tuple[int, int, int], int]:
        return (1, 1, 1), transformer.project.out_features

    @staticmethod
    def self_attentions(transformer: Any) -> Sequence[Any]:
        return [layer.attn1 for layer in transformer.layers]

    def hooks(self) -> Iterator[tuple[nn.Module, Any]]:
        yield self.transformer.rope, self._see_rotation
        yield self.transformer.embed, self.prune_tokens
        yield self.transformer.project, self.restore_tokens

    def grid_of(self, call: Arguments) -> tuple[int, int, int]:
        frames, rows, cols = call["hidden_states"].shape[2:]
        return frames, rows, cols

    def noisy_of(self, call: Arguments) -> Tensor:
        return call["hidden_states"].flatten(2).transpose(1, 2)

    def _see_rotation(self, module: nn.Module, args: Any, output: tuple[Tensor, Tensor]) -> None:
        self.see_rotation(*output)
'''

_MODEL = '''\
"""A toy in the layout of diffusers' video transformers; the transformer of your family takes its place."""

from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import Tensor, nn


class @name@AttnProcessor:
    """Attention over one set of tokens, or from one to another."""

    _attention_backend = None
    _parallel_config = None

    def __call__(
        self, attn: Any, tokens: Tensor, prompt: Tensor | None = None, mask: Any = None, rotation: Any = None
    ) -> Tensor:
        context = tokens if prompt is None else prompt
        q, k, v = attn.norm_q(attn.to_q(tokens)), attn.norm_k(attn.to_k(context)), attn.to_v(context)
        q, k, v = (states.unflatten(2, (attn.heads, -1)) for states in (q, k, v))
        if rotation is not None:
            q, k = rotated(q, *rotation), rotated(k, *rotation)
        attended = dispatch_attention_fn(q, k, v, attn_mask=mask, backend=self._attention_backend)
        return attn.to_out[1](attn.to_out[0](attended.flatten(2)))


def rotated(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Queries or keys rotated by the angles of their places; channels are interleaved pairs."""
    even, odd = states.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = cos[:, None], sin[:, None]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, context: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = nn.Linear(width, width), nn.Linear(context, width), nn.Linear(context, width)
        self.norm_q, self.norm_k = nn.RMSNorm(width, eps=1e-5), nn.RMSNorm(width, eps=1e-5)
        self.to_out = nn.ModuleList([nn.Linear(width, width), nn.Identity()])
        self.processor: Any = @name@AttnProcessor()

    def set_processor(self, processor: Any) -> None:
        self.processor = processor

    def forward(self, tokens: Tensor, prompt: Tensor | None = None, rotation: Any = None) -> Tensor:
        return self.processor(self, tokens, prompt, None, rotation)


class Layer(nn.Module):
    def __init__(self, width: int, heads: int, text: int) -> None:
        super().__init__()
        self.attn1, self.attn2 = Attention(width, heads, width), Attention(width, heads, text)
        self.feed_forward = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, tokens: Tensor, prompt: Tensor, rotation: Any) -> Tensor:
        tokens = tokens + self.attn1(tokens, rotation=rotation)
        tokens = tokens + self.attn2(tokens, prompt)
        return tokens + self.feed_forward(tokens)


class Rope(nn.Module):
    """Angles of a place: its frame, row and column turn as many pairs of channels each."""

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        self.pairs = head_dim // 6

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        places = torch.cartesian_prod(*(torch.arange(size, device=latents.device) for size in latents.shape[2:]))
        frequencies = 0.1 ** torch.arange(self.pairs, device=latents.device)
        angles = (places[:, :, None] * frequencies).flatten(1).float()
        return angles.cos(), angles.sin()


class @name@Transformer(nn.Module):
    """Predicts the velocity of noisy latents `b c t h w`; each latent is a token."""

    def __init__(self, channels: int = 4, heads: int = 2, head_dim: int = 12, layers: int = 2, text: int = 8) -> None:
        super().__init__()
        width = heads * head_dim
        self.rope, self.embed, self.project = Rope(head_dim), nn.Linear(channels, width), nn.Linear(width, channels)
        self.time = nn.Linear(1, width)
        self.layers = nn.ModuleList([Layer(width, heads, text) for _ in range(layers)])

    def forward(self, hidden_states: Tensor, timestep: Tensor, encoder_hidden_states: Tensor) -> Tensor:
        rotation = self.rope(hidden_states)
        tokens = self.embed(hidden_states.flatten(2).transpose(1, 2))
        tokens = tokens + self.time(timestep[:, None, None] / 1000)
        for layer in self.layers:
            tokens = layer(tokens, encoder_hidden_states, rotation)
        return self.project(tokens).transpose(1, 2).unflatten(2, hidden_states.shape[2:])
'''

_TESTS = '''\
"""The toy keeps the laws of an enabled transformer, and is recognised once the distribution is installed."""

import pytest
import torch
from @module@.model import @name@Transformer
from @module@.target import @name@Target

from lipar import load_plugins
from lipar.testing.contracts import contract
from lipar.testing.enabled import TransformerCase, enabled_laws

GRID = (3, 2, 3)


def toy():
    torch.manual_seed(0)
    return @name@Transformer().eval()


def forward(transformer, noisy, timestep):
    latents = noisy.transpose(1, 2).unflatten(2, GRID)
    prompt = torch.ones(1, 5, 8)
    return transformer(latents, torch.tensor([timestep]), prompt).flatten(2).transpose(1, 2)


@pytest.fixture(scope="module")
def case():
    return TransformerCase(make=toy, forward=forward, grid=GRID, features=4)


@pytest.mark.parametrize("law", enabled_laws(), ids=lambda law: law.__name__)
def test_an_enabled_transformer_keeps_the_laws(case, law):
    law(case)


@pytest.mark.parametrize("law", contract("target"), ids=lambda law: law.__name__)
def test_the_target_keeps_the_contract_of_its_kind(law):
    law(@name@Target)


def test_it_is_found_once_the_distribution_is_installed():
    assert "@short@" in load_plugins().registries["target"]
'''

FILES = {
    "pyproject.toml": _PYPROJECT,
    "README.md": _README,
    "@module@/__init__.py": '"""Teaches lipar.enable the transformers of @short@."""\n',
    "@module@/plugin.py": _PLUGIN,
    "@module@/target.py": _TARGET,
    "@module@/seam.py": _SEAM,
    "@module@/model.py": _MODEL,
    "tests/test_target.py": _TESTS,
}
"""Text of each file by its path; `@word@` stands for a word of `lipar.plugin.skeleton.words_of`."""


def family_skeleton(words: dict[str, str]) -> dict[str, str]:
    """The files of a new distribution, by their paths in its folder.

    Args:
        words: `short`, `distribution`, `module` and `name`, see `lipar.plugin.skeleton.words_of`.
    """
    files = {}
    for path, text in FILES.items():
        for word, value in words.items():
            path, text = path.replace(f"@{word}@", value), text.replace(f"@{word}@", value)
        files[path] = text
    return files
