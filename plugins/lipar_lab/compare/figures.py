"""The figures of a page: which of them, measured and missing."""

import math
from collections.abc import Sequence

import attrs
from tqdm import tqdm

from lipar.metrics.packages import is_installed
from lipar.metrics.table import METRICS, Clips, check_available, measure

DEFAULT_NAMES = ("psnr", "ssim", "vmaf", "warp-error", "flicker", "border-error")
"""What a page shows unless the user names others."""
INSTALL = "needs pip install 'lipar[measure]'"


@attrs.frozen(kw_only=True)
class Figures:
    """The figures of a page."""

    names: tuple[str, ...]
    """Keys of `METRICS`, in order."""
    missing: frozenset[str] = frozenset()
    """Those that cannot be measured, since a package is not installed."""

    @classmethod
    def chosen(cls, names: Sequence[str] | None) -> "Figures":
        """The figures that a user asks for, or the usual ones.

        Args:
            names: keys of `METRICS`; None: `DEFAULT_NAMES`, of which those whose package is not installed are marked.

        Raises:
            LookupError: there is no figure of a name.
            ModuleNotFoundError: a figure that was asked for needs a package that is not installed.
        """
        if names is not None:
            check_available(names)
            return cls(names=tuple(dict.fromkeys(names)))
        needs = {name: METRICS[name].needs for name in DEFAULT_NAMES}
        missing = {
            name for name, package in needs.items() if package is not None and not is_installed(package)
        }
        return cls(names=DEFAULT_NAMES, missing=frozenset(missing))

    def measure(self, clips: Clips) -> dict[str, float | None]:
        """The figures of a result; None where one is not defined, or cannot be measured.

        Args:
            clips: the result and what it is compared with.
        """
        found: dict[str, float | None] = dict.fromkeys(self.names)
        present = [name for name in self.names if name not in self.missing]
        for name in tqdm(present, desc="figures", unit="figure", disable=None, leave=False):
            found |= measure(clips, [name])
        return found

    def shown(self, name: str, value: float | None) -> str | float | None:
        """A value as it stands in a table.

        Args:
            name: of the figure.
            value: measured.
        """
        if name in self.missing:
            return INSTALL
        return "equal" if value is not None and math.isinf(value) else value

    def heading(self, name: str) -> str:
        """Label and unit.

        Args:
            name: of the figure.
        """
        metric = METRICS[name]
        return f"{metric.label} ({metric.unit})" if metric.unit else metric.label
