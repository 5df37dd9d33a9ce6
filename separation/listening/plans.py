"""Who gets what, in which order: balanced, drawn from the study's seed, saved before anybody listens.

A plan is made slot by slot, each with what has been used least so far: items, then systems of an item (`designs.blocks`), then
an order of the page and one of the trials (rows of a Latin square or Williams' design). What is used equally little is decided
by lot. So the first n slots are the plan for n listeners, balanced as well as n allows, and a study that is extended keeps its
plan.

Training comes first and is not counted. Questions follow each other as the file has them, because whoever judges one attribute
should not think of another. Gold trials are spread over their question, and repeats come at least `repeat_gap` trials later.
Who has which slot is for `sessions` to say.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from separation.errors import StudyError
from separation.listening.answers import Purpose
from separation.listening.designs import blocks, latin, williams
from separation.listening.parts import (
    MULTIPLE,
    PAIRED,
    REFERENCE,
    Gold,
    Item,
    Kind,
    Question,
    Study,
    conditions_of,
    items_of,
    pages_of,
)
from separation.listening.planned import Balance, Conditions, Plan, Planned, Slot, balance, dump_plan, parse_plan
from separation.listening.scales import P835
from separation.listening.study import study_hash

__all__ = [
    "Balance", "Feasibility", "Plan", "Planned", "Slot", "balance", "dump_plan", "extend_plan", "feasibility", "make_plan",
    "parse_plan", "trials_of",
]  # fmt: skip
MOST_TRIALS = 1000  # of one listener
MOST_SLOTS = 2000
MOST_TRIED = 500  # more listeners, to find out how many would be enough
SQUARE = 200  # trials of one question that are still ordered by a square
SECONDS = 10.0  # assumed of an item without a duration
TWICE = 2.0  # times that a sound is heard on a page with several
ANSWERING = 6.0  # seconds to answer a page
BETWEEN = 60.0  # seconds for each page that is no trial

Numbers = NDArray[np.int64]
Portion = tuple[Conditions, ...]
"""What a listener gets of one item: the conditions of each trial."""


@dataclass(frozen=True)
class Feasibility:
    """The arithmetic of a plan.

    Args:
        listeners: slots.
        trials: of one listener, training, repeats and gold included: fewest and most.
        ratings: that a condition of an item gets: fewest and most.
        minutes: that a listener needs: fewest and most, estimated from the items' durations.
        notes: sentences.
    """

    listeners: int
    trials: tuple[int, int]
    ratings: tuple[int, int]
    minutes: tuple[float, float]
    notes: tuple[str, ...]


def make_plan(study: Study, *, listeners: int | None = None) -> Plan:
    """The plan of a study for as many listeners as it says, or as are asked for.

    Raises `StudyError` with the arithmetic: too few items or songs for what a listener should get, too few listeners for every
    condition of every item to be heard once, or more trials than anybody can do.
    """
    places = study.assignment.listeners if listeners is None else listeners
    if not 1 <= places <= MOST_SLOTS:
        raise StudyError(f"Plan {study.name}", f"{places} listeners", f"Ask for 1 to {MOST_SLOTS}")
    maker = _Maker(study)
    slots = [maker.slot(index) for index in range(places)]
    if maker.unheard():
        _refuse_few(study, maker, places)
    return Plan(study.name, study_hash(study), study.seed, tuple(slots))


def extend_plan(plan: Plan, study: Study, listeners: int) -> Plan:
    """The plan with slots for `listeners` in all; those that it has stay as they are.

    Raises `StudyError` if the study is not the plan's, or for fewer listeners than there are.
    """
    asked = f"Extend the plan of {plan.study} to {listeners} listeners"
    if plan.hash != study_hash(study):
        raise StudyError(asked, "the study has changed since", "Restore its file, or start a study of another name")
    if listeners < len(plan.slots):
        raise StudyError(asked, f"it has {len(plan.slots)} already", "Places cannot be taken back; close the study")
    longer = make_plan(study, listeners=listeners)
    return replace(plan, slots=plan.slots + longer.slots[len(plan.slots) :])


@dataclass
class _Menu:
    """What there is to choose from of a question, and how often it was used.

    Args:
        portions: of each item, what a listener can get of it.
        share: items that a listener gets.

    Counted on the way:
        uses: of items, of orders and places on a page, of repeats.
        taken: of each item, how often its portions were.
        rated: of each item, how often its conditions were.
        together: how often two conditions were with one listener for one item.
        places: of a trial (item, its conditions): how often it was at each place of a listener's order.
        lots: numbers drawn once, by which squares are labelled.
    """

    question: Question
    items: tuple[Item, ...]
    portions: Mapping[str, tuple[Portion, ...]]
    share: int

    def __post_init__(self) -> None:
        parts = (
            part for portions in self.portions.values() for portion in portions for trial in portion for part in trial
        )
        self.conditions = tuple(dict.fromkeys(parts))
        self.inside = {id: self._inside(portions) for id, portions in self.portions.items()}
        self.taken = {id: np.zeros(len(portions), np.int64) for id, portions in self.portions.items()}
        self.rated = {id: np.zeros(len(self.conditions), np.int64) for id in self.portions}
        self.together = np.zeros((len(self.conditions),) * 2, np.int64)
        self.uses: Counter[Hashable] = Counter()
        self.places: defaultdict[Hashable, Numbers] = defaultdict(lambda: np.zeros(SQUARE, np.int64))
        self.lots: dict[Hashable, float] = {}

    def _inside(self, portions: Sequence[Portion]) -> Numbers:
        """Whether a condition is in a portion ``[portions, conditions]``."""
        sets = [{condition for trial in portion for condition in trial} for portion in portions]
        return np.array([[condition in one for condition in self.conditions] for one in sets], np.int64)

    def lot(self, key: Hashable, generator: np.random.Generator) -> float:
        """A number that stays the same for a key."""
        if key not in self.lots:
            self.lots[key] = generator.random()
        return self.lots[key]


class _Maker:
    """Makes slots one after the other and remembers what was used."""

    def __init__(self, study: Study) -> None:
        self.study, self.assignment, self.asked = study, study.assignment, f"Plan {study.name}"
        training = [page for page in pages_of(study) if page.kind == "training"]
        self.trains = bool(training)
        self.practised = tuple(item for page in training for item in page.items)
        self.heard = self._songs_heard() if self.assignment.one_song_once else set[str]()
        self.menus = {question.id: self._menu(question) for question in study.questions}
        self._check_songs()

    def _songs_heard(self) -> set[str]:
        """Songs that every listener hears anyway."""
        ids = {*self.practised, *(gold.item for gold in self.study.gold)}
        return {_song(item) for item in self.study.items if item.id in ids}

    def _menu(self, question: Question) -> _Menu:
        items = tuple(item for item in items_of(self.study, question) if _song(item) not in self.heard)
        share = self.assignment.items_per_listener or len(items)
        if self.assignment.one_song_once:
            songs = len({_song(item) for item in items})
            share = self.assignment.items_per_listener or max(1, songs // len(self.study.questions))
        if not items or share > len(items):
            kept = f" beside {len(self.heard)} songs of training and gold" if self.heard else ""
            found = f"a listener should get {max(share, 1)} items of `{question.id}`, which has {len(items)}{kept}"
            raise StudyError(self.asked, found, "Lower assignment.items_per_listener, or add items")
        return _Menu(question, items, {item.id: self._portions(question, item) for item in items}, share)

    def _check_songs(self) -> None:
        songs = {_song(item) for menu in self.menus.values() for item in menu.items}
        shares = [menu.share for menu in self.menus.values()]
        if self.assignment.one_song_once and sum(shares) > len(songs):
            total = f"{' + '.join(map(str, shares))} = {sum(shares)}" if len(shares) > 1 else str(shares[0])
            found = f"{total} songs a listener, each once, but there are {len(songs)}"
            raise StudyError(self.asked, found, "Add songs, lower items_per_listener, or switch one_song_once off")

    def _portions(self, question: Question, item: Item) -> tuple[Portion, ...]:
        """What a listener can get of an item: the trials of each block of systems; with "one song once" one trial."""
        conditions = conditions_of(self.study, question, item)
        of = {system.id for system in self.study.systems}
        systems = [condition for condition in conditions if condition in of]
        most = min(len(systems), self.assignment.systems_per_trial or len(systems))
        sets = blocks(len(systems), most).sets if most else ((),)
        chosen = [{systems[place] for place in block} for block in sets]
        portions = [
            trials_of(question.kind, [one for one in conditions if one in here or one not in of]) for here in chosen
        ]
        if self.assignment.one_song_once:
            return tuple((trial,) for trial in dict.fromkeys(trial for portion in portions for trial in portion))
        return tuple(portions)

    def unheard(self) -> list[tuple[str, str, str]]:
        """(question, item, condition) that no slot has yet."""
        return [
            (id, item, menu.conditions[place])
            for id, menu in self.menus.items()
            for item, inside in menu.inside.items()
            for place in np.flatnonzero(inside.any(axis=0) & (menu.rated[item] == 0))
        ]

    def slot(self, index: int) -> Slot:
        """The next slot; `index` counts them."""
        generator = np.random.default_rng([self.study.seed, index])
        drafts, trials = _Drafts(index), list[Planned]()
        for menu in self.menus.values() if self.trains else ():
            trials += self._training(menu, drafts, generator)
        chosen = self._items(generator)
        tests = {id: self._tests(menu, chosen[id], drafts, generator) for id, menu in self.menus.items()}
        repeats = _repeats({id: len(made) for id, made in tests.items()}, self.study)
        for id, menu in self.menus.items():
            made = self._repeated(menu, tests[id], repeats[id], drafts, generator)
            trials += self._with_gold(menu, made, drafts, generator)
        if len(trials) > MOST_TRIALS:
            found = f"{len(trials)} trials for one listener; the most is {MOST_TRIALS}"
            raise StudyError(self.asked, found, "Set assignment.items_per_listener or systems_per_trial")
        return Slot(index, tuple(trials))

    def _items(self, generator: np.random.Generator) -> dict[str, list[Item]]:
        """What this listener hears for each question: the least used items."""
        chosen = self._songs(generator) if self.assignment.one_song_once else {}
        for id, menu in self.menus.items():
            if id not in chosen:
                ranked = sorted(menu.items, key=lambda item: (menu.uses[item.id], generator.random()))
                chosen[id] = ranked[: menu.share]
            menu.uses.update(item.id for item in chosen[id])
        return chosen

    def _songs(self, generator: np.random.Generator) -> dict[str, list[Item]]:
        """One item of different songs for every place of every question: the least used, as an assignment of least cost."""
        wanted = [menu for menu in self.menus.values() for _ in range(menu.share)]
        songs = sorted({_song(item) for menu in wanted for item in menu.items})
        cost, items = np.full((len(wanted), len(songs)), np.inf), dict[tuple[str, int], Item]()
        for menu in self.menus.values():
            rows = [row for row, one in enumerate(wanted) if one is menu]
            for item in menu.items:
                place, price = songs.index(_song(item)), menu.uses[item.id] + generator.random() / 2
                if price < cost[rows[0], place]:
                    cost[rows, place], items[menu.question.id, place] = price, item
        try:
            pairs = zip(*linear_sum_assignment(cost), strict=True)
        except ValueError as error:
            found = f"the {len(songs)} songs cannot be shared among the questions so that each has its own"
            raise StudyError(self.asked, found, "Add songs, name other items, or switch one_song_once off") from error
        chosen: dict[str, list[Item]] = {id: [] for id in self.menus}
        for row, place in pairs:
            chosen[wanted[row].question.id].append(items[wanted[row].question.id, int(place)])
        return chosen

    def _tests(
        self, menu: _Menu, items: Sequence[Item], drafts: "_Drafts", generator: np.random.Generator
    ) -> list[Planned]:
        """The test trials of one question, in order."""
        mine, made = np.zeros(len(menu.conditions), np.int64), []
        for item in items:
            for conditions in self._portion(menu, item, mine, generator):
                order, x = self._order(menu, item, conditions, drafts.slot, generator)
                made.append(drafts.make(menu.question, item, order, "test", x=x))
        return self._sequence(menu, made, generator)

    def _portion(self, menu: _Menu, item: Item, mine: Numbers, generator: np.random.Generator) -> Portion:
        """The portion used least; then the one whose conditions were rated least of this item, met least, heard least."""
        inside, taken, rated = menu.inside[item.id], menu.taken[item.id], menu.rated[item.id]
        met = ((inside @ menu.together) * inside).sum(axis=1)
        place = _least(generator, taken, inside @ rated, met, inside @ mine)
        taken[place] += 1
        rated += inside[place]
        mine += inside[place]
        menu.together += np.outer(inside[place], inside[place])
        np.fill_diagonal(menu.together, 0)
        return menu.portions[item.id][place]

    def _order(
        self, menu: _Menu, item: Item, conditions: Conditions, slot: int, generator: np.random.Generator
    ) -> tuple[Conditions, int | None]:
        """The order of a page, and what X is: the row of a square that was used least for these conditions of the item.

        Then the one whose places its conditions had least: here, for the item, by the listener, at all; in this order.
        """
        abx = menu.question.kind == "abx"
        if self.assignment.design in ("full", "random"):
            return _shuffled(conditions, generator), int(generator.integers(2)) if abx else None
        lots = {condition: menu.lot((item.id, condition), generator) for condition in conditions}
        labels = sorted(conditions, key=lots.__getitem__)
        square = (williams if self.assignment.design == "williams" else latin)(len(labels))
        rows = [tuple(labels[place] for place in row) for row in square]
        choices: list[tuple[Conditions, int | None]] = [(row, x) for row in rows for x in ((0, 1) if abx else (None,))]
        scopes: list[Hashable] = [(item.id, frozenset(conditions)), item.id, slot, None]
        costs = [[sum(menu.uses[scope, one] for one in _features(*choice)) for choice in choices] for scope in scopes]
        chosen = choices[_least(generator, [menu.uses[scopes[0], choice] for choice in choices], *costs)]
        menu.uses.update((scope, one) for scope in scopes for one in _features(*chosen))
        menu.uses[scopes[0], chosen] += 1
        return chosen

    def _sequence(self, menu: _Menu, trials: list[Planned], generator: np.random.Generator) -> list[Planned]:
        """The order of a question's trials: a row of Williams' design whose places they had least so far.

        Two of one item that would follow each other are parted, because nobody should hear the same song twice in a row.
        """
        if self.assignment.design in ("full", "random") or not 1 < len(trials) <= SQUARE:
            return _parted([trials[place] for place in generator.permutation(len(trials))])
        keys = {trial.id: (trial.item, frozenset(trial.conditions)) for trial in trials}
        lots = {trial.id: menu.lot(keys[trial.id], generator) for trial in trials}
        labelled = sorted(trials, key=lambda trial: lots[trial.id])
        rows, places = williams(len(labelled)), np.arange(len(labelled))
        used = np.array([menu.places[keys[trial.id]][: len(labelled)] for trial in labelled])
        row = rows[_least(generator, used[rows, places].sum(axis=1))]
        made = _parted([labelled[at] for at in row])
        for place, trial in enumerate(made):
            menu.places[keys[trial.id]][place] += 1
        return made

    def _repeated(
        self, menu: _Menu, trials: Sequence[Planned], count: int, drafts: "_Drafts", generator: np.random.Generator
    ) -> list[Planned]:
        """The trials with `count` of them a second time, in another order of the page, `repeat_gap` trials later or more."""
        made, gap = list(trials), self.assignment.repeat_gap
        for _ in range(count):
            done = {trial.repeat_of for trial in made}
            free = [
                (menu.uses["repeat", trial.item, frozenset(trial.conditions)], generator.random(), place)
                for place, trial in enumerate(made[: len(made) - gap])
                if trial.purpose == "test" and trial.id not in done
            ]
            if not free:
                break
            place = min(free)[-1]
            first = made[place]
            menu.uses["repeat", first.item, frozenset(first.conditions)] += 1
            later = range(place + gap + 1, len(made) + 1)
            apart = [at for at in later if first.item not in {trial.item for trial in made[at - 1 : at + 1]}]
            made.insert(int(generator.choice(apart or later)), drafts.again(first, generator))
        return made

    def _with_gold(
        self, menu: _Menu, trials: list[Planned], drafts: "_Drafts", generator: np.random.Generator
    ) -> list[Planned]:
        """The trials with gold and traps spread over them, one by lot within each equal stretch, none of them first."""
        gold = [
            trial
            for one in self.study.gold
            if one.question == menu.question.id
            for trial in self._gold(menu.question, one, drafts, generator)
        ]
        made = list(trials)
        edges = np.linspace(1, len(trials) + 1, len(gold) + 1)
        places = [int(generator.integers(int(low), max(int(low) + 1, int(high)))) for low, high in pairwise(edges)]
        for place, number in reversed(list(zip(places, generator.permutation(len(gold)), strict=True))):
            made.insert(place, gold[number])
        return made

    def _gold(self, question: Question, gold: Gold, drafts: "_Drafts", generator: np.random.Generator) -> list[Planned]:
        item, expected = self.study.item(gold.item), gold.expect
        conditions = conditions_of(self.study, question, item)
        systems = [system.id for system in self.study.systems if system.id in conditions]
        spare = [one for one in systems if one not in expected]
        most = self.assignment.systems_per_trial or len(systems)
        left_out = set(spare[max(0, most - (len(systems) - len(spare))) :])
        kept = tuple(one for one in conditions if one not in left_out)
        if question.kind in MULTIPLE:
            sets: list[Conditions] = [kept]
        elif question.kind == "bs1116":
            named = [one for one in expected if one != REFERENCE] or [one for one in kept if one != REFERENCE][:1]
            sets = [(one, REFERENCE) for one in named]
        elif question.kind in PAIRED:
            sets = [tuple(expected)]
        else:
            sets = [(one or kept[0],) for one in expected]
        purpose: Purpose = "trap" if gold.trap else "gold"
        return [
            drafts.make(question, item, _shuffled(one, generator), purpose, expected=expected, tolerance=gold.tolerance)
            for one in sets
        ]

    def _training(self, menu: _Menu, drafts: "_Drafts", generator: np.random.Generator) -> list[Planned]:
        """Every condition of the training items, on as few pages as the kind allows."""
        if self.assignment.one_song_once and not self.practised:
            return []
        ids = self.practised or (menu.items[0].id,)
        made = []
        for item in (self.study.item(id) for id in ids):
            conditions = conditions_of(self.study, menu.question, item)
            portions = self._portions(menu.question, item) if conditions else ()
            sets = _covering(tuple(trial for portion in portions for trial in portion))
            for one in sets:
                x = int(generator.integers(2)) if menu.question.kind == "abx" else None
                made.append(drafts.make(menu.question, item, _shuffled(one, generator), "training", x=x))
        return made


class _Drafts:
    """Makes the trials of one slot, numbered."""

    def __init__(self, slot: int) -> None:
        self.slot, self.count = slot, 0

    def make(
        self,
        question: Question,
        item: Item,
        conditions: Conditions,
        purpose: Purpose,
        *,
        expected: Mapping[str, float | str] | None = None,
        tolerance: float = 0.0,
        x: int | None = None,
    ) -> Planned:
        fields = () if question.kind != "p835" else P835 if self.slot % 2 == 0 else (P835[1], P835[0], P835[2])
        return Planned(
            self._id(), question.id, item.id, conditions, purpose, None, expected or {}, tolerance, fields, x
        )

    def again(self, trial: Planned, generator: np.random.Generator) -> Planned:
        """The same trial with the page in another order: of a pair the sides change."""
        order, x = trial.conditions[::-1], trial.x
        while len(order) > 2 and (order == trial.conditions or order == trial.conditions[::-1]):
            order = _shuffled(trial.conditions, generator)
        if x is not None:
            x = int(generator.integers(2))
        return replace(trial, id=self._id(), conditions=order, purpose="repeat", repeat_of=trial.id, x=x)

    def _id(self) -> str:
        self.count += 1
        return f"{self.slot}-{self.count}"


def trials_of(kind: Kind, conditions: Sequence[str]) -> Portion:
    """The trials that judge conditions of one item: all at once, each, or pairs.

    Pairs are with the reference where it is among them, else all pairs.

    >>> trials_of("ab", ["a", "b", "c"]), trials_of("ccr", ["reference", "a", "b"]), trials_of("acr", ["a", "b"])
    ((('a', 'b'), ('a', 'c'), ('b', 'c')), (('reference', 'a'), ('reference', 'b')), (('a',), ('b',)))
    """
    if kind in MULTIPLE:
        return (tuple(conditions),)
    if kind not in PAIRED:
        return tuple((condition,) for condition in conditions)
    if REFERENCE in conditions:
        return tuple((REFERENCE, condition) for condition in conditions if condition != REFERENCE)
    return tuple(combinations(conditions, 2))


def _covering(trials: Portion) -> Portion:
    """Few of the trials that show every condition: always the one with most that is new."""
    chosen: list[Conditions] = []
    shown: set[str] = set()
    while fresh := {*max(trials, key=lambda trial: len({*trial} - shown), default=())} - shown:
        chosen.append(next(trial for trial in trials if fresh <= {*trial}))
        shown |= fresh
    return tuple(chosen)


def _parted(trials: list[Planned]) -> list[Planned]:
    """The trials without two of an item in a row, as far as can be: the second changes places with the nearest that fits."""
    made = list(trials)

    def clashes(place: int) -> bool:
        return made[place].item in {
            trial.item for trial in (*made[max(0, place - 1) : place], *made[place + 1 : place + 2])
        }

    for place in range(1, len(made)):
        if made[place].item != made[place - 1].item:
            continue
        for other in sorted(range(len(made)), key=lambda at: abs(at - place)):
            made[place], made[other] = made[other], made[place]
            if not clashes(place) and not clashes(other):
                break
            made[place], made[other] = made[other], made[place]
    return made


def _of(expected: Mapping[str, float | str], conditions: Conditions) -> dict[str, float | str]:
    return {condition: value for condition, value in expected.items() if condition in ("", *conditions)}


def _features(order: Conditions, x: int | None) -> list[Hashable]:
    """What of a page's order is balanced: which condition is where; of ABX also what X is, and which answer is right."""
    places: list[Hashable] = [*zip(order, range(len(order)), strict=True)]
    return places if x is None else [*places, ("x is", order[x]), ("right answer", x)]


