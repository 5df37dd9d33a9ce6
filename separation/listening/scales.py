"""The scales of the kinds of question, as numbers: least, most, step, and the keys of the words that divide them.

Sources: MUSHRA 0 to 100 in five equal bands (BS.1534-3, 5.5); the 41 steps of the impairment scale (BS.1116-3, 7); ACR, DCR and
CCR (P.800 and P.808); the three scales of P.835. `scale` asks for PEASS's four attributes (Emiya 2011) on MUSHRA's scale.
"""

from collections.abc import Mapping

from separation.listening.parts import Kind

SCALES: Mapping[Kind, tuple[float, float]] = {
    "mushra": (0, 100),
    "scale": (0, 100),
    "bs1116": (1, 5),
    "acr": (1, 5),
    "dcr": (1, 5),
    "p835": (1, 5),
    "ccr": (-3, 3),
    "ab": (-1, 1),
    "abx": (0, 1),
    "ranking": (1, 12),
}
"""Least and most of an `Answer`'s value; what ranks has as many places as sounds. `text` and `marks` have no numbers."""
P835 = ("sig", "bak", "ovrl")
"""The scales of P.835; the first two change places between listeners, the last one stays."""
