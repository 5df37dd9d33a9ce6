"""The same in processes of their own, configured as users do it: HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE, HF_TOKEN."""

import json
import os
import subprocess
import sys
from pathlib import Path

from fake_hub import FakeHub

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, separation
card = separation.load("owner/tiny").card
print(json.dumps([card.name, card.origin.revision, card.origin.notes]))
"""


def run(fake: FakeHub, home: Path, *arguments: str, **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING", "HTTP"))}
    clean |= {"HF_ENDPOINT": fake.url, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1"}
    clean |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_published_loaded_and_loaded_again_offline(fake: FakeHub, folder: Path, tmp_path: Path) -> None:
    """`hf upload`, then a first load over the network, then one with the Hub switched off."""
    client = ("-m", "huggingface_hub.cli.hf")
    home = tmp_path / "home"
    run(fake, home, *client, "upload", "owner/tiny", str(folder), HF_TOKEN="hf_mine", HF_HUB_DISABLE_XET="1")
    assert sorted(fake.repos["owner/tiny"].commits[fake.repos["owner/tiny"].branches["main"]]) == [
        "README.md", "config.json", "model.safetensors",
    ]  # fmt: skip
    first = json.loads(run(fake, home, "-c", SCRIPT))
    assert first == ["tiny", fake.repos["owner/tiny"].branches["main"], []]
    fake.close()
    name, revision, notes = json.loads(run(fake, home, "-c", SCRIPT, HF_HUB_OFFLINE="1"))
    assert [name, revision] == first[:2] and "HF_HUB_OFFLINE" in notes[0]
