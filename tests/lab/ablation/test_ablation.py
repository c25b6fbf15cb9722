"""The ablation of recovery strategies: figures on known inputs, laws, and a short one on the shipped weights."""

import json
import math
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from lipar.cli import cli
from lipar.config import build_config
from lipar.files.owner import Outputs
from lipar.hookspecs import hookimpl
from lipar.layout import token_features
from lipar.masks.measure import measure_of
from lipar.masks.source import SourceFormat
from lipar.plugin.host import load_plugins
from lipar.plugin.parts import make_parts
from lipar.testing.closeness import assert_near, error
from lipar.testing.strategies import keep_masks
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.video import VideoError, VideoWriter, synthetic_clip
from lipar_lab.ablation.cells import ClipBench, clip_cells, held_bytes
from lipar_lab.ablation.clips import AblationClip, ClipSource
from lipar_lab.ablation.figures import flicker, high_frequencies, psnr, still_pixels
from lipar_lab.ablation.masks import mask_at_rate, mask_by, random_like
from lipar_lab.ablation.mechanism import attention_share, compare_moment, watched_run
from lipar_lab.ablation.plan import Bench, Cell, Plan, reason_it_cannot_run
from lipar_lab.ablation.record import Record
from lipar_lab.ablation.report import by_clip, paired, time_ratios
from lipar_lab.ablation.rows import REFERENCE, Row, chosen_rows, row_config
from lipar_lab.ablation.run import run_ablation
from lipar_lab.ablation.statistics import t_interval, t_quantile
from lipar_lab.ablation.workers import WorkerError, run_in_workers, tasks_of

# --- figures ----------------------------------------------------------------------------------------------------


def test_psnr_of_a_known_error_and_none_where_equal() -> None:
    a = torch.rand(2, 3, 8, 8)
    assert psnr(a, a + 0.1) == pytest.approx(20, rel=1e-5)
    assert psnr(a, a + 0.1, peak=10.0) == pytest.approx(40, rel=1e-5)
    assert psnr(a, a.clone()) is None


def test_psnr_reads_only_what_the_mask_shows() -> None:
    a = torch.zeros(2, 3, 4, 4)
    b = a.clone()
    b[:, :, 0] = 0.1
    first_row = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    first_row[:, :, 0] = True
    assert psnr(a, b, where=first_row) == pytest.approx(20, rel=1e-5)
    assert psnr(a, b, where=~first_row) is None
    assert psnr(a, b, where=torch.zeros_like(first_row)) is None


def test_high_frequencies_fall_under_blur_and_vanish_on_flat_colour() -> None:
    noise = torch.rand(2, 3, 32, 32)
    blurred = torch.nn.functional.avg_pool2d(noise, 3, 1, 1)
    energy, softer = high_frequencies(noise), high_frequencies(blurred)
    assert energy is not None and softer is not None
    assert 0 < softer < 0.3 * energy
    assert high_frequencies(torch.full((2, 3, 8, 8), 0.4)) == pytest.approx(0, abs=1e-12)


def test_flicker_is_measured_where_the_source_is_still() -> None:
    source = torch.full((4, 3, 16, 16), 0.5)
    source[2:, :, :, 8:] = 0.9
    still = still_pixels(source)
    assert still[1].all() and not still[0].any()
    assert still[2, :, :8].all() and not still[2, :, 8:].any()
    edited = source.clone()
    edited[1::2, :, :, :8] += 10 / 255
    only_left = flicker(edited, still & (torch.arange(16) < 8))
    assert only_left == pytest.approx(10, rel=1e-4)
    assert flicker(edited, torch.zeros_like(still)) is None


@given(keep_masks(rows=st.just(3)), st.integers(0, 99))
def test_random_pruning_keeps_as_many_tokens_of_every_frame(keep_mask: torch.Tensor, seed: int) -> None:
    assert torch.equal(random_like(keep_mask, seed).sum((1, 2)), keep_mask.sum((1, 2)))


def test_held_bytes_count_every_storage_once() -> None:
    @attrs.define
    class Store:
        held: dict[str, Any]
        number: int = 3

    held = torch.zeros(10, 4)
    assert (
        held_bytes(Store({"a": held, "view": held[:2], "more": [torch.zeros(5, dtype=torch.float16)]})) == 170
    )
    assert held_bytes(Store({})) == 0


