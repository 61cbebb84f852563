"""A bundle's network in torch, for `runtime.Embedder`: arrays in, arrays out."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from angulus.export.deployed_network import DeployedNetwork
from angulus.inference.choice import one_thread


def as_runtime(network: DeployedNetwork, threads: int = 1) -> Callable[[NDArray[Any]], Sequence[NDArray[Any]]]:
    """A network as `runtime.networks.Network`; on one thread where one is asked for, else on as many as torch has."""

    def run(images: NDArray[Any]) -> Sequence[NDArray[Any]]:
        with one_thread(threads == 1), torch.inference_mode():
            return [np.asarray(network(torch.from_numpy(images)).numpy())]

    return run
