"""The generator and the trainers: what one seed makes, it makes again."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import WanTransformer3DModel

from lipar.testing.closeness import assert_near
from lipar_adapters.tiny.autoencoder import TinyVideoAutoencoder
from lipar_adapters.tiny.clips.library import Library, build_library
from lipar_adapters.tiny.clips.looks import LOOKS, MODIFIERS, apply_look
from lipar_adapters.tiny.clips.photos import load_pack, stamp_word
from lipar_adapters.tiny.clips.scenes import Scene, make_scenes, render
from lipar_adapters.tiny.parts import load_text, load_vae
from lipar_adapters.tiny.recipe.captions import caption
from lipar_adapters.tiny.recipe.export import export_text_and_transformer, export_vae
from lipar_adapters.tiny.recipe.latent_pool import HARD_LOOKS, Grid, draw_edit
from lipar_adapters.tiny.recipe.train import main
from lipar_adapters.tiny.recipe.train_autoencoder import train_autoencoder
from lipar_adapters.tiny.recipe.train_transformer import train_transformer
from lipar_adapters.tiny.recipe.training import Budget, learning_rate
from lipar_adapters.tiny.vocabulary import LOOK_PHRASES, MODIFIER_PHRASES, unknown_words


@pytest.fixture(scope="module")
def library() -> Library:
    return build_library("cpu", None, textures=2, shapes=4)


def test_a_seed_gives_the_same_clips_again(library: Library) -> None:
    first, again, other = (render(make_scenes(seed, 2, 4, library), library, 32, 48) for seed in (5, 5, 6))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == (2, 4, 3, 32, 48) and first.min() >= 0 and first.max() <= 1


def test_libraries_of_one_seed_are_the_same_and_held_back_ones_differ(library: Library) -> None:
    again, held_back = (build_library("cpu", None, 2, 4, held_back=part) for part in (False, True))
    assert torch.equal(library.canvases, again.canvases) and torch.equal(library.sprites, again.sprites)
    assert not torch.equal(library.canvases, held_back.canvases)


def test_a_changed_colour_changes_only_the_main_object(library: Library) -> None:
    scenes = [scene for scene in make_scenes(1, 6, 4, library) if scene.changed]
    plain, recoloured = (render(scenes, library, 64, 64, recoloured=change) for change in (False, True))
    share = (plain != recoloured).any(2).float().mean()
    assert 0 < share < 0.6


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_stays_a_picture_and_treats_frames_alike(look: str) -> None:
    frames = torch.rand(1, 3, 32, 40).expand(2, -1, -1, -1)
    styled = apply_look(frames, look, "warm colours")
    assert styled.shape == frames.shape and styled.min() >= 0 and styled.max() <= 1
    assert_near(styled[0], styled[1], 1e-5)


def test_a_faster_pace_moves_objects_farther_and_leaves_the_camera(library: Library) -> None:
    calm, quick = (make_scenes(4, 12, 12, library, fastest=fastest) for fastest in (1.0, 25.0))

    def way(scenes: list[Scene]) -> float:
        return sum(float(np.abs(np.diff(track[:, :2], axis=0)).sum()) for s in scenes for track in s.tracks)

    assert way(quick) > 2 * way(calm)
    np.testing.assert_array_equal(calm[0].camera, quick[0].camera)


def test_every_other_edit_is_of_a_look_and_hard_ones_come_twice_as_often() -> None:
    rng = np.random.default_rng(0)
    drawn = Counter(draw_edit(rng)[0] for _ in range(20_000))
    assert set(HARD_LOOKS) < set(LOOKS) == set(drawn)
    hard = np.mean([drawn[look] for look in HARD_LOOKS])
    others = np.mean([drawn[look] for look in LOOKS if look not in (*HARD_LOOKS, "photo")])
    assert hard == pytest.approx(2 * others, rel=0.1)


def test_captions_use_known_words_only(library: Library) -> None:
    assert set(LOOK_PHRASES) == set(LOOKS) and set(MODIFIER_PHRASES) == set(MODIFIERS)
    rng = np.random.default_rng(0)
    for scene in make_scenes(2, 20, 2, library):
        for content in (scene.content, *scene.changed):
            said = caption(
                rng,
                str(rng.choice(list(LOOKS))),
                str(rng.choice(list(MODIFIERS))),
                content,
                content != scene.content,
            )
            assert unknown_words(said) == {}


def test_without_a_pack_there_are_no_photographs(tmp_path: Path) -> None:
    assert load_pack(tmp_path / "none.npz") == (None, None, [])
    assert stamp_word(Path("stamps/animals/mammals/cats/cat.png")) == "cat"


def test_the_learning_rate_rises_and_falls() -> None:
    assert learning_rate(0.0, 0, 1.0, 10) == pytest.approx(0.1)
    assert learning_rate(0.5, 99, 1.0, 10) == pytest.approx(0.505)
    assert learning_rate(1.0, 99, 1.0, 10) == pytest.approx(0.01)


def test_a_resumed_autoencoder_has_the_same_weights(library: Library, tmp_path: Path) -> None:
    def train(out: Path, resume: bool = False, stop: int | None = None) -> TinyVideoAutoencoder:
        return train_autoencoder(
            out,
            library,
            Budget(steps=3),
            resume=resume,
            batch=3,
            size=16,
            widths=(4, 4, 4),
            statistics_rounds=1,
            stop_steps=stop,
        )

    whole = train(tmp_path / "whole")
    broken = train(tmp_path / "broken", stop=2)
    resumed = train(tmp_path / "broken", resume=True)
    for one, other, partly in zip(whole.parameters(), resumed.parameters(), broken.parameters(), strict=True):
        assert torch.equal(one, other)
        assert not torch.equal(one, partly)


def test_a_resumed_transformer_has_the_same_weights(library: Library, tmp_path: Path) -> None:
    torch.manual_seed(0)
    vae = TinyVideoAutoencoder(widths=(4, 4, 4))

    def train(out: Path, resume: bool = False, stop: int | None = None) -> dict[str, torch.Tensor]:
        transformer, _, _ = train_transformer(
            out, vae, library, Budget(steps=3), resume=resume, tokens=72, scenes_each=2, refresh=2, capacity=1,
            grids=lambda progress, number: Grid(2, 2), stop_steps=stop, num_layers=1, num_attention_heads=2, ffn_dim=32,
        )  # fmt: skip
        return dict(transformer.named_parameters())

    whole = train(tmp_path / "whole")
    train(tmp_path / "broken", stop=2)
    resumed = train(tmp_path / "broken", resume=True)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_decoder_alone_learns_for_the_latents_that_are(library: Library, tmp_path: Path) -> None:
    torch.manual_seed(0)
    start = TinyVideoAutoencoder(widths=(4, 4, 4), latents_mean=[0.25] * 16, latents_std=[0.5] * 16)
    export_vae(start, tmp_path / "start")
    before = load_vae(tmp_path / "start")
    after = train_autoencoder(
        tmp_path, library, Budget(steps=3), batch=3, size=16, start_from=tmp_path / "start", decoder_only=True
    )
    clips = torch.rand(1, 4, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(after.encode(clips)[0], before.encode(clips)[0])
        assert not torch.equal(
            after.decode(after.encode(clips)[0])[0], before.decode(before.encode(clips)[0])[0]
        )


def test_a_transformer_goes_on_from_exported_weights_and_can_leave_the_text_as_it_is(
    library: Library, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    vae = TinyVideoAutoencoder(widths=(4, 4, 4))

    def train(steps: int, start: Path | None, frozen: bool) -> tuple[Any, Any]:
        transformer, text_encoder, tokenizer = train_transformer(
            tmp_path / f"{steps}-{frozen}", vae, library, Budget(steps=steps), tokens=72, scenes_each=2, refresh=2,
            capacity=1, grids=lambda progress, number: Grid(2, 2), start_from=start, freeze_text=frozen,
            num_layers=1, num_attention_heads=2, ffn_dim=32,
        )  # fmt: skip
        export_text_and_transformer(transformer, text_encoder, tokenizer, tmp_path / f"{steps}")
        return transformer, text_encoder

    train(3, None, False)
    begun_transformer = WanTransformer3DModel.from_pretrained(tmp_path / "3" / "transformer")
    begun_text = load_text(tmp_path / "3")[1].state_dict()
    transformer, text_encoder = train(2, tmp_path / "3", True)
    assert all(torch.equal(value, begun_text[name]) for name, value in text_encoder.state_dict().items())
    moved = [
        (new - old).abs().max()
        for new, old in zip(transformer.parameters(), begun_transformer.parameters(), strict=True)
    ]
    assert 0 < max(moved) < 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["autoencoder", "--decoder-only"], "--start-from"),
        (["transformer", "--freeze-text"], "--start-from"),
        (["transformer"], "an autoencoder"),
        (["autoencoder", "--start-from", "nowhere"], "nowhere"),
    ],
)
def test_a_start_that_is_missing_is_named_before_anything_is_made(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match=message):
        main([*arguments, "--steps", "1", "--out", str(tmp_path), "--textures", "1", "--shapes", "2"])
