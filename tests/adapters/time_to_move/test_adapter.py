"""The adapter `ttm`: what each model gives, its defaults, and that it is what `lipar ttm` asks for."""

import shutil

import pytest
import torch
from taehv_toys import save_taehv
from wan_toys import save_pipeline

from lipar.plugin.compatibility import Giver
from lipar_adapters.time_to_move.adapter import FROM_FOLDER, NEGATIVE_PROMPT, TimeToMove
from lipar_adapters.time_to_move.motion import MotionAdapter


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders as Wan's releases have them: the 5B's is that of a text-to-video pipeline."""
    root = tmp_path_factory.mktemp("wan")
    return {kind: save_pipeline(root / kind, kind) for kind in ("t2v-5b", "i2v-a14b")}


def test_time_to_move_gives_a_clean_first_frame_where_the_image_is_among_the_tokens(folders):
    clean = "clean-first-frame"
    assert clean in TimeToMove().gives
    assert clean in TimeToMove(model=str(folders["t2v-5b"])).gives
    assert clean not in TimeToMove(model=str(folders["i2v-a14b"])).gives
    assert clean in Giver.of(TimeToMove, "of the class").facts


def test_the_command_can_run_it():
    assert isinstance(TimeToMove(), MotionAdapter)


@pytest.mark.parametrize(("kind", "family"), [("t2v-5b", "wan2.2-ti2v"), ("i2v-a14b", "wan2.2-a14b")])
def test_a_folder_has_the_defaults_of_its_family(folders, kind, family):
    model = TimeToMove(model=str(folders[kind])).load_motion(torch.device("cpu"), torch.float32)
    defaults = model.defaults
    assert {"pixels": defaults.pixels, "frames": defaults.frames} == FROM_FOLDER[family]
    assert defaults.negative_prompt == NEGATIVE_PROMPT and defaults.steps == 50


def test_the_bundled_model_has_fewer_steps_and_no_negative_prompt():
    defaults = TimeToMove().load_motion(torch.device("cpu"), torch.float32).defaults
    assert (defaults.steps, defaults.tweak_index, defaults.tstrong_index) == (20, 12, 16)
    assert defaults.negative_prompt is None


def test_taehv_is_for_wan_models(folders, tmp_path):
    with pytest.raises(ValueError, match="the bundled model has an autoencoder of its own"):
        TimeToMove(autoencoder="taehv", taehv="taew2_1.pth")
    folder = shutil.copytree(folders["i2v-a14b"], tmp_path / "wan")
    shutil.rmtree(folder / "vae")
    adapter = TimeToMove(model=str(folder), autoencoder="taehv", taehv=str(save_taehv(tmp_path)))
    assert "clean-first-frame" not in adapter.gives
    pipe = adapter.load_motion(torch.device("cpu"), torch.float32).pipe
    assert type(pipe.vae).__name__ == "TaehvWanAutoencoder"
