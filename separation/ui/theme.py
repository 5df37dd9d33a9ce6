"""How the pages look: a theme without network fonts, and the style sheet that the player shares.

Colours are named once, in `theme.css` as `--earshot-*` variables for light and dark; the theme only tells Gradio to use
them. One accent colour; nothing means anything by colour alone.
"""

from pathlib import Path

import gradio as gr

STYLE = Path(__file__).with_name("theme.css")

_TEXT = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
_NUMBERS = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace")


class Theme(gr.themes.Base):
    """Gradio's controls in the colours of `theme.css`."""

    def __init__(self) -> None:
        super().__init__(font=_TEXT, font_mono=_NUMBERS, radius_size="md", text_size="md", spacing_size="md")
        both = {
            "body_background_fill": "var(--earshot-page)",
            "body_text_color": "var(--earshot-text)",
            "body_text_color_subdued": "var(--earshot-dim)",
            "background_fill_primary": "var(--earshot-surface)",
            "background_fill_secondary": "var(--earshot-raised)",
            "border_color_primary": "var(--earshot-line)",
            "border_color_accent": "var(--earshot-accent)",
            "color_accent_soft": "var(--earshot-accent-soft)",
            "link_text_color": "var(--earshot-accent)",
            "link_text_color_hover": "var(--earshot-accent-strong)",
            "link_text_color_active": "var(--earshot-accent-strong)",
            "link_text_color_visited": "var(--earshot-accent)",
            "block_background_fill": "var(--earshot-surface)",
            "block_border_color": "var(--earshot-line)",
            "block_label_background_fill": "var(--earshot-surface)",
            "block_label_text_color": "var(--earshot-dim)",
            "block_title_text_color": "var(--earshot-text)",
            "block_info_text_color": "var(--earshot-dim)",
            "input_background_fill": "var(--earshot-surface)",
            "input_border_color": "var(--earshot-line-strong)",
            "input_border_color_focus": "var(--earshot-accent)",
            "input_placeholder_color": "var(--earshot-dim)",
            "checkbox_background_color": "var(--earshot-surface)",
            "checkbox_border_color": "var(--earshot-line-strong)",
            "checkbox_background_color_selected": "var(--earshot-accent)",
            "checkbox_border_color_selected": "var(--earshot-accent)",
            "checkbox_label_background_fill": "var(--earshot-surface)",
            "checkbox_label_background_fill_hover": "var(--earshot-raised)",
            "checkbox_label_background_fill_selected": "var(--earshot-accent-soft)",
            "checkbox_label_border_color": "var(--earshot-line-strong)",
            "checkbox_label_border_color_selected": "var(--earshot-accent)",
            "checkbox_label_text_color": "var(--earshot-text)",
            "checkbox_label_text_color_selected": "var(--earshot-text)",
            "button_primary_background_fill": "var(--earshot-accent)",
            "button_primary_background_fill_hover": "var(--earshot-accent-strong)",
            "button_primary_text_color": "var(--earshot-on-accent)",
            "button_primary_border_color": "var(--earshot-accent)",
            "button_secondary_background_fill": "var(--earshot-surface)",
            "button_secondary_background_fill_hover": "var(--earshot-raised)",
            "button_secondary_text_color": "var(--earshot-text)",
            "button_secondary_border_color": "var(--earshot-line-strong)",
            "slider_color": "var(--earshot-accent)",
            "panel_background_fill": "var(--earshot-surface)",
            "panel_border_color": "var(--earshot-line)",
            "error_background_fill": "var(--earshot-surface)",
            "error_text_color": "var(--earshot-text)",
            "error_border_color": "var(--earshot-danger)",
            "error_icon_color": "var(--earshot-danger)",
        }
        one = {
            "block_shadow": "none",
            "block_border_width": "1px",
            "button_primary_shadow": "none",
            "button_secondary_shadow": "none",
            "checkbox_label_border_width": "1px",
            "checkbox_label_shadow": "none",
            "input_shadow": "none",
            "input_shadow_focus": "none",
            "input_border_width": "1px",
            "button_border_width": "1px",
        }
        self.set(**one, **both, **{f"{name}_dark": value for name, value in both.items()})
