"""Every registered part keeps the contract of its kind, with its default options and with others."""

import importlib.metadata
import subprocess
import sys
from functools import partial
from unittest.mock import Mock

import attrs
import pytest
import torch

from lipar import load_plugins
from lipar.config import PartConfig
from lipar.plugin.parts import make_part
from lipar.testing import registered
from lipar.testing.attention import FillAll, SequenceDonors
from lipar.testing.contracts import Case, cases, contract
from lipar.testing.registered import as_param
from lipar_plugins.criteria import L1
from lipar_plugins.refiners import Dilate, Median
from lipar_plugins.restorers import Copy

HOST = load_plugins()
OPTIONS = {
    "criterion": [
        ("l1-trimmed", {"trim": 0.0}),
        ("l1-trimmed", {"trim": 0.4}),
        ("l2", {"normalise": "released"}),
        ("union", {"of": [{"name": "l1", "tau_short": 0.1}, "cosine"]}),
        ("intersection", {"of": ["cosine", {"name": "l2", "tau_short": 2.0}]}),
    ],
    "refiner": [
        ("median", {"look_ahead": True}),
        ("dilate", {"look_ahead": True, "size": 5}),
        ("dilate", {"look_back": False}),
        ("min-keep", {"fraction": 1.0}),
        ("bucket", {"per": "frame", "multiple": 5}),
    ],
    "recovery": [
        ("m-degree", {"degree": 1}),
        ("m-degree", {"degree": 2}),
        ("m-degree", {"degree": 1, "weigh": True}),
        ("proportional", {"stands": "first"}),
    ],
    "restorer": [("blend", {"width": 0}), ("blend", {"width": 3})],
}
VARIANTS = [
    Case(
        f"{kind}-{name}-{options}-{law.__name__}",
        partial(make_part, HOST, kind, PartConfig(name, options)),
        law,
    )
    for kind, chosen in OPTIONS.items()
    for name, options in chosen
    for law in contract(kind)
]


@pytest.mark.parametrize(("make", "law"), [as_param(case) for case in cases(HOST) if not case.needed])
def test_every_registered_part_keeps_its_contract(make, law):
    law(make)


@pytest.mark.parametrize(("make", "law"), [as_param(case) for case in VARIANTS])
def test_other_options_keep_the_contract_too(make, law):
    law(make)


# --- a law that cannot be broken is none: for each, a part that breaks it ------------------------------------------


@attrs.frozen
class Signed(L1):
    """Below zero."""

    def __call__(self, current, reference):
        return super().__call__(current, reference) - 1


@attrs.define
class Counting(L1):
    """Remembers."""

    calls: int = 0

    def __call__(self, current, reference):
        self.calls += 1
        return self.calls * super().__call__(current, reference)


@attrs.frozen
class Normalised(L1):
    """By the largest of all frames."""

    def __call__(self, current, reference):
        distance = super().__call__(current, reference)
        return distance / distance.max().clamp(min=1e-6)


@attrs.frozen
class Coarse(L1):
    """Rounds what comes in half precision."""

    def __call__(self, current, reference):
        distance = super().__call__(current, reference)
        return distance if current.dtype == torch.float32 else distance.round()


@attrs.frozen
class LooksPastItsHalo(Median):
    """By the mean of the frames that happen to come together."""

    def __call__(self, change):
        return attrs.evolve(change, distance=change.distance - change.distance.mean())


@attrs.frozen
class Shortened(Median):
    """A frame short."""

    def __call__(self, change):
        return change.inner(1, 0) if change.frames > 1 else change


@attrs.frozen
class Inverting(Dilate):
    """Claims to be monotone."""

    def __call__(self, change):
        answer = super().__call__(change)
        return attrs.evolve(answer, keep=~answer.keep)


@attrs.frozen
class InPlace(Median):
    """Writes into what it is given."""

    def __call__(self, change):
        change.distance.add_(1)
        return change


@attrs.frozen
class DropsKept(FillAll):
    """Loses a place even where all are kept."""

    def plan(self, layout):
        present = torch.ones_like(layout.keep_mask)
        present[-1, -1, -1] = False
        return attrs.evolve(super().plan(layout), present=present)


@attrs.define
class PlansByAge(FillAll):
    """Fewer places with every block that was pruned."""

    age: int = 0

    def plan(self, layout):
        plan = super().plan(layout)
        if layout.kept_count < layout.token_count:
            self.age += 1
            plan = attrs.evolve(plan, present=layout.keep_mask) if self.age > 1 else plan
        return plan


@attrs.define
class NeverForgets(SequenceDonors):
    """Donors grow with every call."""

    calls: int = 0

    def donors(self, donation):
        k, v = super().donors(donation)
        self.calls += 1
        return k * self.calls, v


@attrs.define
class Blank(SequenceDonors):
    """NaN."""

    def donors(self, donation):
        k, v = super().donors(donation)
        return k * torch.nan, v


@attrs.define
class Narrow(SequenceDonors):
    """One branch for all."""

    def donors(self, donation):
        k, v = super().donors(donation)
        return k.mean(0, keepdim=True).expand_as(k), v


@attrs.define
class SaysOnce(SequenceDonors):
    """Says that its donors do not depend on the step."""

    per_step = False

    def donors(self, donation):
        k, v = super().donors(donation)
        return k + donation.forward_pass.sigma, v