# --- statistics -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("freedom", "quantile"), [(1, 12.7062), (2, 4.30265), (11, 2.20099), (23, 2.06866)])
def test_quantiles_of_t_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert t_quantile(0.95, freedom) == pytest.approx(quantile, rel=1e-5)


def test_an_interval_of_known_numbers() -> None:
    interval = t_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (interval.mean, interval.count) == (3.0, 5)
    assert interval.half == pytest.approx(2.776445 * math.sqrt(2.5 / 5), rel=1e-5)
    assert interval.excludes_zero
    assert not t_interval([-1.0, 1.0]).excludes_zero
    assert math.isnan(t_interval([1.0]).half)


def cell(clip: int, row: str, value: float | None, *, kept: float = 0.5) -> dict[str, Any]:
    return {"clip": clip, "strength": 0.4, "kept": kept, "row": row, "figure": value}


def test_differences_are_paired_by_cell_and_averaged_over_clips() -> None:
    cells = [
        *(cell(0, REFERENCE, 30.0), cell(0, "mine", 32.0)),
        *(cell(0, REFERENCE, 20.0, kept=0.3), cell(0, "mine", 26.0, kept=0.3)),
        *(cell(1, REFERENCE, 40.0), cell(1, "mine", 42.0)),
        *(cell(2, REFERENCE, None), cell(2, "mine", 99.0)),  # equal to dense: no difference to be had
        cell(3, "mine", 99.0),
    ]
    difference = paired(cells, "mine", "figure")
    assert difference is not None
    assert (difference.mean, difference.count) == (3.0, 2)  # 4 of clip 0's two cells, 2 of clip 1's
    assert paired(cells, "absent", "figure") is None
    assert by_clip(cells, "figure")[2] == 99.0


def test_time_is_the_median_ratio_within_a_round() -> None:
    def line(row: str, number: int, seconds: float) -> dict[str, Any]:
        return {"row": row, "kept": 0.5, "round": number, "seconds": seconds}

    lines = [line(REFERENCE, i, s) for i, s in enumerate((1.0, 2.0, 10.0))]
    lines += [line("mine", i, s) for i, s in enumerate((1.1, 2.2, 99.0))]
    assert time_ratios(lines)["mine"] == pytest.approx(1.1)


# --- on a toy model ---------------------------------------------------------------------------------------------


