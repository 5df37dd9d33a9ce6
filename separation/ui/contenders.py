"""Which systems may meet on the Compare page: models that are here and give the same sources, and settings of them.

Bundled models, those of the Hub that were fetched before (none that would have to be fetched while somebody waits), and the
baselines of `assets/compare`: model folders that are there to be beaten and on no other page. What visitors taught on the Learn
page stays theirs: its name is a key to it, and names are shown after a vote.

Where a task has fewer than `FEWEST` models, settings of the first one take part as systems of their own, those that the
Separate page offers: a real question (do harder masks sound better?), and said by name.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from separation.hub import Card, Origin
from separation.hub.card import CONFIG
from separation.hub.folder import read_card
from separation.listening.arena import System
from separation.models import ARCHITECTURES
from separation.ui.frame import Services

FEWEST = 4
"""Systems that a task should have: six pairs."""

BASELINE = "compare:"
"""What the names of baselines begin with; after it comes the folder's."""

SETTINGS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("sharper masks", {"edit": {"sharpness": 2.0}}),
    ("hard masks", {"edit": {"threshold_db": 0.0}}),
    ("its own band only", {"band": "model"}),
)
"""What a model may be run with besides, as `engine.edits.Edit` and `engine.Options` have it; in the order of use."""


@dataclass(frozen=True)
class Task:
    """What several systems do alike.

    Args:
        name: of the task, as cards say it.
        sources: that all of them give.
        systems: by id; two or more.
        permuted: the order of the sources means nothing.
    """

    name: str
    sources: tuple[str, ...]
    systems: Mapping[str, System]
    permuted: bool


def tasks(services: Services) -> dict[str, Task]:
    """The tasks in which systems can meet, by name."""
    alike: dict[frozenset[str], list[Card]] = defaultdict(list)
    for card in _cards(services):
        if len(card.sources) > 1:
            alike[frozenset(card.sources)].append(card)
    found: dict[str, Task] = {}
    for cards in alike.values():
        first = cards[0]
        systems = [_system(card) for card in cards]
        systems += [_variant(first, title, settings) for title, settings in SETTINGS if _can(first, settings)]
        chosen = systems[: max(FEWEST, len(cards))]
        name = first.task if first.task not in found else "-".join(first.sources)
        permuted = any(bool(card.arguments.get("permutation_invariant")) for card in cards)
        if len(chosen) > 1:
            found[name] = Task(name, first.sources, {system.id: system for system in chosen}, permuted)
    return found


def hub_name(services: Services, model: str) -> str:
    """What `hub.load` understands of the model of a system: baselines are folders that only this page opens."""
    return str(_baselines(services) / model.removeprefix(BASELINE)) if model.startswith(BASELINE) else model


def _baselines(services: Services) -> Path:
    return services.examples.with_name("compare")


def _cards(services: Services) -> list[Card]:
    """The bundled ones first, then the baselines, then the newest copy of each repository."""
    cards = list(services.bundled().values())
    for path in sorted(_baselines(services).glob(f"*/{CONFIG}")):
        card = read_card(Origin(path.parent.name, path.parent))
        cards.append(card.with_origin(Origin(f"{BASELINE}{card.name}", path.parent)))
    seen = set()
    for one in services.hub.installed():
        if one.repo not in seen:
            cards.append(one.card)
            seen.add(one.repo)
    return cards


def _system(card: Card) -> System:
    weights = None if card.weights is None else card.weights.sha256
    model = card.origin.name
    title = model.removeprefix(BASELINE).partition("@")[0]
    version = "" if weights is None else f"@{weights[:8]}"
    return System(f"{title}{version}", title, model, {}, weights)


def _variant(card: Card, title: str, settings: Mapping[str, Any]) -> System:
    plain = _system(card)
    return System(
        f"{plain.id}+{title.replace(' ', '-')}", f"{plain.title}, {title}", plain.model, settings, plain.weights
    )


def _can(card: Card, settings: Mapping[str, Any]) -> bool:
    """Masks can be changed where there are some, and no state goes from chunk to chunk."""
    architecture = ARCHITECTURES.get(card.architecture)
    return "edit" not in settings or (hasattr(architecture, "masks") and not card.arguments.get("stateful", False))
