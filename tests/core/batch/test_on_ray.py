"""Workers of Ray: what is killed is done by the next worker, or by the next run."""

from pathlib import Path

import pytest
from batch_runs import Runs
from batch_toys import RECIPE
from command_runs import run_command

from lipar.batch.on_ray import MISSING, Pool, has_ray, run_on_ray
from lipar.batch.record import read_record

needs_ray = pytest.mark.skipif(not has_ray(), reason="Ray is not installed")


def test_without_ray_more_workers_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lipar.batch.on_ray.has_ray", lambda: False)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lipar\[batch\]'"):
        list(run_on_ray(RECIPE, [], Pool(workers=2)))
    assert "not installed" in MISSING


@needs_ray
def test_a_killed_worker_is_replaced_and_a_killed_driver_is_followed_by_a_run_without_ray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = Runs.make(tmp_path, 12, ["--resolution", "32x32"])
    (runs.folder / "in" / "poison.mp4").write_bytes(b"no video")
    driver = runs.start("--workers", 2)
    runs.kill_worker(driver)
    begun = runs.finished()
    runs.wait(lambda: runs.finished() >= begun + 3, driver)
    driver.kill()
    driver.wait()
    before = {clip: read_record(runs.out / clip.name) for clip in runs.clips}
    # in this process there is no Ray, and no other process that still works there
    monkeypatch.syspath_prepend(runs.folder / "site")
    code, _, error = run_command(monkeypatch, capsys, *runs.arguments())
    assert code == 1 and "1 of 13 clips failed" in error, error
    for clip, record in before.items():
        if record is not None and record.state == "finished":
            assert read_record(runs.out / clip.name) == record, "it was done again"
    run_command(monkeypatch, capsys, *runs.arguments(out=tmp_path / "alone"))
    runs.check_equal(tmp_path / "alone")
    poisoned = read_record(runs.out / "poison.mp4")
    assert poisoned is not None and poisoned.state == "failed"
    assert "is no video that can be read" in (poisoned.error or "")
