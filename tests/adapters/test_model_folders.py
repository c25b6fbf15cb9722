"""What a newcomer does without a network: puts files where `lipar models fetch` says, and runs the model."""

from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import pytest
from command_runs import run_command
from model_folders import listed_files, make_files
from toy_hub import serving
from wan_toys import write_motion_folder

from lipar.catalogue.places import place_of
from lipar.video import probe, write_synthetic_clip
from lipar_adapters.catalogue import entries

Run = Callable[..., tuple[int, str, str]]
EDIT = ("--prompt", "a watercolour painting", "--resolution", "48x32", "--device", "cpu", "--quiet")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `lipar ...` on a machine without network and without files of models."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("LIPAR_MODELS", raising=False)
    return lambda *words: run_command(monkeypatch, capsys, *words)


def fetched_by_hand(run: Run, name: str, folder: Path, work: Path) -> None:
    code, said, complained = run("models", "fetch", name, "--model-dir", folder)
    assert code == 1 and "the hub was not reached" in complained
    assert f"--model-dir {folder}" in said
    make_files(listed_files(said), work / name)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    write_synthetic_clip(tmp_path / "in.mp4", frames=9, width=48, height=32)
    return tmp_path / "in.mp4"


@pytest.mark.parametrize("name", ["self-forcing", "causal-forcing-framewise", "causal-forcing-comfyui"])
def test_files_put_where_the_offline_message_says_run_to_a_finished_clip(
    run: Run, clip: Path, tmp_path: Path, name: str
) -> None:
    folder, out = tmp_path / "my models", tmp_path / "out.mp4"
    fetched_by_hand(run, name, folder, tmp_path / "work")
    code, _, complained = run("edit", clip, "-o", out, "--model", name, "--model-dir", folder, *EDIT)
    assert code == 0, complained
    assert (probe(out).width, probe(out).height) == (48, 32)
    _, said, _ = run("models", "--model-dir", folder)
    row = next(line for line in said.splitlines() if line.startswith(f"{name} "))
    assert "complete" in row


def test_taehv_from_the_catalogue_takes_the_place_of_the_autoencoder(
    run: Run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "models", tmp_path / "out.mp4"
    monkeypatch.setenv("LIPAR_MODELS", str(folder))
    for name in ("self-forcing", "taew2_1"):
        fetched_by_hand(run, name, folder, tmp_path / "work")
    for file in folder.glob("*/*/vae/*"):
        file.unlink()
    taehv = ("--set", "adapter.autoencoder=taehv")
    code, _, complained = run("edit", clip, "-o", out, "--model", "self-forcing", *taehv, *EDIT)
    assert code == 0, complained
    assert out.is_file()


@pytest.mark.parametrize("name", ["wan2.2-ti2v-5b", "wan2.2-a14b"])
def test_a_pipeline_by_its_name_makes_a_clip(run: Run, tmp_path: Path, name: str) -> None:
    folder, out = tmp_path / "models", tmp_path / "out.mp4"
    fetched_by_hand(run, name, folder, tmp_path / "work")
    motion = write_motion_folder(tmp_path / "square", 5, "a red square")
    words = (
        "--size",
        "64x48",
        "--steps",
        2,
        "--tweak",
        0,
        "--tstrong",
        1,
        "--dense",
        "--device",
        "cpu",
        "--quiet",
    )
    code, _, complained = run("ttm", motion, "-o", out, "--model", name, "--model-dir", folder, *words)
    assert code == 0, complained
    assert out.is_file()


@pytest.mark.parametrize("named", [True, False], ids=["folder", "cache"])
def test_what_is_fetched_from_a_hub_is_found(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    entry, folder = entries()["self-forcing"], tmp_path / "models"
    files = [place_of(part, tmp_path / "served") / file.path for part in entry.parts for file in part.files]
    make_files(files, tmp_path / "work")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    where = ("--model-dir", folder) if named else ()
    with serving(tmp_path / "served") as hub:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.endpoint)
        template = f"{hub.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        code, said, complained = run("models", "fetch", "self-forcing", "--quiet", *where)
    assert code == 0, complained
    assert said.splitlines()[-1].startswith("self-forcing is here; --model self-forcing")
    code, said, complained = run("check", "--model", "self-forcing", *where)
    assert code == 0 and said.startswith("can run on self-forcing"), complained


def test_without_files_an_edit_names_them_and_the_command_that_fetches_them(
    run: Run, clip: Path, tmp_path: Path
) -> None:
    words = ("edit", clip, "-o", tmp_path / "out.mp4", *EDIT, "--model-dir", tmp_path / "models")
    code, _, complained = run(*words, "--model", "causal-forcing")
    assert code == 1 and not (tmp_path / "out.mp4").exists()
    assert "15 files are missing (at least 23.3 GB)" in complained
    assert "zhuhz22/Causal-Forcing/chunkwise/causal_forcing.pt" in complained
    assert f"looked in {tmp_path / 'models'}, {tmp_path / 'hub'}" in complained
    assert "`lipar models fetch causal-forcing`" in complained


def test_a_part_of_the_files_is_told_as_such(run: Run, clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    fetched_by_hand(run, "self-forcing", folder, tmp_path / "work")
    (folder / "Wan-AI/Wan2.1-T2V-1.3B-Diffusers/text_encoder/model-00003-of-00005.safetensors").unlink()
    words = (
        "edit",
        clip,
        "-o",
        tmp_path / "out.mp4",
        *EDIT,
        "--model-dir",
        folder,
        "--model",
        "self-forcing",
    )
    code, _, complained = run(*words)
    assert code == 1
    assert (
        "1 file is missing (5.0 GB): Wan-AI/Wan2.1-T2V-1.3B-Diffusers/text_encoder/model-00003" in complained
    )
    _, said, _ = run("models", "show", "self-forcing", "--model-dir", folder)
    assert ": partial in " in said and said.count("(missing)") == 1
    _, said, _ = run("models", "fetch", "self-forcing", "--model-dir", folder)
    assert len(listed_files(said)) == 1


def test_a_model_that_no_adapter_runs_is_refused_with_its_use(run: Run, clip: Path, tmp_path: Path) -> None:
    code, _, complained = run("edit", clip, "-o", tmp_path / "out.mp4", *EDIT, "--model", "wan2.1-1.3b")
    assert code == 1 and "no adapter runs it: for lipar.enable" in complained
