"""The house keeps its order: small rooms, names that do not shadow each other, a front door that opens lazily."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import angulus

SOURCE = Path(angulus.__file__).parent
MOST_MODULES = 15
FOLDERS = sorted(path.parent for path in SOURCE.rglob("__init__.py"))
PACKAGES = [".".join(folder.relative_to(SOURCE.parent).parts) for folder in FOLDERS]


def names_gathered(package: str) -> set[str]:
    """The names that a package only gathers from its modules; none for one that has code of its own."""
    body = ast.parse(Path(importlib.import_module(package).__file__ or "").read_text()).body
    if any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in body):
        return set()
    gathered = [node for node in body if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("angulus")]
    return {alias.asname or alias.name for node in gathered for alias in node.names}


@pytest.mark.parametrize("folder", FOLDERS, ids=PACKAGES)
def test_no_folder_is_crowded(folder: Path) -> None:
    modules = [path for path in folder.glob("*.py") if not path.name.startswith("__")]
    assert len(modules) <= MOST_MODULES, f"{folder.name} has {len(modules)} modules: divide it into wings"


@pytest.mark.parametrize("package", PACKAGES)
def test_all_names_what_a_package_gives(package: str) -> None:
    module = importlib.import_module(package)
    given = set(getattr(module, "__all__", ()))
    assert {name for name in given if not hasattr(module, name)} == set()
    assert names_gathered(package) - given == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_is_named_like_something_to_call(package: str) -> None:
    module = importlib.import_module(package)
    folder = Path(module.__file__ or "").parent
    beside = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    assert beside & set(getattr(module, "__all__", ())) == set()


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_file_says_what_it_is_for(path: Path) -> None:
    first = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n")[0]
    assert first.rstrip().endswith((".", "?", ":")), path


def test_nothing_inside_goes_through_the_front_door() -> None:
    for path in sorted(SOURCE.rglob("*.py")):
        if path.parent == SOURCE and path.stem == "__init__":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert "angulus" not in names, f"{path}: import the room, not the front door"
            assert not (isinstance(node, ast.ImportFrom) and node.module == "angulus"), path


@pytest.mark.parametrize("name", angulus.__all__)
def test_the_front_door_gives_what_it_names(name: str) -> None:
    assert getattr(angulus, name) is not None
    assert name in dir(angulus)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="trian"):
        angulus.trian  # noqa: B018


def test_margins_need_torch_alone() -> None:
    script = (
        "import sys, torch; before = set(sys.modules); import angulus.margins;"
        "rooms = {name.split('.')[1] for name in sys.modules if name.startswith('angulus.')};"
        "assert rooms <= {'margins', 'devices', 'errors', 'version'}, rooms;"
        "new = {name.split('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names;"
        "assert new <= {'angulus', 'torch', 'numpy'}, new"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "angulus", "--version"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, f"angulus {angulus.__version__}")


def test_type_checkers_see_the_types() -> None:
    assert (SOURCE / "py.typed").exists()
