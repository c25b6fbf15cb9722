"""Made-up tiny files for tests, laid out as the released ones are: a list of paths becomes files that load."""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from taehv_toys import taehv_state
from wan_toys import original_names, save_pipeline, save_wan_folder, toy_transformer

SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.safetensors")
PIPELINES = {
    "Wan2.1-T2V-1.3B-Diffusers": "t2v",
    "Wan2.2-TI2V-5B-Diffusers": "t2v-5b",
    "Wan2.2-I2V-A14B-Diffusers": "i2v-a14b",
    "Wan2.2-T2V-A14B-Diffusers": "t2v-a14b",
}
"""The toy pipeline that stands for each repository."""
LISTED = re.compile(r"^  (?P<size>.{9})  (?P<path>/.+)$")


def listed_files(said: str) -> list[Path]:
    """The paths in what `lipar models fetch` says without a network, as a person would copy them."""
    return [Path(found["path"]) for line in said.splitlines() if (found := LISTED.match(line))]


def make_files(paths: Sequence[Path], work: Path) -> None:
    """Write tiny files at exactly these paths.

    Args:
        paths: `.../OWNER/NAME/FILE`, of repositories that tests know.
        work: an empty folder.
    """
    whole: dict[str, Path] = {}
    # an index names what is in the shards, so it comes after them
    for path in sorted(paths, key=lambda each: each.name.endswith(".index.json")):
        path.parent.mkdir(parents=True, exist_ok=True)
        repository = next((part for part in path.parts if part in PIPELINES), None)
        if repository is None:
            save_checkpoint(path)
            continue
        if repository not in whole:
            whole[repository] = save_whole(work / repository, PIPELINES[repository])
        inside = Path(*path.parts[path.parts.index(repository) + 1 :])
        copy_file(whole[repository], inside, path)


def save_whole(folder: Path, kind: str) -> Path:
    """Write a whole pipeline, each model in one file."""
    if kind == "t2v":
        save_pipeline(folder, kind)
        shutil.rmtree(folder / "transformer")
        save_wan_folder(folder)
    else:
        save_pipeline(folder, kind)
    return folder


def copy_file(whole: Path, inside: Path, path: Path) -> None:
    """Write one file of a repository from a whole folder: as it is, as a shard, or as the index of shards."""
    shard = SHARD.fullmatch(inside.name)
    if (whole / inside).is_file():
        shutil.copy(whole / inside, path)
    elif shard is not None:
        tensors = load_file(whole / inside.parent / f"{shard['stem']}.safetensors")
        save_file(shards_of(tensors, int(shard["count"]))[int(shard["number"]) - 1], path, {"format": "pt"})
    elif inside.name.endswith(".index.json"):
        write_index(path)
    else:  # a tokenizer of another kind has these, and the toy's reads neither
        assert inside.name in ("special_tokens_map.json", "spiece.model"), inside
        path.write_text("{}" if inside.suffix == ".json" else "")


def shards_of(tensors: dict[str, torch.Tensor], count: int) -> list[dict[str, torch.Tensor]]:
    """The tensors in turn over so many files."""
    names = sorted(tensors)
    return [{name: tensors[name] for name in names[number::count]} for number in range(count)]


def write_index(path: Path) -> None:
    """Write the index of the shards that lie beside it."""
    stem = path.name.removesuffix(".safetensors.index.json")
    names = {}
    for shard in sorted(path.parent.glob(f"{stem}-*-of-*.safetensors")):
        names |= dict.fromkeys(load_file(shard), shard.name)
    path.write_text(json.dumps({"metadata": {}, "weight_map": names}))


def save_checkpoint(path: Path, transformer: Any = None) -> Path:
    """Write a file of weights alone, in the layout that its name stands for."""
    state = original_names(transformer or toy_transformer())
    if path.name == "taew2_1.pth":
        torch.save(taehv_state(path.name), path)
    elif path.name == "taew2_2.safetensors":
        save_file(taehv_state("taew2_2.pth"), path)
    elif path.suffix == ".safetensors":
        named = {f"model.diffusion_model.{name}": tensor.contiguous() for name, tensor in state.items()}
        save_file(named, path, {"format": "pt"})
    else:
        named = {f"model._fsdp_wrapped_module.{name}": tensor for name, tensor in state.items()}
        torch.save({"generator_ema": named}, path)
    return path