@attrs.frozen
class Rounds(Copy):
    """Touches kept tokens."""

    def __call__(self, layout, history, kept):
        return super().__call__(layout, history, kept) * 1.01


@attrs.frozen
class Endless(L1):
    """Thresholds that nothing is beyond."""

    taus = (float("nan"), float("inf"))


@attrs.frozen
class Forgets(Dilate):
    """Loses the mask."""

    def __call__(self, change):
        return attrs.evolve(super().__call__(change), keep=None)


@attrs.frozen
class Unweighable(FillAll):
    """A bias that is no number."""

    def plan(self, layout):
        return attrs.evolve(super().plan(layout), bias=torch.full(layout.grid, torch.nan))


@attrs.define
class Doubled(SequenceDonors):
    """Keys of another type."""

    def donors(self, donation):
        k, v = super().donors(donation)
        return k.double(), v


@attrs.frozen
class Widened(Copy):
    """Tokens of another type."""

    def __call__(self, layout, history, kept):
        return super().__call__(layout, history, kept).float()


@attrs.frozen
class Undocumented:
    def load(self, device, dtype): ...


@attrs.frozen
class Untyped:
    """An option without a type."""

    place = attrs.field(default=None)

    def load(self, device, dtype): ...


@attrs.frozen
class Grasping:
    """Gives what there is not."""

    gives = frozenset({"gold"})

    def load(self, device): ...


@pytest.mark.parametrize(
    ("kind", "broken", "laws"),
    [
        ("criterion", Signed, ["gives_a_finite", "finds_no_distance", "passes_the"]),
        ("criterion", Endless, ["passes_the"]),
        ("criterion", Counting, ["answers_by"]),
        ("criterion", Normalised, ["measures_each"]),
        ("criterion", Coarse, ["bears_half"]),
        ("refiner", LooksPastItsHalo, ["answers_the_same"]),
        ("refiner", Shortened, ["answers_for"]),
        ("refiner", Inverting, ["keeps_more"]),
        ("refiner", InPlace, ["leaves_what"]),
        ("refiner", Forgets, ["passes_the"]),
        ("recovery", DropsKept, ["is_dense"]),
        ("recovery", Unweighable, ["passes_the"]),
        ("recovery", PlansByAge, ["plans_by"]),
        ("noise", NeverForgets, ["forgets"]),
        ("noise", Blank, ["gives_finite", "passes_the"]),
        ("noise", Doubled, ["gives_finite", "passes_the"]),
        ("noise", Narrow, ["treats_each"]),
        ("noise", SaysOnce, ["gives_finite"]),
        ("restorer", Rounds, ["leaves_kept"]),
        ("restorer", Widened, ["passes_the"]),
        ("adapter", Undocumented, ["is_an_attrs"]),
        ("adapter", Untyped, ["has_options"]),
        ("adapter", Grasping, ["declares_known", "loads_on"]),
    ],
)
def test_a_part_that_breaks_a_law_is_caught_by_it(kind, broken, laws):
    named = [law for law in contract(kind) if law.__name__.startswith(tuple(laws))]
    assert len(named) == len(laws)
    # a law tries few examples at a time; what breaks it rarely may need some more
    assert [law for law in named if any(breaks(law, broken) for _ in range(20))] == named


def breaks(law, part):
    try:
        law(part)
    except Exception:
        return True
    return False


@attrs.frozen
class Demanding(L1):
    """Cannot be made by name alone."""

    place: str


def test_a_part_with_an_option_to_be_given_is_skipped_with_the_reason():
    host = load_plugins()
    host.registries["criterion"].add("demanding", Demanding)
    params = [as_param(case) for case in cases(host, "demanding")]
    assert len(params) == len(contract("criterion"))
    for param in params:
        (mark,) = param.marks
        assert "no default for place" in mark.kwargs["reason"]


def test_an_unknown_kind_lists_those_there_are():
    with pytest.raises(LookupError, match="no kind of part named 'criteria'; there are: criterion"):
        contract("criteria")


def test_an_unknown_part_lists_those_there_are():
    with pytest.raises(LookupError, match=r"no part named 'l3'; registered: .*l1"):
        list(cases(HOST, "l3"))


def outside(folder, *arguments):
    """pytest in a folder that knows nothing of lipar."""
    installed = importlib.metadata.entry_points(group="pytest11", name="lipar")
    plugin = [] if installed else ["-p", "lipar_pytest"]
    command = [sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", "-q", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_pytest_runs_the_contract_of_a_part_by_name_from_any_folder(tmp_path):
    done = outside(tmp_path, "--lipar-part", "copy", "-vv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "restorer-copy-leaves_kept_tokens_unless_it_says_otherwise" in done.stdout
    assert "criterion" not in done.stdout


def test_pytest_is_told_that_a_part_is_unknown():
    metafunc = Mock(spec=pytest.Metafunc, config=Mock(getoption=lambda option: "copi"))
    with pytest.raises(pytest.UsageError, match="--lipar-part: no part named 'copi'; registered: "):
        registered.pytest_generate_tests(metafunc)


def test_the_pytest_plugin_costs_nothing_where_it_is_not_asked(tmp_path):
    (tmp_path / "test_light.py").write_text(
        "import sys\n\n\ndef test_light():\n    assert not {'torch', 'lipar'} & set(sys.modules)\n"
    )
    done = outside(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
