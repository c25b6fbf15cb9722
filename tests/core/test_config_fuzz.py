"""Damaged configs run, or are refused by `ConfigError` in words that name the key; nothing else comes of them."""

from collections import Counter

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from tools.fuzz_configs import KEYS, KINDS, ODD, TRAILS, WHOLE, damaged, quietly, verdict

CONFIGS = 1200


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("configs")


def test_the_config_that_is_damaged_runs(folder):
    assert verdict(WHOLE, [], [], folder) == ("runs", "")


@pytest.mark.slow
def test_no_damaged_config_ends_in_anything_but_a_run_or_a_refusal(folder, capsys):
    counts, wrong = Counter(), []
    for number in range(CONFIGS):
        kind, *config = damaged(number)
        came, said = quietly(verdict, *config, folder)
        counts[came, kind] += 1
        if came not in ("runs", "refused"):
            wrong.append((number, kind, came, said))
    of = {came: sum(count for (other, _), count in counts.items() if other == came) for came, _ in counts}
    with capsys.disabled():
        told = ", ".join(f"{count} {came}" for came, count in sorted(of.items()))
        print(f"\n{CONFIGS} damaged configs: {told}")
    assert wrong == []
    # the damage is neither too light nor too heavy to mean anything
    assert min(of.values()) >= CONFIGS // 10
    assert {kind for _, kind in counts} == {kind.__name__ for kind in KINDS}


SETTINGS = st.builds(
    lambda key, value, trail: f"{key}={value}{trail}",
    st.sampled_from(KEYS),
    st.sampled_from(ODD) | st.text(max_size=8) | st.integers().map(str) | st.floats().map(str),
    st.just("") | st.sampled_from(TRAILS),
)


@settings(max_examples=40)
@given(changes=st.lists(SETTINGS, min_size=1, max_size=3))
def test_whatever_is_set_runs_or_is_refused(changes, folder):
    came, said = quietly(verdict, WHOLE, changes, [], folder)
    event(came)
    assert came in ("runs", "refused"), said


@settings(max_examples=40)
@given(data=st.data())
def test_whatever_a_file_holds_runs_or_is_refused(data, folder):
    text = list(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(text) - 1))
        text[place] = data.draw(st.sampled_from(["", text[place] * 2, *ODD]) | st.text(max_size=4))
    came, said = quietly(verdict, "".join(text), [], [], folder)
    event(came)
    assert came in ("runs", "refused"), said