def _shuffled(conditions: Conditions, generator: np.random.Generator) -> Conditions:
    return tuple(conditions[place] for place in generator.permutation(len(conditions)))


def _least(generator: np.random.Generator, *costs: Sequence[int] | Numbers) -> int:
    """The place of the least cost; of equal ones the next cost decides, and at last the lot."""
    lots = generator.random(len(costs[0]))
    return int(np.lexsort((lots, *(np.asarray(cost) for cost in reversed(costs))))[0])


def _repeats(trials: Mapping[str, int], study: Study) -> dict[str, int]:
    """How many trials of each question come twice: the share of all, halves rounded up, where there is room for the gap."""
    assignment = study.assignment
    room = {id: max(0, count - assignment.repeat_gap) if count > 1 else 0 for id, count in trials.items()}
    total = 0 if assignment.one_song_once else math.floor(assignment.repeats * sum(trials.values()) + 0.5)
    given = dict.fromkeys(trials, 0)
    for _ in range(min(total, sum(room.values()))):
        id = max((id for id in trials if given[id] < room[id]), key=lambda id: trials[id] / (given[id] + 0.5))
        given[id] += 1
    return given


def _song(item: Item) -> str:
    return item.group or item.id


def _refuse_few(study: Study, maker: _Maker, places: int) -> None:
    """Says what is never heard, and how many listeners it would take: slots are made until all is."""
    question, item, condition = maker.unheard()[0]
    menu, assignment = maker.menus[question], study.assignment
    needed = places
    while maker.unheard() and needed < places + MOST_TRIED:
        maker.slot(needed)
        needed += 1
    trials = sum(len({trial for portion in portions for trial in portion}) for portions in menu.portions.values())
    gets = f"{menu.share} of {len(menu.items)} items"
    gets += (
        f" with {assignment.systems_per_trial} of {len(study.systems)} systems" if assignment.systems_per_trial else ""
    )
    gets += ", one trial of each" if assignment.one_song_once else ""
    found = (
        f"`{condition}` of item `{item}` would never be heard: `{question}` has {trials} different trials, of which a listener"
        f" gets {gets}; {places} × {menu.share} = {places * menu.share} items are heard"
    )
    enough = f"Invite at least {needed} listeners" if not maker.unheard() else f"{needed} listeners are not enough"
    advice = f"{enough}, or raise assignment.items_per_listener or systems_per_trial"
    raise StudyError(f"Plan {study.name} for {places} listeners", found, advice)


