"""The layout keeps its rules: rooms stand above what they use, nothing imports in a circle, remote code is alone."""

import ast
import graphlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import modeling_dist
from modeling_dist.hub import CODE_FILES, PIPELINE_FILES


ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(modeling_dist.__file__).parent

# From the foundation to the roof; a module may import those of its own floor and of the floors below.
FLOORS = (
    ("files", "lazy_exports", "command_line", "paper"),
    ("configuration_dist", "checkpoint_dist"),
    ("frozen_backbone_dist",),
    ("text_head_dist",),
    ("modeling_dist",),
    ("video_files_dist",),
    ("video_structure_dist",),
    ("video_decoding_dist",),
    ("video_frames_dist",),
    ("video_processing_dist",),
    ("pipelines_dist", "reference_dist", "testing"),
    ("data",),
    ("conversion",),
    ("convert_dist_to_hf",),
    ("evaluation",),
    ("hub",),
    ("auto_classes",),
    ("training",),
    ("commands",),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
REMOTE_CODE = (*CODE_FILES, *PIPELINE_FILES)
REMOTE_CODE_MAY_IMPORT = {"torch", "transformers", "huggingface_hub", "numpy", "PIL", *sys.stdlib_module_names}


def module_names(package: Path) -> dict[str, Path]:
    """Every module by its name within the package ("data.lists"), a room's `__init__` by the room's ("data")."""
    names = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def read_imports(path: Path, module: str, modules: dict[str, Path]) -> tuple[set[str], set[str]]:
    """The modules of the package and the other top-level packages that a file imports, wherever in it."""
    parents = module.split(".") if path.name == "__init__.py" and module else module.split(".")[:-1]
    inner, outer = set(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            outer |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            outer.add(node.module.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1] + (node.module.split(".") if node.module else [])
            for alias in node.names:
                submodule = ".".join([*base, alias.name])
                inner.add(submodule if submodule in modules else ".".join(base))
    return inner, outer


def find_violations(package: Path) -> list[str]:
    """What breaks the rules, a sentence each."""
    modules = module_names(package)
    violations, graph = [], {}
    for module, path in sorted(modules.items()):
        inner, outer = read_imports(path, module, modules)
        if "modeling_dist" in outer:
            violations.append(f"{module} imports the package by its name instead of relatively")
        if module in ("", "__main__"):
            continue
        if module.split(".")[0] not in FLOOR_OF:
            violations.append(f"{module} is in no room")
            continue
        graph[module] = inner - {module}
        for other in inner:
            if other == "" or FLOOR_OF[other.split(".")[0]] > FLOOR_OF[module.split(".")[0]]:
                violations.append(f"{module} imports {other or 'the whole package'}, which stands above it")
        if path.name in REMOTE_CODE and path.parent == package:
            foreign = outer - REMOTE_CODE_MAY_IMPORT
            foreign |= {other for other in inner if f"{other}.py" not in REMOTE_CODE}
            violations += [f"{module} is remote code and imports {other}" for other in sorted(foreign)]
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        violations.append(f"circle: {' -> '.join(error.args[1])}")
    return violations


def test_rooms_stand_above_what_they_use_and_remote_code_is_alone():
    assert find_violations(PACKAGE) == []


@pytest.mark.parametrize(
    ("file", "line", "violation"),
    [
        ("frozen_backbone_dist.py", "from .hub import publish", "frozen_backbone_dist imports hub.*above it"),
        ("data/lists.py", "def late():\n    from ..training.settings import X", "data.lists imports training.*above"),
        ("data/lists.py", "from .sources import load_videos", "circle: .*data.lists"),
        ("text_head_dist.py", "import datasets", "text_head_dist is remote code and imports datasets"),
        (
            "configuration_dist.py",
            "from .files import read_json",
            "configuration_dist is remote code and imports files",
        ),
        (
            "evaluation/metrics.py",
            "from modeling_dist import DiSTConfig",
            "evaluation.metrics imports the package by its",
        ),
        ("extra.py", "import os", "extra is in no room"),
    ],
)
def test_broken_rules_are_found(tmp_path, file, line, violation):
    package = shutil.copytree(PACKAGE, tmp_path / "modeling_dist", ignore=shutil.ignore_patterns("__pycache__"))
    with open(package / file, "a", encoding="utf-8") as content:
        content.write(f"\n{line}\n")
    found = find_violations(package)
    assert any(re.search(violation, text) for text in found), found


def test_remote_code_is_complete():
    """The Hub copies what the files import by `from .name import`, and nothing else."""
    modules = module_names(PACKAGE)
    reached, pending = set(), ["modeling_dist", "video_processing_dist", "pipelines_dist"]
    while pending:
        module = pending.pop()
        if module not in reached:
            reached.add(module)
            pending += read_imports(modules[module], module, modules)[0]
    assert {f"{module}.py" for module in reached} == set(REMOTE_CODE)


def test_options_are_read_without_torch():
    code = """
import importlib, sys
sys.argv = ["modeling-dist"]
from modeling_dist.commands.main import COMMANDS
for commands in COMMANDS.values():
    for command in commands:
        module = importlib.import_module(f"modeling_dist.commands.{command}")
        if hasattr(module, "make_parser"):
            module.make_parser().format_help()
heavy = {"torch", "transformers", "datasets", "accelerate", "matplotlib", "av"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_every_file_can_be_read_in_one_sitting():
    folders = ("modeling_dist", "examples", "tests", "benchmarks", "model_cards")
    lengths = {
        path.relative_to(ROOT): path.read_text(encoding="utf-8").count("\n")
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {path: length for path, length in lengths.items() if length > 800} == {}
