"""The contract suite, on every architecture, on every bundled model, and on separators that each break one promise."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from separation import hub
from separation.errors import ConfigError, ShapeError
from separation.models import ARCHITECTURES, Spec, build
from separation.models.protocol import separate_by_masks
from tests.contract import CHECKS, SMALL, check_separator

CASES = [(architecture, case) for architecture, cases in SMALL.items() for case in cases]


def test_every_architecture_has_small_arguments() -> None:
    assert set(SMALL) == set(ARCHITECTURES), "tests/contract.py: SMALL needs an entry for each architecture"
    assert all(SMALL.values())


@pytest.mark.parametrize(("architecture", "case"), CASES)
def test_architectures_keep_the_contract(architecture: str, case: str) -> None:
    torch.manual_seed(0)
    check_separator(lambda: build(architecture, SMALL[architecture][case]))


@pytest.mark.parametrize("name", sorted(card.name for card in hub.bundled()))
def test_bundled_models_keep_the_contract(name: str) -> None:
    check_separator(lambda: hub.load(name))


class Good(nn.Module):
    """The least that keeps the contract: one gain, sources ``a`` and the rest. `flaw` breaks one promise."""

    citation = "A. Person, A paper, 2020"

    def __init__(self, *, sources: Any = ("a", "b"), flaw: str = "") -> None:
        super().__init__()
        self.arguments = {"sources": list(sources), "flaw": flaw}
        self.flaw = flaw
        self.gain = nn.Parameter(torch.full((1,), 0.7))
        self.calls = 0
        if flaw == "arguments":
            self.arguments["sources"] = set(sources)
        if flaw == "meta":
            self.register_buffer("window", torch.ones(3, device="cpu"))
        if flaw == "citation":
            self.citation = ""
        if flaw == "dead":
            self.unused = nn.Parameter(torch.ones(2))
        if flaw == "lost":
            self.register_buffer("secret", torch.rand(1), persistent=False)

    @property
    def spec(self) -> Spec:
        return Spec(8000, 1, ("b", "a") if self.flaw == "spec" else ("a", "b"), segment=1.0, context=0.1)

    def encode(self, x: Tensor) -> Tensor:
        return (x.flip(1) if self.flaw == "channels" else x).unsqueeze(-1)

    def masks(self, z: Tensor, side: Any = {}, state: Any = None) -> Tensor:
        mask = torch.sigmoid(self.gain) * torch.ones_like(z[:, :1])
        return torch.stack([mask, (-mask if self.flaw == "negative" else 1 - mask)], 1)

    def decode(self, latents: Tensor, length: int) -> Tensor:
        return latents.squeeze(-1)

    def refine(self, stems: Tensor, mixture: Tensor) -> Tensor:
        return stems

    def separate(self, mixture: Tensor, side: Any = {}, state: Any = None) -> tuple[Tensor, Any]:
        self.calls += 1
        out = separate_by_masks(self, mixture, side, state)
        match self.flaw:
            case "length":
                out = out[..., : mixture.shape[-1] // 4 * 4]
            case "silence":
                out = out / mixture.std()
            case "random":
                out = out + 1e-3 * torch.randn_like(out)
            case "input":
                mixture.mul_(0.5)
            case "batch":
                out = out * mixture.abs().max()
            case "detached":
                with torch.no_grad():
                    out = out + 0
                out = out.detach() if not self.training else out
            case "lost":
                out = out * self.secret
            case "law":
                out = out * 1.01
            case "state":
                return out, {}
        return out, None


def test_the_least_separator_keeps_the_contract() -> None:
    check_separator(Good)


@pytest.mark.parametrize(
    ("flaw", "check"),
    [
        ("spec", "spec_is_consistent_with_the_arguments"),
        ("arguments", "arguments_are_json_and_rebuild_the_model"),
        ("meta", "builds_on_the_meta_device"),
        ("citation", "cites_its_source"),
        ("length", "estimates_have_the_shape_of_the_mixture"),
        ("state", "estimates_have_the_shape_of_the_mixture"),
        ("silence", "finite_on_silence_and_on_a_click"),
        ("dead", "gradients_reach_every_parameter"),
        ("random", "deterministic_in_eval"),
        ("input", "separates_without_disturbing_itself_or_its_input"),
        ("batch", "a_batch_of_one_equals_a_batch_of_three"),
        ("detached", "works_where_gradients_are_off_and_on_again"),
        ("lost", "survives_safetensors_bit_by_bit"),
        ("channels", "encodes_each_channel_on_its_own"),
        ("negative", "masks_are_real_and_not_negative"),
        ("law", "keeps_the_law_of_latent_separators"),
    ],
)
def test_a_broken_promise_is_found(flaw: str, check: str) -> None:
    checks: dict[str, Callable[..., None]] = {function.__name__: function for function in CHECKS}
    with pytest.raises((AssertionError, TypeError, RuntimeError)):
        checks[check](lambda: Good(flaw=flaw))


def test_every_check_is_seen_to_fail() -> None:
    marks = test_a_broken_promise_is_found.pytestmark  # type: ignore[attr-defined]
    assert {check for _, check in marks[0].args[1]} == {check.__name__ for check in CHECKS}


def test_check_separator_names_the_check() -> None:
    with pytest.raises(AssertionError) as failure:
        check_separator(lambda: Good(flaw="dead"))
    assert failure.value.__notes__ == ["in gradients_reach_every_parameter"]


def test_an_unknown_architecture_is_refused_with_the_list() -> None:
    with pytest.raises(ConfigError, match=rf"'wavenet'.*Use one of {', '.join(ARCHITECTURES)}"):
        build("wavenet", {})


@pytest.mark.parametrize(
    ("architecture", "arguments", "message"),
    [
        ("unet", {"colour": "red"}, "unexpected keyword argument 'colour'"),
        ("unet", {"channels": []}, "two levels or more"),
        ("unet", {"hop_length": 0}, "divides it at least twice, not 0"),
        ("unet", {"hidden": -1}, "."),
        ("unet", {"segment": 1.0, "context": 0.5}, r"a context of 0\.5 s in a segment of 1\.0 s"),
        ("unet", {"sample_rate": 0}, "a sample rate of 0 Hz"),
        ("conv_tasnet", {"basis": -4}, "."),
        ("conv_tasnet", {"sources": ["same", "same"]}, "sources"),
        ("conv_tasnet", {"kernel": 0}, "must be even, not 0"),
        ("conv_tasnet", {"blocks": "many"}, "."),
    ],
)
def test_impossible_arguments_are_one_kind_of_error(architecture: str, arguments: dict[str, Any], message: str) -> None:
    with torch.device("meta"), pytest.raises(ConfigError, match=message) as failure:
        build(architecture, arguments)
    assert "config.json" in failure.value.advice


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sample_rate": 0}, "0 Hz"),
        ({"channels": 6}, "6 channels"),
        ({"sources": ()}, "sources"),
        ({"sources": ("a", "a")}, "sources"),
        ({"context": 0.5}, "context of 0.5 s"),
        ({"context": -0.1}, "context of -0.1 s"),
    ],
)
def test_an_impossible_spec_says_why(changes: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"sample_rate": 8000, "channels": 1, "sources": ("a", "b"), "segment": 1.0, "context": 0.1}
    with pytest.raises(ShapeError, match=message):
        Spec(**(good | changes))


def test_a_spec_is_plain_data() -> None:
    spec = Spec(8000, None, ["a"], 2.0, 0.5, needs=["pitch"])  # type: ignore[arg-type]
    assert spec == Spec(**spec.to_dict())
    assert (spec.sources, spec.needs) == (("a",), ("pitch",))