class ToyClips:
    """An adapter whose clips are a square moving over noise."""

    def ablation_clip(self, index: int, *, pixel_frames: int, size: int, photos: Path | None) -> AblationClip:
        generator = torch.Generator().manual_seed(index)
        background = torch.rand(3, size, size, generator=generator)
        pixels = background + 0.01 * torch.rand(pixel_frames, 3, size, size, generator=generator)
        for frame in range(pixel_frames):
            left = frame % (size // 2)
            pixels[frame, :, 8:24, left : left + 16] = 0.9
        pixels = pixels.clamp(0, 1)
        return AblationClip(name=f"toy-{index}", prompt="night", pixels=pixels, target=1 - pixels)


def toy_plan(*names: str, extra: tuple[Row, ...] = (), **changes: Any) -> Plan:
    settings = changes.pop("settings", ())
    rows = chosen_rows(names, extra)
    plan = Plan(
        base=build_config(settings=settings),
        rows=rows,
        configs={row.name: row_config(row, settings=settings) for row in rows},
        clips=ClipSource(count=2, pixel_frames=36, size=64),
        kept=(0.5,),
        strengths=(0.4,),
    )
    return attrs.evolve(plan, **changes)


def toy_bench() -> Bench:
    coder = ToyAutoencoder()
    return Bench(adapter=ToyClips(), model=ToyModel(autoencoder=coder), coder=coder, host=load_plugins())


def run_toy(plan: Plan, bench: Bench | None = None) -> dict[str, dict[str, Any]]:
    bench = bench or toy_bench()
    cells = [cell for cell in plan.cells() if cell.clip == 0]
    return {line["row"]: line for line in clip_cells(plan, bench, 0, plan.strengths[0], cells)}


@pytest.mark.parametrize("wanted", [0.8, 0.5, 0.2])
def test_masks_are_brought_to_the_wanted_rate(wanted: float) -> None:
    bench, plan = toy_bench(), toy_plan()
    work = ClipBench.make(plan, bench, 0, [wanted])
    rated = work.masks[wanted]
    assert rated.kept == pytest.approx(wanted, abs=0.05)
    assert rated.keep_mask[: bench.model.block_frames].all()
    assert float(rated.keep_mask[bench.model.block_frames :].float().mean()) == pytest.approx(rated.kept)


def test_a_rate_that_cannot_be_met_gives_the_nearest_and_says_which() -> None:
    bench, plan = toy_bench(), toy_plan()
    still = token_features(torch.ones(1, 9, 4, 8, 8), 2)
    parts = make_parts(bench.host, plan.base)
    options: dict[str, Any] = {
        "config": plan.base,
        "measure": measure_of(parts.criterion, SourceFormat(patch_size=2, coder=bench.coder)),
        "parts": parts,
        "block_frames": bench.model.block_frames,
    }
    assert mask_at_rate(0.5, lambda factor: mask_by(factor, still, **options)).kept == 0


def test_the_mask_is_by_what_the_criterion_looks_at_and_its_own_thresholds(tmp_path: Path) -> None:
    covered = np.zeros((36, 8, 8), dtype=bool)
    covered[:, :4] = True
    np.save(tmp_path / "mask.npy", covered)
    chosen = f"criterion={{name='mask', path='{tmp_path / 'mask.npy'}'}}"
    work = ClipBench.make(toy_plan(settings=(chosen, "refiners=['threshold']")), toy_bench(), 0, [])
    assert work.natural_kept == 0.5
    alike = ("criterion=l1", "criterion={name='union', of=['l1', 'l1']}")
    kept = [ClipBench.make(toy_plan(settings=(one,)), toy_bench(), 0, []).natural_kept for one in alike]
    assert 0 < kept[0] == kept[1]
    by_pixels = run_toy(toy_plan("none", settings=("criterion=pixel",)))
    assert 0 < by_pixels["none"]["kept_at_own_thresholds"] < 1


def test_all_strategies_prune_the_same_tokens_and_the_yardsticks_none() -> None:
    layouts: dict[str, list[torch.Tensor]] = {}

    class Spy:
        @hookimpl
        def lipar_restore(self, job: Any, layout: Any) -> None:
            key = f"{job.config.recovery.name} {job.config.noise.name} {job.config.seed}"
            layouts.setdefault(key, []).append(layout.keep_mask)

    bench = toy_bench()
    bench.host.manager.register(Spy())
    run_toy(toy_plan("none", "step-matched", "other-seed"), bench)
    strategies = [torch.cat(layouts[key]) for key in ("none step-shift 0", "m-degree step-matched 0")]
    paper = torch.cat(layouts["m-degree kv-cache 0"])
    assert paper[:9].all() and paper[9:12].all()  # dense first, then the paper's: its first block is whole
    for mask in strategies:
        assert torch.equal(mask, paper[9:])
        assert not mask.all()
    assert torch.cat(layouts["m-degree kv-cache 1"]).all()


def test_dense_is_equal_to_itself_and_every_figure_is_there() -> None:
    lines = run_toy(toy_plan("none", "random", "ceiling", "other-seed"))
    assert all(lines["dense"][key] is None for key in ("psnr_latent", "psnr_pixel", "psnr_pixel_kept"))
    assert lines["dense"]["high_frequencies"] == 1
    assert lines["none"]["kept_real"] == lines["random"]["kept_real"]
    for name in ("none", "paper", "random", "ceiling", "other-seed"):
        figures = ("psnr_latent", "psnr_latent_kept", "psnr_pixel", "psnr_pixel_kept", "psnr_target")
        assert all(math.isfinite(lines[name][figure]) for figure in figures)
    assert lines["dense"]["noise_bytes"] == lines["paper"]["noise_bytes"] == 0


def test_a_source_of_donors_that_holds_frames_has_its_bytes_counted() -> None:
    lines = run_toy(toy_plan("step-matched"))
    layers, steps, tokens, width = 2, 2, 8 * 8, 24
    assert lines["step-matched"]["noise_bytes"] == 2 * layers * steps * tokens * width * 4


def test_with_one_step_the_source_ceiling_gives_the_dense_tokens_of_its_first_pruned_block() -> None:
    plan = toy_plan("ceiling-source", settings=("steps=[400]",))
    work = ClipBench.make(plan, toy_bench(), 0, [0.5])
    work.bench.model.set_prompt("night")
    rows = {row.name: row for row in plan.rows}
    keep_mask = work.masks[0.5].keep_mask
    dense, _ = work.denoise(rows["dense"], 0.4, None)
    ours, _ = work.denoise(rows["ceiling-source"], 0.4, keep_mask)
    paper, _ = work.denoise(rows["paper"], 0.4, keep_mask)
    kept = (
        keep_mask[3:6].repeat_interleave(2, 1).repeat_interleave(2, 2)[None, :, None].expand_as(ours[:, 3:6])
    )
    assert_near(ours[:, 3:6][kept], dense[:, 3:6][kept], 1e-5)
    assert error(paper[:, 3:6][kept], dense[:, 3:6][kept]) > 1e-3


def test_watching_sees_no_offset_where_the_tokens_are_the_dense_ones() -> None:
    plan = toy_plan("ceiling-source", settings=("steps=[400]",))
    work = ClipBench.make(plan, toy_bench(), 0, [0.5])
    work.bench.model.set_prompt("night")
    rows = {row.name: row for row in plan.rows}
    keep_mask = work.masks[0.5].keep_mask
    dense, ceiling, paper = (
        watched_run(work, rows[name], 0.4, keep_mask).seen for name in ("dense", "ceiling-source", "paper")
    )
    assert dense.keys() == ceiling.keys() == paper.keys()
    moment = (3, 0, 1)
    near, far = compare_moment(ceiling[moment], dense[moment]), compare_moment(paper[moment], dense[moment])
    assert max(near["offset_k"], near["offset_v"], near["error_k"], near["error_v"]) < 1e-4
    assert near["mass"] == pytest.approx(near["mass_dense"], rel=1e-4)
    assert 0.01 < far["offset_k"] <= far["error_k"]
    assert far["offset_v"] <= far["error_v"]


def test_attention_on_equal_keys_is_shared_evenly() -> None:
    q, k = torch.randn(1, 5, 2, 8), torch.ones(1, 10, 2, 8)
    assert attention_share(q, k, torch.tensor([1, 4, 7])) == pytest.approx(0.3, rel=1e-5)


# --- the record -------------------------------------------------------------------------------------------------


def line_of(cell: Cell, settings: tuple[str, ...]) -> dict[str, Any]:
    return {"what": "cell", **attrs.asdict(cell), "settings": list(settings)}


def test_finished_cells_are_skipped_and_a_torn_line_is_run_again(tmp_path: Path) -> None:
    plan = toy_plan("none")
    record = Record(tmp_path, plan)
    settings = {row.name: row.settings for row in plan.rows}
    cells = list(plan.cells())
    for done in cells[:3]:
        record.add(line_of(done, settings[done.row]))
    with record.path.open("a") as file:
        file.write('{"what": "cell", "clip": 0, "row": "pa')
    again = Record(tmp_path, plan)
    assert again.done() == set(cells[:3])
    assert [cell for _, _, left in tasks_of(plan, again.done()) for cell in left] == cells[3:]
    again.add(line_of(cells[3], settings[cells[3].row]))
    assert Record(tmp_path, plan).done() == set(cells[:4])


def test_a_row_whose_settings_changed_is_run_again(tmp_path: Path) -> None:
    first = toy_plan(extra=(Row(name="mine", settings=("noise=kv-cache",)),))
    record = Record(tmp_path, first)
    mine = next(cell for cell in first.cells() if cell.row == "mine")
    record.add(line_of(mine, ("noise=kv-cache",)))
    assert Record(tmp_path, first).done() == {mine}
    changed = toy_plan(extra=(Row(name="mine", settings=("noise=step-matched",)),))
    assert Record(tmp_path, changed).done() == set()


def test_cells_of_other_clips_are_not_mixed_in(tmp_path: Path) -> None:
    plan = toy_plan("none")
    Record(tmp_path, plan).add(line_of(next(plan.cells()), plan.rows[0].settings))
    Record(tmp_path, attrs.evolve(plan, clips=attrs.evolve(plan.clips, count=9), kept=(0.3,)))
    with pytest.raises(ValueError, match="cells of other clips or of another config; name another --out"):
        Record(tmp_path, attrs.evolve(plan, clips=attrs.evolve(plan.clips, size=32)))


@pytest.mark.parametrize("before", ["", '{"what": "pl', '{"what": "plan", "base": "another"}\n'])
def test_a_record_without_cells_is_begun_anew(tmp_path: Path, before: str) -> None:
    (tmp_path / "cells.jsonl").write_text(before)
    plan = toy_plan("none")
    Record(tmp_path, plan).add(line_of(next(plan.cells()), plan.rows[0].settings))
    assert len(Record(tmp_path, plan).done()) == 1


@pytest.mark.parametrize("broken", [b'{"what": "ce', b"\xff\xfe", b"3", b'{"what": "cell"}', b"\0\0"])
def test_a_broken_line_is_named_and_the_record_left_as_it_is(tmp_path: Path, broken: bytes) -> None:
    plan = toy_plan("none")
    record = Record(tmp_path, plan)
    head = record.path.read_bytes()
    record.path.write_bytes(head + broken + b"\n" + b"{}")
    with pytest.raises(
        ValueError, match=r"line 2 of .*cells.jsonl is no line of a record.*; delete that line"
    ):
        Record(tmp_path, plan)
    assert record.path.read_bytes() == head + broken + b"\n" + b"{}"


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"no record can be kept in .*file .*give --out a folder"):
        Record(tmp_path / "file", toy_plan("none"))


