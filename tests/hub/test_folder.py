"""Model folders: written whole, read strictly."""

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_folder import FIELDS, contents, tiny

from separation import hub
from separation.errors import ConfigError, DeviceError, UnknownModel, WeightsError
from separation.models import Separator


def rewrite(folder: Path, **changes: Any) -> None:
    """Change fields of config.json, one level deep for dictionaries."""
    config = json.loads((folder / "config.json").read_text())
    for field, value in changes.items():
        config[field] = {**config[field], **value} if isinstance(value, dict) else value
    (folder / "config.json").write_text(json.dumps(config))


def reweigh(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Replace the weights by others and describe them truthfully."""
    path = folder / "model.safetensors"
    save_file(tensors, path)
    data = path.read_bytes()
    rewrite(folder, weights={"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)})


def test_round_trip_gives_the_same_numbers(folder: Path) -> None:
    mixture = torch.randn(1, 1, 800, generator=torch.Generator().manual_seed(1))
    model = hub.load(folder)
    with torch.no_grad():
        expected, _ = tiny().separate(mixture)
        found, _ = model.separate(mixture)
    assert torch.equal(found, expected)
    assert isinstance(model, Separator) and not model.training
    assert model.card.name == "tiny" and model.card.origin.folder == folder and model.card.origin.revision is None


def test_loading_leaves_the_random_generator_alone(folder: Path) -> None:
    torch.manual_seed(3)
    hub.load(folder)
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(1))


def test_saving_twice_gives_the_same_bytes(folder: Path) -> None:
    before = contents(folder)
    hub.save(folder, tiny(), **FIELDS)
    assert contents(folder) == before


def test_saving_replaces_an_earlier_model(folder: Path) -> None:
    hub.save(folder, tiny(seed=1), **FIELDS)
    tensors = load_file(folder / "model.safetensors")
    assert torch.equal(tensors["encoder.weight"], tiny(seed=1).state_dict()["encoder.weight"])
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_a_failed_save_leaves_the_earlier_model(folder: Path) -> None:
    before = contents(folder)
    with pytest.raises(ConfigError, match="licence"):
        hub.save(folder, tiny(seed=1), **{**FIELDS, "licence": ""})
    broken = tiny(seed=1)
    broken.encoder.weight.data[0, 0, 0] = float("nan")
    with pytest.raises(WeightsError, match=r"NaN or infinity in encoder\.weight"):
        hub.save(folder, broken, **FIELDS)
    with pytest.raises(ConfigError, match="another_architecture"):
        hub.save(folder, tiny(seed=1), **{**FIELDS, "architecture": "another_architecture"})
    assert contents(folder) == before and [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_a_crash_while_renaming_puts_the_earlier_model_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, rename = contents(folder), Path.rename

    def fail_onto_folder(self: Path, target: Path) -> Path:
        if target == folder and not self.name.endswith(".earlier"):
            raise OSError("disk gone")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_onto_folder)
    with pytest.raises(OSError, match="disk gone"):
        hub.save(folder, tiny(seed=1), **FIELDS)
    assert contents(folder) == before


def test_a_folder_with_other_files_is_not_replaced(folder: Path) -> None:
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match=r"also holds thesis\.tex"):
        hub.save(folder, tiny(), **FIELDS)
    assert (folder / "thesis.tex").exists()


def test_what_the_model_knows_cannot_be_overruled(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sample_rate given\. They come from the model"):
        hub.save(tmp_path / "m", tiny(), **FIELDS, sample_rate=44100)


def test_missing_folder_and_missing_config(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match=r"holds no config\.json"):
        hub.load(tmp_path)
    with pytest.raises(UnknownModel, match="no bundled model, no folder"):
        hub.load(tmp_path / "nowhere")


def test_config_that_is_no_text(folder: Path) -> None:
    (folder / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        hub.describe(folder)
    (folder / "config.json").write_bytes(b" " * 1_000_001)
    with pytest.raises(ConfigError, match="1,000,001 bytes"):
        hub.describe(folder)


class Bomb:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('the pickle was opened')",)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "best.PTH", "epoch=3.ckpt", "model.pkl"])
def test_pickles_are_refused_unopened_with_the_reason(folder: Path, name: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(WeightsError, match="can run any program when opened") as caught:
        hub.load(folder)
    assert name in caught.value.found and "model.safetensors" in caught.value.advice


def test_a_pickle_renamed_to_safetensors_is_not_opened(folder: Path) -> None:
    data = pickle.dumps(Bomb())
    (folder / "model.safetensors").write_bytes(data)
    rewrite(folder, weights={"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)})
    with pytest.raises(WeightsError, match="not a safetensors file"):
        hub.load(folder)


def test_missing_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"there is no model\.safetensors"):
        hub.load(folder)
    assert hub.describe(folder).name == "tiny"


def test_a_changed_byte_is_noticed(folder: Path) -> None:
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    with pytest.raises(WeightsError, match=r"not the file that config\.json describes"):
        hub.load(folder)


def test_tensors_that_do_not_fit_are_named_and_counted(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    wanted = len(tensors)
    del tensors["enter.bias"]
    tensors |= {f"extra.{i}": torch.zeros(1) for i in range(5)}
    tensors["encoder.weight"] = torch.zeros(16, 1, 10)
    tensors["leave.bias"] = tensors["leave.bias"].to(torch.int64)
    reweigh(folder, tensors)
    with pytest.raises(WeightsError) as caught:
        hub.load(folder)
    found = caught.value.found
    assert "1 missing: enter.bias" in found
    assert "5 not used: extra.0, extra.1, extra.2 and 2 more" in found
    assert "encoder.weight real [16, 1, 10] instead of real [16, 1, 8]" in found
    assert "leave.bias torch.int64 [32] instead of real [32]" in found
    assert wanted > 10


def test_all_tensors_foreign(folder: Path) -> None:
    reweigh(folder, {"a": torch.zeros(2)})
    with pytest.raises(WeightsError, match=r"missing: .* more; 1 not used: a"):
        hub.load(folder)


def test_nan_weights_are_refused(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["enter.bias"][0] = float("inf")
    reweigh(folder, tensors)
    with pytest.raises(WeightsError, match=r"NaN or infinity in enter\.bias"):
        hub.load(folder)


def test_half_precision_weights_fill_a_float_model(folder: Path) -> None:
    reweigh(folder, {name: tensor.half() for name, tensor in load_file(folder / "model.safetensors").items()})
    model: Any = hub.load(folder)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sample_rate": 16000}, "sample_rate is 16000, but its arguments build 8000"),
        ({"sources": ["vocals", "rest"]}, r"sources is \['vocals', 'rest'\], but"),
        ({"arguments": {"basis": 32}}, "weights.parameters is [0-9]+, but its arguments build [0-9]+"),
        ({"arguments": {"wings": 2}}, "wings"),
        ({"arguments": {"kernel": 7}}, "must be even"),
        ({"arguments": {"context": 5.0}}, "context of 5.0 s"),
        ({"arguments": {"basis": "many"}}, "many|cannot be built|Build conv_tasnet"),
    ],
)
def test_a_config_that_builds_something_else_is_refused(folder: Path, change: dict[str, Any], words: str) -> None:
    rewrite(folder, **change)
    with pytest.raises(ConfigError, match=words):
        hub.load(folder)


def test_a_giant_is_refused_before_memory_is_spent(folder: Path) -> None:
    rewrite(folder, arguments={"basis": 1 << 20, "hidden": 1 << 20, "bottleneck": 1 << 20})  # terabytes
    with pytest.raises(ConfigError, match=r"weights\.parameters"):
        hub.load(folder)


def test_a_device_that_is_not_there(folder: Path) -> None:
    with pytest.raises(DeviceError, match="warp"):
        hub.load(folder, device="warp")
