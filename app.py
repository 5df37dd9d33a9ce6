"""Starts Earshot in the browser: `python app.py`. Settings come from the environment, see `separation/settings.py`."""

from separation.ui.server import launch

if __name__ == "__main__":
    launch()
