"""`earshot leaderboard`: the votes of a file or of the database, as a table and as JSON."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from separation.cli import app
from separation.errors import RatingError
from separation.listening.arena import KIND, Vote, read_votes, write_votes
from separation.listening.leaderboard import Board, leaderboard
from separation.ratings import Store, parse_event


@pytest.fixture
def votes(tmp_path: Path) -> Path:
    """Sixty votes of six listeners: swifts beat larks twice in three."""
    path = tmp_path / "votes.jsonl"
    made = []
    for number in range(60):
        left, right = ("swift", "lark") if number % 2 else ("lark", "swift")
        better = "swift" if number % 3 else "lark"
        fields: dict[str, Any] = {
            "trial": f"trial-{number:03}", "listener": f"listener-{number % 6}", "made": 100.0 * number, "task": "birds",
            "recording": "dawn", "name": "Dawn", "left": left, "right": right, "how": "random", "probability": 1.0,
            "titles": {"swift": "Swift", "lark": "Lark"}, "choice": "left" if better == left else "right",
            "reasons": {"target:song": "tie"}, "heard": {"left": 9.0, "right": 9.0}, "seconds": 30.0,
        }  # fmt: skip
        made.append(Vote(**fields))
    write_votes(made, path)
    return path


def earshot(*words: Path | str) -> Result:
    return CliRunner().invoke(app, ["leaderboard", *map(str, words)], env={"COLUMNS": "160"})


def test_a_table_for_people(votes: Path) -> None:
    said = earshot(votes)
    assert said.exit_code == 0
    assert "birds: 60 votes of 6 listeners" in said.stdout
    assert said.stdout.index("Swift") < said.stdout.index("Lark")
    assert "Bias for the left side" in said.stdout and "60 random" in said.stdout


def test_the_same_numbers_as_json(votes: Path) -> None:
    found = json.loads(earshot(votes, "--json").stdout)
    expected = leaderboard(read_votes(votes), Board("birds")).to_json()
    assert found == [json.loads(json.dumps(expected))]


def test_reasons_and_filters(votes: Path) -> None:
    [board] = json.loads(earshot(votes, "--attribute", "target", "--stem", "song", "--only-random", "--json").stdout)
    assert (board["votes"], board["ties"], board["board"]["only_random"]) == (60, 60, True)


def test_a_task_without_votes(votes: Path) -> None:
    said = earshot(votes, "--task", "cooking")
    assert isinstance(said.exception, RatingError) and "Choose from birds" in str(said.exception)


def test_no_such_file(tmp_path: Path) -> None:
    assert "no such file" in str(earshot(tmp_path / "nothing.jsonl").exception)


def test_the_votes_of_the_database_are_written_for_others(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'ratings.db'}"
    store = Store(database)
    system = {name: {"id": name, "title": name.title()} for name in ("swift", "lark")}
    served = {
        "job": "dawn", "task": "birds", "name": "Dawn", "how": "random", "probability": 1.0,
        "left": system["swift"], "right": system["lark"],
    }  # fmt: skip
    _, token = store.serve("the-id-of-a-browser", KIND, served, {})
    payloads = [{"kind": "given", "field": "vote", "value": "right"}, {"kind": "finished"}]
    store.save(
        token, [parse_event({"id": f"event-{n:03}", "made": n, "payload": one}) for n, one in enumerate(payloads)]
    )
    store.close()
    saved = tmp_path / "votes.jsonl"
    assert earshot("--database", database, "--save", saved).exit_code == 0
    [vote] = read_votes(saved)
    assert vote.winner == "lark" and vote.flags == ("heard too little", "too fast")
    assert "browser" not in saved.read_text()
    assert "Lark" in earshot(saved).stdout


def test_no_votes_yet(tmp_path: Path) -> None:
    said = earshot("--database", f"sqlite:///{tmp_path / 'ratings.db'}")
    assert said.exit_code == 0 and "No votes yet" in said.output
