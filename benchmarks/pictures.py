"""Figures of the app as SVG files for the documents: drawn by the same plotly.js, in Chromium, on white paper.

Not for the app, whose pages draw figures themselves. Needs Chromium and playwright, as the browser tests do.
"""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote_to_bytes

from playwright.sync_api import sync_playwright

from separation.visualisation.figures import Figure, plotly_script

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH = 860  # px
PAPER = {
    "text": "#1a1e28", "dim": "#586071", "line": "#e4e7ed", "surface": "#ffffff", "series-1": "#0072b2",
    "series-2": "#c1500a", "series-3": "#00795a", "series-4": "#a8447f", "series-5": "#8a6d00", "series-6": "#3b83bd",
}  # fmt: skip
"""The app's light colours: what `var(--earshot-…)` stands for here."""


def save_svgs(figures: Mapping[str, Figure], folder: Path) -> list[Path]:
    """Write each figure as ``FOLDER/NAME.svg``.

    Raises:
        SystemExit: there is no Chromium.
    """
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise SystemExit("Draw figures: there is no Chromium here; install the package chromium")
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = chromium.new_page()
        page.add_script_tag(content=plotly_script()[0].decode())
        paths = []
        for name, figure in figures.items():
            spec = json.loads(re.sub(r"var\(--earshot-([\w-]+)\)", _colour, json.dumps(figure.spec)))
            size = {"format": "svg", "width": WIDTH, "height": spec["layout"]["height"]}
            url = page.evaluate("([spec, size]) => Plotly.toImage(spec, size)", [spec, size])
            paths.append(folder / f"{name}.svg")
            paths[-1].write_bytes(unquote_to_bytes(url.partition(",")[2]))
        chromium.close()
    return paths


def _colour(match: re.Match[str]) -> str:
    return PAPER[match[1]]
