"""The baselines of the Compare page: the command makes what is shipped."""

from pathlib import Path

from separation.hub import Origin
from separation.hub.folder import read_card
from tools.make_compare_models import BASELINES, make

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_shipped_is_what_the_command_makes(tmp_path: Path) -> None:
    """But for the last digits of the weights, which differ from machine to machine."""
    made = make("nmf-speakers", ROOT / "assets" / "lessons", tmp_path)
    shipped = read_card(Origin("nmf-speakers", ROOT / "assets" / "compare" / "nmf-speakers"))
    assert made.model_dump(exclude={"weights"}) == shipped.model_dump(exclude={"weights"})
    assert made.weights is not None and shipped.weights is not None
    assert made.weights.parameters == shipped.weights.parameters


def test_everything_the_command_makes_is_shipped() -> None:
    folder = ROOT / "assets" / "compare"
    assert {path.name for path in folder.iterdir() if path.is_dir()} == set(BASELINES)
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 500_000
