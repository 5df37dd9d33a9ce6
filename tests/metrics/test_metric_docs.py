"""docs/metrics.md holds the catalogue's cards and reasons word for word, and nothing else that looks like one."""

import re
from pathlib import Path

from separation.metrics import DEFAULT, METRICS, REASONS, Metric, resolve

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
BETTER = {"higher": "higher is better", "lower": "lower is better", "neither": "neither way is better"}


def card(metric: Metric) -> str:
    """The card as the page has it."""
    facts = [metric.unit or "no unit", BETTER[metric.direction], metric.range]
    facts.append("whole signal and windows" if metric.per_window else "whole signal")
    if metric.name.startswith("bss_eval_v4"):
        facts[-1] = "windows"
    facts.append(f"needs {', '.join(metric.needs) or 'stems only'}")
    return f"### `{metric.name}`: {metric.title}\n\n{metric.about}\n\n*{' · '.join(facts)}*\n\n{metric.paper}\n"


def test_every_metric_has_its_card() -> None:
    missing = [card(metric) for metric in METRICS.values() if card(metric) not in PAGE]
    assert not missing, "put into docs/metrics.md:\n\n" + "\n".join(missing)


def test_every_card_has_its_metric_in_the_catalogues_order() -> None:
    assert re.findall(r"^### `(.+?)`", PAGE, re.MULTILINE) == list(METRICS)


def test_every_reason_is_explained() -> None:
    rows = dict(re.findall(r"^\| ([a-z ]+) \| (.+) \|$", PAGE, re.MULTILINE))
    assert {reason: rows.get(reason) for reason in REASONS} == REASONS


def test_cards_are_whole() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name and metric.title and metric.about.endswith(".") and metric.range and metric.paper
        assert set(metric.needs) <= {"reference", "mixture", "sources", "masks", "pesq"}
    assert set(resolve(DEFAULT)) <= set(METRICS)
