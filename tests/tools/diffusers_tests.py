"""Run diffusers' own tests of Wan with `lipar.enable` switched on, and compare with how they end without it.

    LIPAR_DIFFUSERS_TESTS=CHECKOUT python tests/tools/diffusers_tests.py [pytest's options]

CHECKOUT is a copy of diffusers' repository at the tag of the installed release; nothing is fetched. Its tests run on
the installed diffusers three times: without lipar, with an `enable` that keeps every token, and with one that keeps
half. What ends otherwise than without lipar must be listed below; where every token is kept, every output must be the
same, bit for bit.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

Outcomes: TypeAlias = dict[str, dict[str, Any]]
CHECKOUT = "LIPAR_DIFFUSERS_TESTS"
WHERE = ("tests/pipelines/wan", "tests/models/transformers/*wan*.py", "tests/hooks")
REFUSED = {
    "test_gradient_checkpointing_equivalence": (
        "gradient checkpointing runs layers again",
        "a pruned forward has no backward",
    ),
    "test_training": ("a pruned forward has no backward",),
    "test_training_with_ema": ("a pruned forward has no backward",),
}
"""Tests that lipar makes fail by a refusal of docs/how-to/diffusers.md, and what it says."""
VALUES = {"test_inference": "it compares with numbers that the whole model gave"}
"""Tests that may fail by their values where half of the tokens are pruned, and why."""


def run(mode: str, checkout: Path, options: list[str]) -> Outcomes:
    """Each test's outcome, what it said if that is not a pass, and the bits of its outputs."""
    tests = [str(path.relative_to(checkout)) for where in WHERE for path in sorted(checkout.glob(where))]
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "outcomes.json"
        tools = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        environment = {
            "LIPAR_DIFFUSERS_MODE": mode,
            "LIPAR_DIFFUSERS_OUTCOMES": str(found),
            "PYTHONPATH": tools,
        }
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "diffusers_plugin",
            "-W",
        ]
        ended = subprocess.run(
            [*command, "ignore", "--tb=no", *tests, *options],
            cwd=checkout,
            env=os.environ | environment,
            check=False,
        )
        if ended.returncode not in (0, 1):
            raise SystemExit(f"pytest ended with {ended.returncode} in the checkout {checkout}")
        outcomes: Outcomes = json.loads(found.read_text("utf-8"))
        return outcomes


def differences(stock: Outcomes, enabled: Outcomes, mode: str) -> tuple[list[str], list[str]]:
    """Lines about tests that end otherwise with lipar: those that are allowed to, and the others."""
    allowed, others = [], []
    for name, found in enabled.items():
        before, said = stock[name], found["said"].strip()
        if found["outcome"] == before["outcome"]:
            if mode == "keep-all" and found["outputs"] != before["outputs"]:
                others.append(f"{name}: outputs are not those without lipar, bit for bit")
            continue
        test = name.rpartition("::")[2].partition("[")[0]
        refused = any(reason in said for reason in REFUSED.get(test, ()))
        by_value = mode == "half" and test in VALUES and said.startswith("AssertionError")
        line = f"{name}: {before['outcome']} without lipar, {found['outcome']} with: {said.partition(chr(10))[0]}"
        (allowed if refused or by_value else others).append(line)
    return allowed, others


def main(options: list[str]) -> int:
    if not os.environ.get(CHECKOUT):
        print(
            f"skipped: {CHECKOUT} names no checkout of diffusers {version('diffusers')}; nothing is fetched"
        )
        return 0
    checkout = Path(os.environ[CHECKOUT]).expanduser().resolve()
    if not (checkout / "tests" / "pipelines" / "wan").is_dir():
        print(f"{CHECKOUT}={checkout} has no tests/pipelines/wan; name a checkout of diffusers")
        return 2
    stock, failed = run("stock", checkout, options), 0
    for mode in ("keep-all", "half"):
        enabled = run(mode, checkout, options)
        allowed, others = differences(stock, enabled, mode)
        counts = Counter(found["outcome"] for found in enabled.values())
        touched = sum(bool(found["enabled"]) for found in enabled.values())
        compared = sum(bool(found["outputs"]) for found in enabled.values())
        print(
            f"\n{mode}: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped; lipar "
            f"was on in {touched}, {compared} gave outputs; {len(allowed)} refusals or values as listed, "
            f"{len(others)} other differences"
        )
        print("\n".join(allowed + others))
        failed += len(others)
    same = sum(found["outcome"] == "failed" for found in stock.values())
    print(f"\nwithout lipar {same} of {len(stock)} fail by themselves, with diffusers {version('diffusers')}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
