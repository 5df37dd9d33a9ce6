"""What a card says in a few short lines, for the Models page and `earshot models NAME` alike: terms and their values.

Scores, weaknesses and the citation are not among them: they need more room than a line.
"""

from separation.hub.card import Card


def facts(card: Card) -> list[tuple[str, str]]:
    """Terms and values, the most asked first.

    Args:
        card: of any model.
    """
    lines = [
        ("Gives", ", ".join(card.sources)),
        ("Hears", f"up to {card.sample_rate / 2000:g} kHz ({card.sample_rate:,} samples a second)"),
        ("Licence", card.licence),
        ("Architecture", card.architecture),
    ]
    if card.weights is not None:
        lines.append(("Size", f"{parameters(card.weights.parameters)}, {megabytes(card.weights.bytes)}"))
    if card.training is not None and card.training.seconds_of_audio is not None:
        lines.append(("Heard in training", f"{card.training.seconds_of_audio / 3600:.1f} hours of audio"))
    if card.authors:
        lines.append(("By", ", ".join(card.authors)))
    return lines


def parameters(count: int) -> str:
    """A number of parameters in words.

    >>> parameters(1_203_361), parameters(840)
    ('1.2 million parameters', '840 parameters')
    """
    return f"{count / 1e6:.1f} million parameters" if count >= 100_000 else f"{count:,} parameters"


def megabytes(nbytes: int) -> str:
    """Bytes as people say them.

    >>> megabytes(13_629_948), megabytes(2_400), megabytes(2_140_000_000)
    ('13.6 MB', '2.4 kB', '2.14 GB')
    """
    if nbytes < 1e5:
        return f"{nbytes / 1e3:.1f} kB"
    return f"{nbytes / 1e6:.1f} MB" if nbytes < 1e9 else f"{nbytes / 1e9:.2f} GB"
