"""Devices, precision, and what happens when memory is short. Only what is marked `gpu` needs one."""

import pytest
import torch

from separation.audio import ArrayReader
from separation.engine import Options, resolve_device, separate
from separation.engine.device import Compiled, Ladder, Rung, _tensor_cores, is_out_of_memory, rungs, to_device
from separation.engine.run import run
from separation.errors import DeviceError
from separation.signals import Signal
from tests.fakes import Identity, MaskedSTFT, OutOfMemory, Remembering, Track

CPU = torch.device("cpu")


@pytest.fixture
def recording() -> Signal:
    noise = torch.randn(2, 100_000, generator=torch.Generator().manual_seed(0))
    return Signal((0.1 * noise).numpy(), 8000)


def test_devices_that_are_not_there_are_refused_by_name() -> None:
    assert resolve_device("cpu") == CPU
    assert resolve_device("auto").type in ("cuda", "mps", "cpu")
    with pytest.raises(DeviceError, match=r"'gpu'.*Use auto, cpu, cuda or mps"):
        resolve_device("gpu")
    with pytest.raises(DeviceError, match=r"'cuda:99'.*machine has"):
        resolve_device("cuda:99")
    with pytest.raises(DeviceError):
        resolve_device("meta")


def test_batches_are_halved_and_the_cpu_comes_last() -> None:
    assert [r.batch for r in rungs(CPU, 6)] == [6, 3, 1]
    found = rungs(torch.device("cuda"), 8)
    assert [r.device.type for r in found] == ["cuda"] * 4 + ["cpu"]
    assert [r.batch for r in found] == [8, 4, 2, 1, 1]


