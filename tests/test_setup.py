"""What `make demo` and `make test` install is pinned, and which warnings are errors."""

import importlib.util
import os
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def lock():
    spec = importlib.util.spec_from_file_location("lock", ROOT / "tools" / "lock.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def asked(texts):
    """Requirements, those of the project's own extras in place of the project."""
    for requirement in map(Requirement, texts):
        if requirement.name == "angulus":
            for extra in requirement.extras:
                yield from asked(PROJECT["project"]["optional-dependencies"][extra])
        else:
            yield requirement


def test_everything_that_is_named_is_pinned_inside_its_range():
    text = (ROOT / "constraints.txt").read_text()
    pins = [Requirement(line) for line in text.splitlines() if not line.startswith("#")]
    assert all([pin.operator for pin in pin.specifier] == ["=="] and pin.url is None for pin in pins)
    versions = {pin.name: next(iter(pin.specifier)).version for pin in pins}
    assert list(versions) == sorted(map(canonicalize_name, versions))
    own = PROJECT["project"]
    named = asked(own["dependencies"] + own["optional-dependencies"]["dev"] + PROJECT["build-system"]["requires"])
    ranges = [(canonicalize_name(requirement.name), requirement.specifier) for requirement in named]
    assert [name for name, _ in ranges if name not in versions] == [], "run: make lock"
    assert [name for name, allowed in ranges if not allowed.contains(versions[name], prereleases=True)] == []


def test_lock_says_what_moved():
    tool = lock()
    old = tool.pins("# written by a test\nnumpy==2.3.0\nrich==15.0.0\nsix==1.17.0\n")
    new = {"rich": "15.0.0", "numpy": "2.4.6", "attrs": "26.1.0"}
    assert tool.moved(old, new) == ["added    attrs 26.1.0", "moved    numpy 2.3.0 -> 2.4.6", "removed  six 1.17.0"]
    assert tool.moved(new, new) == []


@pytest.mark.parametrize("module", ["angulus", "angulus.heads.head", "test_setup", "conftest"])
@pytest.mark.parametrize("kind", [UserWarning, DeprecationWarning])
def test_a_warning_that_is_ours_is_an_error(module, kind):
    with pytest.raises(kind):
        warnings.warn_explicit("ours", kind, "file.py", 1, module=module)


@pytest.mark.parametrize("module", ["torch", "torch.nn.modules.linear", "angulus_other", "latest_test_setup"])
def test_a_warning_of_another_package_is_not(module):
    with warnings.catch_warnings(record=True) as told:
        warnings.warn_explicit("theirs", UserWarning, "file.py", 1, module=module)
    assert [str(warning.message) for warning in told] == ["theirs"]


def test_warnings_of_plugins_that_are_not_ours_stop_nothing(tmp_path):
    """As pytest-benchmark does beside pytest-xdist: a warning while pytest is set up, which is shown and passes."""
    code = "import warnings\ndef pytest_configure(config):\n    warnings.warn(UserWarning('a plugin of somebody'))\n"
    (tmp_path / "somebodys_plugin.py").write_text(code)
    facts = tmp_path / "somebodys_plugin-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys-plugin\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[pytest11]\nsomebody = somebodys_plugin\n")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--noconftest",
        "--collect-only",
        "tests/test_setup.py",
    ]
    settings = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        command, cwd=ROOT, env=settings | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a plugin of somebody" in done.stdout + done.stderr