# --- what is asked for ------------------------------------------------------------------------------------------


def test_a_row_whose_part_is_not_registered_is_said_to_be_so() -> None:
    row = Row(name="mine", settings=("noise=no-such-source",))
    reason = reason_it_cannot_run(load_plugins(), row_config(row))
    assert reason is not None and "no noise named 'no-such-source'" in reason
    assert reason_it_cannot_run(load_plugins(), row_config(Row(name="fine"))) is None


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--rows", "papr"], "no row named 'papr'; there are: dense"),
        (["--kept", "0.5,1.5"], "numbers above 0 and up to 1"),
        (["--kept", "half"], "is no list of numbers"),
        (["--prompt", "night"], "--prompt is for FILES"),
        (["--variant", "noise=nothing"], "no noise named 'nothing'"),
        (["--frames", "20", "--quick"], "in blocks of 3"),
        (["--frames", "47", "--quick"], "set --frames 36"),
        (["--quick", "--photos", __file__], "test_ablation.py is no pack of photographs"),
        (["--model", "nope"], "no adapter named 'nope'"),
        (["--set", "criterion=mask"], "cannot do without its option 'path'"),
        (["--set", "prune.keep=0.5"], "leave out prune.keep and prune.quantile"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], complaint: str, tmp_path: Path) -> None:
    command = ["ablate", "--out", str(tmp_path), "--device", "cpu", "--quiet", *arguments]
    result = CliRunner().invoke(cli, command)
    assert complaint in result.output + str(result.exception)