def test_a_smaller_batch_when_memory_is_short(recording: Signal) -> None:
    separator, sinks, steps = OutOfMemory(2), {"low": Track(), "high": Track()}, []
    report = run(
        separator,
        ArrayReader(recording),
        sinks,
        options=Options(device="cpu", batch=8),
        progress=lambda progress: steps.append(progress.done),
    )
    assert separator.failures == 2
    assert len(report.messages) == 2
    assert "8 chunks at once: went on with 4" in report.messages[0]
    assert "4 chunks at once: went on with 2" in report.messages[1]
    assert report.calls == -(-report.chunks // 2) == len(steps) > report.minimal_calls
    assert all(sink.samples.shape == recording.samples.shape for sink in sinks.values())


def test_short_memory_changes_no_sample(recording: Signal) -> None:
    roomy = separate(OutOfMemory(99), recording, Options(device="cpu", batch=1))
    short = separate(OutOfMemory(1), recording, Options(device="cpu", batch=8))
    for name, stem in roomy.items():
        assert (stem.samples == short[name].samples).all()


def test_memory_that_gets_short_in_the_middle_loses_nothing(recording: Signal) -> None:
    separator = OutOfMemory(4)
    original = separator.split

    def less_and_less(mixture: torch.Tensor) -> torch.Tensor:
        separator.batch = 4 if separator.calls < 3 else 1
        return original(mixture)

    separator.split = less_and_less
    stems = separate(separator, recording, Options(device="cpu", batch=4))
    assert separator.failures > 0
    assert (stems["low"].samples == recording.samples * 0.25).all()


def test_a_single_chunk_that_does_not_fit_moves_to_the_cpu(ampere: None) -> None:
    separator = OutOfMemory(1, big=True)
    ladder = Ladder(separator, (Rung(torch.device("cuda"), 2), Rung(torch.device("cuda"), 1), Rung(CPU, 1)), "auto")
    assert ladder.precision == "tf32"
    ladder.down()
    assert (ladder.device.type, ladder.batch) == ("cuda", 1)
    with pytest.raises(torch.OutOfMemoryError):
        separator.separate(torch.zeros(1, 1, 8))
    ladder.down()
    assert (ladder.device, ladder.batch, ladder.precision) == (CPU, 1, "fp32")
    with ladder.ready():
        assert separator.separate(torch.zeros(1, 1, 8))[0].shape == (1, 2, 1, 8), "it was moved as well"
    assert ladder.messages == [
        "Memory of cuda was short with 2 chunks at once: went on with 1.",
        "Memory of cuda was short with a single chunk: went on with cpu.",
    ]


@pytest.fixture
def ampere(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every CUDA device had TF32, so that the ladder can be walked where there is none."""
    monkeypatch.setattr("separation.engine.device.has_tf32", lambda device: True)


class Heavy(Identity):
    """Does not fit on what is not in `fits`."""

    def __init__(self, *fits: str, said: str = "CUDA out of memory") -> None:
        super().__init__()
        self.fits, self.said = fits, said
        self.moves: list[str] = []

    def to(self, device: torch.device) -> "Heavy":
        self.moves.append(device.type)
        if device.type not in self.fits:
            raise RuntimeError(self.said)
        return self


@pytest.mark.parametrize(
    "said", ["CUDA out of memory", "MPS backend out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"]
)
def test_a_model_that_does_not_fit_goes_to_the_cpu_at_once(said: str) -> None:
    model = Heavy("cpu", said=said)
    ladder = Ladder(model, rungs(torch.device("cuda"), 8), "auto")
    assert (ladder.device, ladder.batch, model.moves) == (CPU, 1, ["cuda", "cpu"])
    assert ladder.messages == ["The model does not fit into the memory of cuda: went on with cpu."]


def test_a_model_that_fits_nowhere_is_an_error_with_advice() -> None:
    with pytest.raises(DeviceError, match="on cpu: there is not enough memory"):
        Ladder(Heavy(said="[enforce fail] DefaultCPUAllocator: can't allocate memory"), rungs(CPU, 2), "auto")


def test_what_is_not_about_memory_is_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="device-side assert"):
        Ladder(Heavy(said="CUDA error: device-side assert triggered"), rungs(torch.device("cuda"), 2), "auto")


def test_without_tf32_full_precision_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("separation.engine.device.has_tf32", lambda device: False)
    there = (Rung(torch.device("cuda"), 1),)
    assert [Ladder(Identity(), there, asked).precision for asked in ("auto", "fp16")] == ["fp32", "fp16"]


def test_the_precision_in_use_is_told(ampere: None) -> None:
    there = (Rung(torch.device("cuda"), 1),)
    assert [Ladder(Identity(), there, asked).precision for asked in ("auto", "fp32", "fp16", "fast")] == [
        "tf32",
        "fp32",
        "fp16",
        "fp16",
    ]
    ladder = Ladder(Identity(), there, "fp16")
    ladder.to_full_precision()
    assert ladder.precision == "fp32" and "overflowed" in ladder.messages[0]


def test_the_settings_of_the_process_come_back() -> None:
    def now() -> tuple[str, str, str]:
        backends = torch.backends
        return (
            backends.cuda.matmul.fp32_precision,
            backends.cudnn.conv.fp32_precision,
            backends.cudnn.rnn.fp32_precision,
        )

    before, old_names = now(), (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32)
    with _tensor_cores(True):
        assert now() == ("tf32", "tf32", "tf32")
    with pytest.raises(KeyError), _tensor_cores(False):
        assert now() == ("ieee", "ieee", "ieee")
        raise KeyError
    assert now() == before
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == old_names


def test_on_the_last_rung_the_user_is_told_what_to_do(recording: Signal) -> None:
    with pytest.raises(DeviceError, match=r"one chunk at a time on cpu: there is not enough memory\. Use a shorter"):
        separate(OutOfMemory(0), recording, Options(device="cpu", batch=2))


def test_half_precision_on_a_cpu_says_that_it_was_not_used(recording: Signal) -> None:
    report = run(Identity(), ArrayReader(recording), {}, options=Options(device="cpu", precision="fp16"))
    assert report.precision == "fp32"
    assert "full precision" in report.messages[0]


def test_a_stateful_separator_takes_one_chunk_at_a_time(recording: Signal) -> None:
    separator = Remembering()
    report = run(separator, ArrayReader(recording), {}, options=Options(device="cpu", batch=8))
    assert {shape[0] for shape in separator.shapes} == {1}
    assert report.calls == report.chunks == len(separator.shapes)


def test_gradients_are_off_and_may_be_switched_on_by_a_model() -> None:
    ladder = Ladder(Identity(), rungs(CPU, 1), "auto")
    weight = torch.ones(1, requires_grad=True)
    with ladder.ready():
        assert not (weight * 2).requires_grad
        with torch.enable_grad():  # under inference mode this would give no gradient
            (weight * 2).sum().backward()
    assert weight.grad is not None


def test_out_of_memory_is_known_by_type_or_by_words() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("x"))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"))
    assert not is_out_of_memory(RuntimeError("shapes differ"))


def test_nested_states_are_moved_and_all_else_is_kept() -> None:
    state = {"h": (torch.ones(2), [torch.zeros(1), None]), "step": 3}
    moved = to_device(state, torch.device("meta"))
    assert moved["h"][0].device.type == moved["h"][1][0].device.type == "meta"
    assert moved["h"][1][1] is None and moved["step"] == 3


@pytest.fixture
def eager_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """`torch.compile` runs what it traced: all but generating code, for which a machine may lack a compiler."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **options: real(function, backend="eager", **options))


def test_compiled_masks_are_the_same_and_used_only_when_asked_for(eager_compiler: None) -> None:
    separator = MaskedSTFT()
    z = separator.encode(torch.randn(1, 1, 4000, generator=torch.Generator().manual_seed(0)))
    expected = separator.masks(z)
    compiled = Compiled.of(separator)
    torch.testing.assert_close(separator.masks(z), expected, rtol=0, atol=0)
    with compiled.used():
        torch.testing.assert_close(separator.masks(z), expected)
    assert compiled.works
    assert Compiled.of(separator) is compiled, "it is compiled once, however many recordings"


def test_what_cannot_be_compiled_runs_as_it_is_and_says_so(monkeypatch: pytest.MonkeyPatch, ampere: None) -> None:
    def refuse(*arguments: object) -> None:
        raise TypeError("no code for this")

    monkeypatch.setattr(torch, "compile", lambda function, **options: refuse)
    separator = Identity()
    compiled = Compiled.of(separator)
    with compiled.used():
        stems, _ = separator.separate(torch.ones(1, 1, 8))
    assert torch.isfinite(stems).all()
    assert compiled.problem == "Compiling failed (TypeError): this ran as it is."
    ladder = Ladder(Identity(), (Rung(torch.device("cuda"), 1),), "fast")
    ladder._compiled = compiled
    assert ladder.precision == "fp16"


def test_memory_that_is_short_while_compiling_is_no_trouble_of_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*arguments: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "compile", lambda function, **options: short)
    separator = Identity()
    compiled = Compiled.of(separator)
    with compiled.used(), pytest.raises(torch.OutOfMemoryError):
        separator.separate(torch.ones(1, 1, 8))
    assert compiled.works


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize(
    ("asked", "used", "close"),
    [("fp32", "fp32", 1e-5), ("auto", "tf32", 1e-3), ("fp16", "fp16", 1e-2), ("fast", "fp16 compiled", 1e-2)],
)
def test_cuda_gives_what_the_cpu_gives(recording: Signal, asked: str, used: str, close: float) -> None:
    sinks = {"one": Track(), "two": Track()}
    options = Options(device="cuda", precision=asked)
    report = run(MaskedSTFT(), ArrayReader(recording), sinks, options=options)
    assert (report.device, report.precision, report.messages) == ("cuda", used, ())
    expected = separate(MaskedSTFT(), recording, Options(device="cpu"))
    for name, sink in sinks.items():
        assert abs(sink.samples - expected[name].samples).max() < close


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_out_of_memory_ends_on_the_cpu_with_every_sample(recording: Signal) -> None:
    sinks = {"low": Track(), "high": Track()}
    report = run(OutOfMemory(8, big=True), ArrayReader(recording), sinks, options=Options(device="cuda", batch=4))
    assert report.device == "cpu" and len(report.messages) == 3
    assert (sinks["low"].samples == recording.samples * 0.25).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_half_precision_that_overflows_goes_on_in_full(recording: Signal) -> None:
    class Overflowing(Identity):
        def split(self, mixture: torch.Tensor) -> torch.Tensor:
            return mixture.unsqueeze(1) + (torch.inf if torch.is_autocast_enabled("cuda") else 0.0)

    sink = Track()
    options = Options(device="cuda", precision="fp16")
    report = run(Overflowing(), ArrayReader(recording), {"all": sink}, options=options)
    assert report.precision == "fp32" and "overflowed" in report.messages[0]
    assert (sink.samples == recording.samples).all()
