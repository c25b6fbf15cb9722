"""All checks of `lipar doctor`, in their order, and their findings as lines and as plain values."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import attrs

from lipar.doctor.devices import check_attention, check_devices, check_engine
from lipar.doctor.encoders import check_encoders
from lipar.doctor.finding import Finding, Section, section
from lipar.doctor.plugins import catalogue_findings, plugin_findings
from lipar.doctor.space import check_folders, check_memory
from lipar.doctor.traps import check_traps
from lipar.doctor.versions import check_versions
from lipar.plugin.installed import Plugin, disabled_by_environment

_MARKS = {"ok": "", "note": "note: ", "warning": "warning: ", "broken": "broken: "}


def examine(load_host: Callable[[], Any], command_plugins: Iterable[Plugin] = ()) -> list[Section]:
    """Run all checks.

    Args:
        load_host: gives a host with all plugins; called within a check, since it may fail.
        command_plugins: plugins that offer commands.
    """
    hosts: list[Any] = []

    def plugins() -> Iterator[Finding]:
        hosts.append(load_host())
        known = hosts[0].plugins
        more = [plugin for plugin in command_plugins if plugin not in known]
        yield from plugin_findings([*known, *more], disabled_by_environment())

    sections = [section("versions", check_versions)]
    sections += [section("devices", check_devices), section("attention", check_attention)]
    sections += [section("engine", check_engine), section("memory", check_memory)]
    sections += [section("folders", check_folders), section("plugins", plugins)]
    if hosts:
        sections.append(section("models", partial(catalogue_findings, hosts[0])))
    sections += [section("encoders", check_encoders), section("traps", check_traps)]
    return sections


def can_run(sections: Sequence[Section]) -> bool:
    """Whether nothing is broken that `lipar edit` needs."""
    return not any(finding.state == "broken" for each in sections for finding in each.findings)


def lines(sections: Sequence[Section]) -> Iterator[tuple[str, str | None]]:
    """The report, each line with the state of its finding; None: a title."""
    for each in sections:
        yield each.title, None
        for finding in each.findings:
            yield f"  {finding.name:<22} {_MARKS[finding.state]}{finding.text}", finding.state
            if finding.advice:
                yield f"  {'':<22} -> {finding.advice}", finding.state
    yield "", None
    yield verdict(sections), "ok" if can_run(sections) else "broken"


def verdict(sections: Sequence[Section]) -> str:
    """What all findings come to."""
    findings = [finding for each in sections for finding in each.findings]
    counts = {state: sum(finding.state == state for finding in findings) for state in ("broken", "warning")}
    if counts["broken"]:
        return f"lipar cannot run here: {counts['broken']} broken"
    return "lipar can run here" + (f"; warnings: {counts['warning']}" if counts["warning"] else "")


def as_dict(sections: Sequence[Section]) -> dict[str, Any]:
    """The report for programs: whether lipar can run, and the findings of each section."""
    findings = {each.title: [attrs.asdict(finding) for finding in each.findings] for each in sections}
    return {"can_run": can_run(sections), "sections": findings}