def test_files_are_read_at_the_model_s_size_and_prompts_rotate(tmp_path: Path) -> None:
    from fractions import Fraction

    paths = []
    for name in ("a", "b", "c"):
        paths.append(tmp_path / f"{name}.mp4")
        with VideoWriter(paths[-1], width=96, height=96, time_base=Fraction(1, 10)) as writer:
            for frame in synthetic_clip(26, 96, 96):
                writer.write(frame.rgb, pts=frame.index, duration=1)
    source = ClipSource(paths=tuple(paths), prompts=("night", "snow"), pixel_frames=24)
    clips = [source.get(index, object(), toy_bench().model) for index in range(len(source))]
    assert [(clip.name, clip.prompt) for clip in clips] == [("a", "night"), ("b", "snow"), ("c", "night")]
    assert clips[0].pixels.shape == (24, 3, 64, 64)
    assert clips[0].target is None
    with pytest.raises(ValueError, match="has 26 frames, the ablation takes 36"):
        attrs.evolve(source, pixel_frames=36).get(0, object(), toy_bench().model)
    with pytest.raises(ValueError, match="makes no clips; name video files"):
        ClipSource().get(0, object(), toy_bench().model)


# --- on the shipped weights -------------------------------------------------------------------------------------


QUICK = ["ablate", "--quick", "--device", "cpu", "--quiet"]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """`lipar ablate --quick` on the bundled model."""
    out = tmp_path_factory.mktemp("ablation") / "out"
    result = CliRunner().invoke(cli, [*QUICK, "--mechanism", "--timing-rounds", "1", "--out", str(out)])
    assert result.exception is None, result.output
    return out, result.output