def feasibility(study: Study, plan: Plan) -> Feasibility:
    """What a plan asks of listeners, and gives."""
    ratings = [*balance(plan).ratings.values()]
    trials = [len(slot.trials) for slot in plan.slots]
    minutes = [_minutes(study, slot) for slot in plan.slots]
    return Feasibility(
        len(plan.slots),
        (min(trials), max(trials)),
        (min(ratings, default=0), max(ratings, default=0)),
        (min(minutes), max(minutes)),
        tuple(_notes(study, plan, ratings, max(minutes))),
    )


def _minutes(study: Study, slot: Slot) -> float:
    seconds = BETWEEN * sum(page.kind not in ("trials", "training", "end") for page in pages_of(study))
    for trial in slot.trials:
        sounds = len(trial.conditions) * (TWICE if len(trial.conditions) > 1 else 1.0)
        seconds += sounds * (study.item(trial.item).duration or SECONDS) + ANSWERING
    return round(seconds / 60, 1)


def _notes(study: Study, plan: Plan, ratings: Sequence[int], minutes: float) -> Iterable[str]:
    purposes = Counter(trial.purpose for slot in plan.slots for trial in slot.trials)
    count = len(plan.slots)
    yield f"{count} listeners, {purposes['test'] / count:g} test trials each: {sum(ratings)} ratings"
    if min(ratings) < max(ratings):
        yield f"{min(ratings)} to {max(ratings)} ratings of each condition of an item: not all equally many"
    wanted = study.assignment.repeats
    if wanted and not purposes["repeat"]:
        why = (
            "one song once"
            if study.assignment.one_song_once
            else f"too few trials for a gap of {study.assignment.repeat_gap}"
        )
        yield f"no repeats ({why}): how far listeners agree with themselves cannot be told"
    if minutes > 30:
        yield f"{minutes:g} minutes; beyond 30 listeners tire: set items_per_listener or systems_per_trial"
