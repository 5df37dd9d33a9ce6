"""YAML as people write it, read with the line of every value, so that a message can point at it; and written again.

Safe and bounded: no tags, no key twice, aliases cannot multiply, nothing deeper than `DEPTH`. Words stay what they are: of the
plain scalars only ``true``, ``false``, ``null`` and decimal numbers are more than text (YAML 1.2's core schema, without its
octal and hexadecimal), so ``no`` is Norwegian, ``12:30`` a time of day and ``0012`` a name.
"""

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar

import yaml

LARGEST = 500_000  # characters of a file
MOST = 50_000  # values, aliases counted as often as they are used
DEPTH = 30
Path = tuple[str | int, ...]

_KINDS = {
    "tag:yaml.org,2002:null": re.compile(r"^(?:~|null|Null|NULL|)$"),
    "tag:yaml.org,2002:bool": re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"),
    "tag:yaml.org,2002:int": re.compile(r"^[-+]?(?:0|[1-9][0-9]{0,18})$"),
    "tag:yaml.org,2002:float": re.compile(
        r"^[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?$"
    ),
}
_TEXT = "tag:yaml.org,2002:str"


@dataclass
class Document:
    """What a text holds.

    Args:
        data: lists, dicts with text keys, and scalars; None if it cannot be read.
        lines: path of a value (keys and places in lists) -> line of its key or beginning, from 1.
        problems: (line or None, path, what is wrong).
    """

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[tuple[int | None, Path, str]] = field(default_factory=list)

    def line(self, path: Path) -> int | None:
        """The line of a path, or of the part of it that is there."""
        return next((self.lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.lines), None)


def load(text: str) -> Document:
    """Reads a text; what is wrong with it is in `problems`, and nothing is raised."""
    document = Document()
    if len(text) > LARGEST:
        document.problems.append((None, (), f"{len(text)} characters; a file may have {LARGEST}"))
        return document
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
        if node is not None:
            document.data = _Builder(document).build(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        document.problems.append((mark.line + 1 if mark else None, (), _plain(error)))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        document.problems.append((line, (), f"character number {error.character} cannot stand in YAML"))
    return document


def dump(data: Any) -> str:
    """YAML that `load` reads back as it was, and other readers of YAML too; long texts in blocks, keys in their order."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text


def path_text(path: Path) -> str:
    """
    >>> path_text(("questions", 0, "kind"))
    'questions[0].kind'
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    yaml_implicit_resolvers: ClassVar[dict[str | None, list[tuple[str, re.Pattern[str]]]]] = {}
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        if self.depth > DEPTH:
            raise yaml.composer.ComposerError(
                None, None, f"more than {DEPTH} levels deep", self.peek_event().start_mark
            )
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


for _tag, _pattern in _KINDS.items():
    _Loader.add_implicit_resolver(_tag, _pattern, None)


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    def text(self, value: str) -> yaml.ScalarNode:
        number = any(pattern.match(value) for pattern in _KINDS.values())
        odd = any(not one.isprintable() and one != "\n" for one in value)
        style = '"' if odd else "'" if number else "|" if "\n" in value else None
        return self.represent_scalar(_TEXT, value, style=style)

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(str, _Dumper.text)


class _Builder:
    """Nodes -> plain data, with lines. Only `MOST` values, however often an alias is used."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.count = 0

    def build(self, node: yaml.Node, path: Path, line: int | None = None) -> Any:
        self.count += 1
        if self.count > MOST or len(path) > DEPTH:
            raise yaml.composer.ComposerError(None, None, f"more than {MOST} values or {DEPTH} levels", node.start_mark)
        self.document.lines[path] = line or node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            return [self.build(child, (*path, place)) for place, child in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and (node.tag in _KINDS or node.tag == _TEXT):
            return self.scalar(node, path)
        self.problem(node, path, f"the tag {node.tag!r} is not allowed; write plain values")
        return None

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.problem(key, path, "a key must be a word")
            elif key.value in made:
                before = self.document.lines[(*path, key.value)]
                self.problem(key, (*path, key.value), f"`{key.value}` stands here twice, first in line {before}")
            else:
                made[key.value] = self.build(value, (*path, key.value), key.start_mark.line + 1)
        return made

    def scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        kind = node.tag.rpartition(":")[2]
        if kind == "str":
            return node.value
        if not _KINDS[node.tag].match(node.value):
            self.problem(node, path, f"{node.value!r} is no {kind}")
            return None
        if kind == "null":
            return None
        if kind == "bool":
            return node.value.lower() == "true"
        return int(node.value) if kind == "int" else float(node.value)

    def problem(self, node: yaml.Node, path: Path, text: str) -> None:
        self.document.problems.append((node.start_mark.line + 1, path, text))


def _plain(error: yaml.MarkedYAMLError) -> str:
    text = ", ".join(part for part in (error.context, error.problem) if part)
    if "cannot start any token" in text and "'\\t'" in text:
        return "a tab; YAML is indented by spaces"
    if "got '?'" in text:
        return "a ? inside { } or [ ]; put the text in quotes"
    return f"not YAML: {text}"