def gain(out: Path, row: str, other: str, figure: str = "psnr_latent_kept") -> float:
    cells = json.loads((out / "results.json").read_text())["cells"]
    difference = paired(cells, row, figure, other)
    assert difference is not None and difference.count == 2
    return difference.mean


def test_recovery_on_the_shipped_weights_is_worth_what_it_was(quick: tuple[Path, str]) -> None:
    """Bounds are a third or less of what was measured, so that they outlive new weights and not a broken part."""
    out, _ = quick
    for row in ("step-matched", "step-shift-in-block"):
        assert gain(out, row, "paper") > 1.5
        assert gain(out, row, "other-seed") > 3
        assert gain(out, row, "random", "psnr_pixel") > 2
    assert gain(out, "ceiling", "paper") > 2.5
    for row in ("none", "paper", "step-matched", "step-shift-in-block", "random", "other-seed"):
        assert gain(out, "ceiling-source", row) > 1


def test_the_tables_say_what_was_run(quick: tuple[Path, str]) -> None:
    out, said = quick
    text = (out / "tables.md").read_text()
    assert text in said
    for row in (
        "dense",
        "none",
        "paper",
        "step-matched",
        "step-shift-in-block",
        "random",
        "ceiling",
        "ceiling-source",
        "other-seed",
    ):
        assert f"| `{row}` |" in text
    assert "strength 0.4" in text and "| strategy | 50 % kept (real 5" in text


def test_an_ablation_goes_on_where_it_was_interrupted_and_workers_give_the_same(
    quick: tuple[Path, str], tmp_path: Path
) -> None:
    out, _ = quick
    lines = (out / "cells.jsonl").read_text().splitlines()
    torn = [line for line in lines if not ('"what": "cell"' in line and '"row": "none"' in line)]
    assert len(torn) == len(lines) - 2
    (tmp_path / "cells.jsonl").write_text("\n".join(torn) + "\n")
    names = "none,step-matched,step-shift-in-block,random,ceiling,ceiling-source,other-seed"
    command = [*QUICK, "--timing-rounds", "0", "--workers", "2", "--rows", names]
    result = CliRunner().invoke(cli, [*command, "--out", str(tmp_path)])
    assert result.exception is None, result.output
    assert "18 cells, 16 of them on record before" in result.output

    def missing(folder: Path) -> dict[str, Any]:
        cells = json.loads((folder / "results.json").read_text())["cells"]
        found: dict[str, Any] = next(c for c in cells if c["clip"] == 1 and c["row"] == "none")
        return found

    before, after = missing(out), missing(tmp_path)
    assert before.keys() == after.keys()
    for key, value in before.items():
        assert after[key] == (pytest.approx(value, rel=1e-3) if isinstance(value, float) else value)


def test_a_worker_that_fails_says_why() -> None:
    plan = toy_plan("none", settings=("adapter.weights='/nowhere'",))
    with pytest.raises(WorkerError, match=r"MissingCheckpointError: adapter\.weights: /nowhere is not whole"):
        list(run_in_workers(plan, tasks_of(plan, []), 2))


def test_a_model_without_an_autoencoder_has_nothing_to_compare(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run_ablation(toy_plan("none", settings=("adapter=self-forcing",)), tmp_path, quiet=True)


def test_a_second_ablation_in_one_folder_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    with Outputs() as outputs:
        outputs.claim(tmp_path / "tables.md")
        with pytest.raises(VideoError, match="another run is writing there at this moment"):
            run_ablation(toy_plan("none"), tmp_path, timing_rounds=0, quiet=True)
    assert list(tmp_path.iterdir()) == []
