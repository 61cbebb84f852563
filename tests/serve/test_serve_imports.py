"""The service needs no torch, and the client no server."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("angulus.serve.web.app, angulus.serve.web.listening, angulus.serve.gallery_opening", ("torch", "sklearn")),
        ("angulus.serve.client", ("torch", "fastapi", "uvicorn", "prometheus_client", "onnxruntime", "PIL")),
        ("angulus.cli.application", ("torch", "fastapi", "onnxruntime")),
    ],
)
def test_what_is_imported(modules, absent):
    script = f"import sys, {modules}; print([name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
