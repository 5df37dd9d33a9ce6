"""The house keeps its own rules: floors, keepers and the map, read from ARCHITECTURE.md so that page and test agree."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HOUSE = ROOT / "separation"
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
MUTABLE = {"list", "dict", "set", "bytearray", "defaultdict", "deque", "OrderedDict", "Counter", "WeakValueDictionary"}
MUTATORS = {"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update"}


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"ARCHITECTURE.md has no section {title!r}"
    return found[1]


def read_floors() -> list[list[str]]:
    """Rooms of each floor, lowest first."""
    lines = re.findall(r"^\d+\. (.+)$", section("Floors"), re.MULTILINE)
    return [re.findall(r"`([\w.]+)`", line) for line in lines]


def read_keepers() -> dict[str, str]:
    """Package -> the only room that may import it."""
    sentence = re.search(r"^Keepers.*?:(.*?)\.\s", section("Floors"), re.MULTILINE | re.DOTALL)
    assert sentence
    groups = (group.split("→") for group in sentence[1].split(";"))
    return {
        package: re.findall(r"`(\w+)`", room)[0] for names, room in groups for package in re.findall(r"`(\w+)`", names)
    }


def read_torch_free() -> set[str]:
    found = re.search(r"`torch` never in `([\w ]+)`", section("Floors"))
    assert found
    return set(found[1].split())


FLOORS = read_floors()
FLOOR_OF = {room.removesuffix(".py"): number for number, rooms in enumerate(FLOORS) for room in rooms}
KEEPERS = read_keepers()
TORCH_FREE = read_torch_free()
ROOMS = sorted(
    path.stem
    for path in HOUSE.iterdir()
    if path.stem not in ("__init__", "__main__") and (path.suffix == ".py" or any(path.rglob("*.py")))
)


@dataclass(frozen=True)
class Import:
    """One imported module, wherever in a file it is imported: in a function and under TYPE_CHECKING count too."""

    room: str
    """The importing room: "" for the package's own `__init__`, "app" for app.py."""
    module: str
    where: str

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]

    @property
    def target(self) -> str | None:
        """The room that is imported, None for other packages and for what `separation` itself holds."""
        parts = self.module.split(".")
        return parts[1] if parts[0] == "separation" and len(parts) > 1 and parts[1] in FLOOR_OF else None


def room_of(path: Path) -> str:
    if path == ROOT / "app.py":
        return "app"
    room = path.relative_to(HOUSE).parts[0].removesuffix(".py")
    return {"__init__": "", "__main__": "app"}.get(room, room)


