"""OpenVINO and NNCF would count and report their use; nothing of the kind is begun by an export."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from export_sets import network
from angulus.export import ExportOptions, export_model
from angulus.export.quantization import installed_nncf
export_model(network()[0], sys.argv[2], ExportOptions(to="openvino"), detector=None)
assert "Mock" in type(installed_nncf().telemetry.wrapper.telemetry).__name__
"""


@pytest.mark.slow
def test_no_number_of_the_user_is_made_and_no_use_counted(tmp_path):
    for package in ("openvino", "nncf"):
        pytest.importorskip(package)
    environment = {**os.environ, "HOME": str(tmp_path)}
    for name in ("CI", "TF_BUILD", "JENKINS_URL", "NNCF_CI", "NNCF_DEV"):
        environment.pop(name, None)
    words = [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(tmp_path / "b")]
    subprocess.run(words, check=True, env=environment, timeout=300)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name == "intel") == []
    assert (tmp_path / "b" / "bundle.json").is_file()
