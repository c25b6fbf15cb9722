"""The loop of a stock pipeline is timed, its steps are counted, and its progress bar comes back."""

from pipeline_toys import run
from wan_toys import toy_pipeline

from lipar_adapters.wan.denoise_watch import watch_denoising


def test_each_step_is_told_and_the_time_is_that_of_the_loop() -> None:
    pipe, told = toy_pipeline("t2v"), []
    with watch_denoising(pipe, told.append) as watch:
        run(pipe, "t2v", num_inference_steps=3)
    assert told == [1, 2, 3] and watch.seconds > 0


def test_a_second_call_counts_from_one() -> None:
    pipe, told = toy_pipeline("t2v"), []
    with watch_denoising(pipe, told.append):
        for _ in range(2):
            run(pipe, "t2v", num_inference_steps=2)
    assert told == [1, 2, 1, 2]


def test_the_bar_and_its_settings_are_as_before_afterwards() -> None:
    pipe = toy_pipeline("t2v")
    pipe.set_progress_bar_config(desc="mine")
    with watch_denoising(pipe, lambda done: None):
        assert pipe._progress_bar_config == {"desc": "mine", "disable": True}
    assert "progress_bar" not in vars(pipe)
    assert pipe._progress_bar_config == {"desc": "mine"}
