"""A pack's files as validated parts, every problem with its file and line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pm6.exceptions import PackError
from simulations.packs.packFormat import AgentFile, ResponseFile, SimulationPart

MAX_FILE_BYTES = 2_000_000
MAX_FILES = 2_000
M = TypeVar("M", bound=BaseModel)
Place = Sequence[str | int]


@dataclass(slots=True)
class SourceFile:
    """One file with the line of every part of it."""

    name: str
    data: Any

    def lineOf(self, place: Place) -> int:
        """Returns the line of a part, or of the nearest part around it that has one."""
        node: Any = self.data
        line = 1
        for step in place:
            try:
                places: Any = node.lc
                position = places.key(step) if isinstance(node, dict) else places.item(step)
                line, node = position[0] + 1, node[step]
            except (KeyError, IndexError, TypeError, AttributeError):
                break
        return line

    def problem(self, place: Place, sentence: str) -> str:
        return f"{self.name}:{self.lineOf(place)}: {sentence}"


@dataclass(slots=True)
class Pack:
    """A pack as it was read; `responses` by agent and situation type.

    Attributes:
        problems: What is wrong, each as "file:line: sentence"; a pack with any can't be loaded.
    """

    simulation: SimulationPart
    agents: dict[str, AgentFile]
    responses: dict[tuple[str, str], ResponseFile]
    files: dict[str, SourceFile]
    problems: list[str] = field(default_factory=list)

    def report(self, file: str, place: Place, sentence: str) -> None:
        self.problems.append(self.files[file].problem(place, sentence))


def readPack(folder: Path) -> Pack:
    """Reads and validates every file of a pack on its own.

    Args:
        folder: Holds `simulation.yaml`, `agents/` and `responses/`.

    Raises:
        PackError: A file is missing, unreadable or not of its form; all such problems are listed.
    """
    if not (folder / "simulation.yaml").is_file():
        raise PackError(f"{folder.name} is no pack: it has no simulation.yaml.")
    files: dict[str, SourceFile] = {}
    problems: list[str] = []
    simulation = _readFile(folder, folder / "simulation.yaml", SimulationPart, files, problems)
    agents = {
        path.stem: agent
        for path in _listFiles(folder, "agents/*.yaml")
        if (agent := _readFile(folder, path, AgentFile, files, problems))
    }
    responses = {
        (path.parent.name, path.stem): responseFile
        for path in _listFiles(folder, "responses/*/*.yaml")
        if (responseFile := _readFile(folder, path, ResponseFile, files, problems))
    }
    if problems or simulation is None:
        raise packError(folder.name, problems)
    return Pack(simulation, agents, responses, files)


def packError(name: str, problems: Sequence[str]) -> PackError:
    return PackError(
        f"The pack {name} has {len(problems)} problem{'s' if len(problems) != 1 else ''}.",
        details={"problems": list(problems)},
    )


def _listFiles(folder: Path, pattern: str) -> list[Path]:
    paths = sorted(folder.glob(pattern))
    if len(paths) > MAX_FILES:
        raise PackError(f"The pack {folder.name} has more than {MAX_FILES} files.")
    return paths


def _readFile(
    folder: Path, path: Path, model: type[M], files: dict[str, SourceFile], problems: list[str]
) -> M | None:
    name = path.relative_to(folder).as_posix()
    try:
        source = files[name] = SourceFile(name, _parse(path))
        return model.model_validate(source.data)
    except PackError as error:
        problems.append(f"{name}: {error.message}")
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problems.append(f"{name}:{line}: {getattr(error, 'problem', None) or 'is not valid YAML'}")
    except ValidationError as error:
        for item in error.errors():
            where = ".".join(str(step) for step in item["loc"])
            problems.append(source.problem(item["loc"], f"{where}: {item['msg']}"))
    return None


def _parse(path: Path) -> Any:
    raw = path.read_bytes()
    if len(raw) > MAX_FILE_BYTES:
        raise PackError(f"is larger than {MAX_FILE_BYTES} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise PackError("is not UTF-8") from None
    loader = YAML(typ="rt")
    events = list(YAML(typ="rt").parse(text))
    # An alias can make a small file stand for gigabytes.
    if any(getattr(event, "anchor", None) for event in events):
        raise PackError("uses anchors or aliases, which packs can't")
    return loader.load(text)