def lazy_names() -> dict[str, str]:
    """What `from separation import NAME` really imports."""
    tree = ast.parse((HOUSE / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_LAZY":
            return {str(name): str(module) for name, module in ast.literal_eval(node.value).items()}
    raise AssertionError("separation/__init__.py has no _LAZY")


def imports_of(path: Path) -> Iterator[Import]:
    room, lazy = room_of(path), lazy_names()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{path}:{node.lineno} imports relatively"
            names = [alias.name for alias in node.names]
            modules = (
                [lazy.get(name, f"separation.{name}") for name in names]
                if node.module == "separation"
                else [node.module]
            )
        else:
            continue
        for module in modules:
            yield Import(room, module, f"{path.relative_to(ROOT)}:{node.lineno}")


FILES = [*sorted(HOUSE.rglob("*.py")), ROOT / "app.py"]
IMPORTS = [found for path in FILES for found in imports_of(path)]


def test_the_lists_were_read() -> None:
    assert len(FLOORS) >= 8 and FLOORS[0][0] == "errors" and FLOORS[-1] == ["app.py"]
    assert KEEPERS["gradio"] == "ui" and KEEPERS["librosa"] == "transforms" and len(KEEPERS) >= 10
    assert {"signals", "audio"} <= TORCH_FREE
    assert len(IMPORTS) > 100 and any(found.package == "torch" for found in IMPORTS)


def test_every_room_has_a_floor() -> None:
    assert [room for room in ROOMS if room not in FLOOR_OF] == []
    assert len(FLOOR_OF) == sum(map(len, FLOORS)), "a room is on two floors"


def test_rooms_import_lower_floors_only() -> None:
    wrong = [
        f"{found.where}: {found.room} imports {found.target}, which is not on a lower floor"
        for found in IMPORTS
        if found.room and found.target and found.target != found.room and FLOOR_OF[found.target] >= FLOOR_OF[found.room]
    ]
    assert wrong == []


def test_keepers_keep_their_packages() -> None:
    wrong = [
        f"{found.where}: {found.package} belongs to {KEEPERS[found.package]}"
        for found in IMPORTS
        if KEEPERS.get(found.package, found.room) != found.room
    ]
    assert wrong == []


def test_torch_free_rooms_are() -> None:
    wrong = [f.where for f in IMPORTS if f.room in TORCH_FREE and f.package in ("torch", "torchaudio")]
    assert wrong == []


@pytest.mark.parametrize(
    "module", ["separation", *(f"separation.{room}" for room in ROOMS if room in TORCH_FREE), "separation.cli"]
)
def test_importing_loads_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ).returncode == 0


def test_the_map_names_every_room_in_order() -> None:
    docstring = ast.get_docstring(ast.parse((HOUSE / "__init__.py").read_text(encoding="utf-8")))
    assert docstring
    mapped = re.findall(r"^(\w+) {2,}\S", docstring, re.MULTILINE)
    assert sorted(mapped) == ROOMS
    backwards = [pair for pair in pairwise(mapped) if FLOOR_OF[pair[0]] > FLOOR_OF[pair[1]]]
    assert backwards == [], "the map goes from the lowest floor up"


def test_the_table_of_what_to_open_points_at_what_is_there() -> None:
    named = re.findall(r"`(separation/[\w/.]+)`", section("To change X, open Y"))
    assert len(named) >= 5
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("folder", ["separation", "tests", "tools", "benchmarks"])
def test_no_relative_imports(folder: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert wrong == []


def mutable_state(tree: ast.Module) -> Iterator[int]:
    """Lines that make, in a module's own scope, something that changes; and every `global`.

    A literal in CAPITALS that the module never changes is a table, not state.
    """
    changed = set(changed_names(tree))
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        name = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
        if isinstance(node.value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp):
            if name != "__all__" and (not name.isupper() or name in changed):
                yield node.lineno
        elif isinstance(node.value, ast.Call) and ast.unparse(node.value.func).rpartition(".")[2] in MUTABLE:
            yield node.lineno
    yield from (node.lineno for node in ast.walk(tree) if isinstance(node, ast.Global))


def changed_names(tree: ast.Module) -> Iterator[str]:
    """Names whose contents are assigned, deleted, or changed by a method."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            yield ast.unparse(node.value)
        elif isinstance(node, ast.AugAssign):
            yield ast.unparse(node.target)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            yield ast.unparse(node.func.value)


def test_the_pages_keep_no_state_in_modules() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((HOUSE / "ui").rglob("*.py"))
        for line in mutable_state(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("a = []", [1]),
        ("a: dict = {}", [1]),
        ("_A = {}\ndef f():\n    _A[1] = 2", [1]),
        ("A = []\nA.append(1)", [1]),
        ("from collections import deque\na = deque()", [2]),
        ("def f():\n    global a\n    a = 1", [2]),
        ("a = ()\n_B = {'x': 1}\n__all__ = ['a']\ndef f():\n    c = []", []),
    ],
)
def test_mutable_state_is_seen(source: str, lines: list[int]) -> None:
    assert list(mutable_state(ast.parse(source))) == lines


def test_only_settings_reads_the_environment() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in FILES
        if room_of(path) != "settings"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv")
    ]
    assert wrong == []


def test_the_folder_spaces_holds_no_python() -> None:
    """An `__init__.py` there would hide Hugging Face's package of the same name from `import spaces`."""
    assert [path for path in (ROOT / "spaces").rglob("*") if path.suffix in (".py", ".pyc")] == []
    code = "import spaces; assert hasattr(spaces, 'GPU')"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ).returncode == 0
