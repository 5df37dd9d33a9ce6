"""A listener's way: the same page again from anywhere, nothing counted twice, the code only at the end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from separation.errors import RatingError, StudyError, UnknownTrial
from separation.listening import headphones
from separation.listening.parts import Assignment, Page
from separation.listening.sessions import END, Entry, Listening, Missing, Sound, read_secret
from separation.listening.study import dump_study
from separation.ratings import parse_event
from separation.ratings.sessions import Gone
from tests.listening.small_study import EVERY_KIND, PAGES, SECRET, House, Json, events_of, parsed, small_study, walk

STUDY = "small-ears"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.store.close()


def enter(house: House, **more: str) -> tuple[str, dict[str, Any]]:
    return house.listening.enter(Entry(STUDY, **more))


def to(house: House, kind: str, **more: str) -> tuple[str, dict[str, Any]]:
    """A session that stands on the first page of a kind."""
    token, page = enter(house, **more)
    while page["kind"] != kind:
        if events := events_of(page):
            house.listening.save(token, str(page["token"]), parsed(events))
        page = house.listening.go_on(token, str(page["token"]))
    return token, page


def test_the_same_listener_of_a_panel_always_gets_the_same_session(house: House) -> None:
    token, page = enter(house, pid="P1")
    assert enter(house, pid="P1") == (token, page)
    other, _ = enter(house, pid="P2")
    assert other != token and enter(house)[0] != enter(house)[0], "without an id everybody is somebody else"
    again = Listening(house.store, house.studies, secret=SECRET).enter(Entry(STUDY, pid="P1"))
    assert again == (token, page), "after a restart too"
    assert enter(house, session=token) == (token, page), "and by their own link"


def test_a_page_is_the_same_whenever_it_is_asked_for(house: House) -> None:
    token, page = to(house, "trial")
    house.clock.now += 86_400
    again, state = Listening(house.store, house.studies, secret=SECRET).page(token)
    assert again == page and state["state"] == "open" and state["place"] == page["index"]


def test_what_was_said_so_far_is_told(house: House) -> None:
    token, page = to(house, "trial")
    field, other = page["fields"][0], page["fields"][1]
    one, two = events_of(page)[-2:]
    one["payload"] = {"kind": "given", "field": field["name"], "of": field["of"], "value": 12.0}
    two["payload"] = {"kind": "given", "field": other["name"], "of": other["of"], "value": 34.0}
    house.listening.save(token, str(page["token"]), parsed([one, two]))
    back = {"id": "taken-back-1", "made": two["made"] + 1, "payload": {**two["payload"], "value": None}}
    house.listening.save(token, str(page["token"]), parsed([back]))
    shown, _ = house.listening.page(token)
    assert shown["given"] == {f"{field['name']} {field['of']}": 12.0}


def test_the_whole_way_with_every_kind_of_question(tmp_path: Path) -> None:
    house = House(tmp_path, small_study(questions=EVERY_KIND))
    seen: list[tuple[str, str]] = []
    token, page = enter(house)
    end = walk(house.listening, token, page, look=lambda page: seen.append((page["kind"], page["layout"])))
    assert [kind for kind, _ in seen if kind not in ("training", "trial")] == [
        "consent", "demographics", "level", "headphones", "instructions", "questionnaire",
    ]  # fmt: skip
    assert {layout for kind, layout in seen if kind == "trial"} == {"mushra", "pair", "abx", "single", "rank"}
    assert end["code"] == "CODE-OF-ALL-CODES" and end["redirect"] == "https://panel.example/done?cc=CODE-OF-ALL-CODES"
    assert end["index"] == end["of"] == len(seen) and house.listening.page(token)[1]["state"] == "finished"
    assert house.listening.go_on(token, END) == end == enter(house, session=token)[1]
    house.store.close()


def test_no_code_before_everything_is_counted(house: House) -> None:
    token, page = enter(house)
    seen: list[tuple[object, object]] = []
    walk(house.listening, token, page, look=lambda page: seen.append((page["code"], page["redirect"])))
    assert len(seen) > 10 and set(seen) == {(None, None)}


def test_a_page_that_is_not_complete_keeps_the_listener(house: House) -> None:
    token, page = to(house, "trial")
    with pytest.raises(Missing) as refused:
        house.listening.go_on(token, str(page["token"]))
    sounds = [each["token"] for each in page["stimuli"]]
    fields = {f"{field['name']} {field['of']}" for field in page["fields"]}
    assert set(refused.value.missing) == fields | {f"play {sound}" for sound in sounds}
    heard, said = parsed(events_of(page)[:7]), parsed(events_of(page)[7:])
    house.listening.save(token, str(page["token"]), said)
    with pytest.raises(Missing) as refused:
        house.listening.go_on(token, str(page["token"]))
    assert set(refused.value.missing) == {f"play {sound}" for sound in sounds}
    house.listening.save(token, str(page["token"]), heard)
    assert house.listening.go_on(token, str(page["token"]))["index"] == page["index"] + 1


def test_consent_must_be_given_and_forms_filled(house: House) -> None:
    token, page = enter(house)
    with pytest.raises(Missing) as refused:
        house.listening.go_on(token, str(page["token"]))
    assert list(refused.value.missing) == ["consent"]
    no = {"id": "consent-0001", "made": 1, "payload": {"kind": "given", "field": "consent", "of": None, "value": False}}
    house.listening.save(token, str(page["token"]), [parse_event(no)])
    with pytest.raises(Missing):
        house.listening.go_on(token, str(page["token"]))
    token, page = to(house, "demographics")
    with pytest.raises(Missing) as refused:
        house.listening.go_on(token, str(page["token"]))
    assert list(refused.value.missing) == ["ears-ok"]


def test_going_on_from_two_tabs_counts_once(house: House) -> None:
    token, page = to(house, "instructions")
    first = house.listening.go_on(token, str(page["token"]))
    assert house.listening.go_on(token, str(page["token"])) == first
    consent = house.studies.sessions.page(house.studies.sessions.get(token), 0)
    assert consent is not None and consent.finished is not None
    late = {"id": "late-event", "made": 1, "payload": {"kind": "given", "field": "consent", "of": None, "value": False}}
    with pytest.raises(Gone):
        house.listening.save(token, consent.trial.id, [parse_event(late)])


@pytest.mark.parametrize(
    "payload",
    [
        {"kind": "given", "field": "nonsense", "of": None, "value": 1},
        {"kind": "given", "field": "overall", "of": "another-token", "value": 1},
        {"kind": "did", "what": "heard", "of": "another-token"},
        {"kind": "finished"},
        {"kind": "consent", "training": True},
        {"kind": "answer", "stem": "vocals", "scale": "overall", "value": 3},
    ],
)
def test_events_may_only_speak_of_what_is_on_the_page(house: House, payload: Json) -> None:
    token, page = to(house, "trial")
    before = len(house.store.events(str(page["token"])))
    with pytest.raises(RatingError):
        event = parse_event({"id": "event-0001", "made": 1, "payload": payload})
        house.listening.save(token, str(page["token"]), [event])
    assert len(house.store.events(str(page["token"]))) == before


def test_pages_of_others_are_out_of_reach(house: House) -> None:
    _, page = to(house, "trial")
    stranger, _ = to(house, "trial")
    with pytest.raises(UnknownTrial):
        house.listening.save(stranger, str(page["token"]), parsed(events_of(page)))
    with pytest.raises(UnknownTrial):
        house.listening.go_on(stranger, str(page["token"]))
    with pytest.raises(UnknownTrial):
        house.listening.sound(stranger, page["stimuli"][0]["token"])


def test_sounds_are_those_of_the_page_where_the_test_stands(house: House) -> None:
    token, page = to(house, "trial")
    sound = page["stimuli"][0]["token"]
    found = house.listening.sound(token, sound)
    assert found.path is not None and found.path.stat().st_size == 2 * page["audio"]["length"]
    house.listening.save(token, str(page["token"]), parsed(events_of(page)))
    house.listening.go_on(token, str(page["token"]))
    with pytest.raises(UnknownTrial):
        house.listening.sound(token, sound)


def test_tokens_say_nothing_and_are_drawn_for_every_page(house: House) -> None:
    tokens: list[str] = []
    for _ in range(2):
        session, page = enter(house)
        walk(
            house.listening,
            session,
            page,
            look=lambda page: tokens.extend(each["token"] for each in (*page["stimuli"], *page["references"])),
        )
    assert len(tokens) > 40 and len(set(tokens)) == len(tokens)


def test_the_headphone_check_plays_six_trials_in_stereo(house: House) -> None:
    token, page = to(house, "headphones")
    sounds = [house.listening.sound(token, each["token"]) for each in page["stimuli"]]
    assert len(sounds) == headphones.TRIALS and all(isinstance(sound, Sound) and sound.path is None for sound in sounds)
    assert {len(sound.content) for sound in sounds} == {4 * page["audio"]["length"]}


def test_a_paused_study_keeps_what_is_said_and_shows_no_new_page(house: House) -> None:
    token, page = to(house, "trial")
    house.studies.pause(STUDY)
    house.listening.save(token, str(page["token"]), parsed(events_of(page)))
    shown = house.listening.go_on(token, str(page["token"]))
    assert (shown["kind"], shown["layout"], shown["stimuli"]) == ("paused", "end", [])
    assert enter(house, language="de")[1]["title"] == "Kurze Pause"
    house.studies.resume(STUDY)
    assert house.listening.page(token)[0]["index"] == page["index"] + 1


def test_a_closed_study_lets_who_is_under_way_finish(house: House) -> None:
    token, page = to(house, "trial")
    house.studies.close(STUDY)
    begun, closed = enter(house)
    assert (begun, closed["kind"]) == ("", "closed")
    assert walk(house.listening, token, dict(page))["code"] == "CODE-OF-ALL-CODES"


def test_a_full_study_says_so_and_takes_more_after_it_was_extended(house: House) -> None:
    for number in range(4):
        assert enter(house, pid=f"P{number}")[0]
    assert enter(house)[1]["kind"] == "full"
    assert house.studies.extend(STUDY, 5).slots == 5
    token, page = enter(house)
    assert token and walk(house.listening, token, page)["code"] == "CODE-OF-ALL-CODES"


def test_withdrawal_deletes_and_says_so(house: House) -> None:
    token, page = to(house, "trial", pid="P1")
    assert house.listening.withdraw(token) == page["index"] + 1
    assert house.store.count("study")["trials"] == 0
    shown, state = house.listening.page(token)
    assert shown["kind"] == "withdrawn" and state["state"] == "withdrawn"
    assert house.listening.go_on(token, str(page["token"]))["kind"] == "withdrawn"
    with pytest.raises(UnknownTrial):
        house.listening.save(token, str(page["token"]), parsed(events_of(page)))


def test_the_language_can_be_changed_on_the_way(house: House) -> None:
    token, page = enter(house, language="de-AT")
    assert (page["language"], page["title"], page["study"]["title"]) == ("de", "Willkommen", "Kleine Ohren")
    _, page = enter(house, session=token, language="en")
    assert page["title"] == "Welcome" and house.listening.page(token)[0] == page
    assert enter(house, session=token, language="xx")[1]["language"] == "en", "the study's first one"


def test_files_that_are_not_those_of_the_launch_are_not_served(house: House) -> None:
    token, _ = enter(house)
    changed = small_study(seed=5)
    (house.home / "study.yaml").write_text(dump_study(changed), encoding="utf-8")
    with pytest.raises(StudyError, match=r"study.yaml is not of the version that was launched"):
        house.listening.page(token)


def test_practice_says_that_it_is_practice(house: House, tmp_path: Path) -> None:
    _, page = to(house, "training")
    assert page["title"] == "Practice · Compare with the reference"
    about, question = str(page["text"]).split("\n\n")
    assert about.endswith("Your answers here do not count.") and question.startswith("How good is each sound")
    assert to(house, "trial")[1]["title"] == "Compare with the reference"
    own = Page(kind="training", title={"en": "Warm up"}, text={"en": "Just try it."})
    pages = tuple(own if one.kind == "training" else one for one in PAGES)
    other = House(tmp_path / "own", small_study(pages=pages))
    _, page = to(other, "training")
    assert page["title"] == "Warm up · Compare with the reference"
    assert str(page["text"]).startswith("Just try it.\n\nHow good is")
    other.store.close()


def test_a_way_without_training_or_checks(tmp_path: Path) -> None:
    few = tuple(page for page in PAGES if page.kind in ("consent", "trials"))
    house = House(tmp_path, small_study(pages=few, assignment=Assignment(listeners=2, repeats=0.0)))
    kinds: list[str] = []
    token, page = enter(house)
    walk(house.listening, token, page, look=lambda page: kinds.append(page["kind"]))
    assert kinds == ["consent", *["trial"] * 6]
    house.store.close()


def test_the_secret_is_drawn_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "data" / "listening.key"
    secret = read_secret(path)
    assert len(secret) == 32 and read_secret(path) == secret and path.stat().st_mode & 0o077 == 0
    path.write_bytes(b"short")
    with pytest.raises(RatingError, match="5 bytes instead of 32"):
        read_secret(path)
