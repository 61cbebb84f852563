"""What a type checker refuses: an error in every line that says so, and in no other."""

import numpy as np
from torch import nn

import angulus
from angulus.models import InputSpec

vectors = np.zeros((4, 8), dtype=np.float32)

angulus.MarginHead(8, 4, "arcfase")  # refused: no such margin
angulus.MarginHead(8, "4", "arcface")  # refused: not a number
angulus.MarginHead(8, 4, "arcface", stragety=None)  # refused: misspelt
angulus.verify(vectors, 3)  # refused: neither pairs nor labels
angulus.verify(vectors, [0, 0, 1, 1], protocol="lfw")  # refused: no such protocol
angulus.verify(vectors, [0, 0, 1, 1]).tarr(1e-3)  # refused: misspelt
angulus.embed(nn.Flatten, vectors)  # refused: a class
angulus.embed("runs/x/model", vectors)  # refused: a path
angulus.embed(nn.Flatten(), 3)  # refused: no images
angulus.embed(nn.Flatten(), vectors, input=(32, 32))  # refused: no input spec
InputSpec(colour="rbg")  # refused: no such order
angulus.Experiment(out=None)  # refused: no data
angulus.trian  # noqa: B018  # refused: misspelt
