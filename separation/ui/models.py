"""The Models page: what is here, how good and how fast it is, what is inside it; and any repository of the Hub.

The page itself is drawn in the browser (`cards/cards.js`), from what `separation.ui.model_routes` answers: it changes while
models are fetched, timed and removed.
"""

from pathlib import Path

import gradio as gr

STYLE = Path(__file__).parent / "cards" / "cards.css"

_SCRIPT = """
const address = new URL("earshot/cards/cards.js", new URL("./", document.baseURI));
import(address).catch(() => {
  const text = "This page's script could not be loaded. Check the connection and load the page again.";
  element.querySelector("earshot-models").textContent = text;
});
"""


class ModelsPage:
    """The page's one component."""

    def build(self) -> None:
        """Put it into the page that is being built."""
        gr.HTML(
            "",
            html_template="<earshot-models></earshot-models>",
            js_on_load=_SCRIPT,
            apply_default_css=False,
            elem_classes=["earshot-plain"],
        )
