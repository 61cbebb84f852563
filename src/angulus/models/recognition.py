"""Which network weights belong to: by their names and shapes, below whatever prefix a wrapper or a trainer wrote.

Size, depth and dimension come from shapes. Colour order, mean and standard deviation, or the filter bank, are in no
file: they are the ones with which the family's weights were published, as its network's page says, and a config may say
otherwise.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from angulus.errors import ModelError
from angulus.models.base import ModelConfig
from angulus.models.iresnet import BLOCKS, IResNet, MagFaceIResNet
from angulus.models.mobilefacenet import MobileFaceNet
from angulus.models.published.inception_resnet import InceptionResNetV1
from angulus.models.published.ir import BLOCKS as IR_BLOCKS
from angulus.models.published.ir import IR
from angulus.models.published.mbf import MBF, MBFLarge
from angulus.models.published.resnet import BLOCKS as RESNET_BLOCKS
from angulus.models.published.resnet import ResNet
from angulus.models.spec import InputSpec
from angulus.models.speech import known_weights
from angulus.models.weights import shape_of

State = Mapping[str, Tensor]

# What wrappers write before every name, wherever it stands.
WRAPPERS = ("module.", "_orig_mod.")
# What stands before the names of the network inside a larger model, the one that is used before the one that teaches.
PREFIXES = ("backbone.", "model.", "net.", "network.", "features.", "student.", "encoder.", "embedder.", "teacher.")
_DEEPEST = 4


@dataclass(frozen=True)
class Found:
    """Weights of a network without prefixes, the prefixes that they had ("model.backbone."), and what lay beside it."""

    state: State
    prefix: str = ""
    left_out: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Family:
    """A network whose weights are known: what it is called, names that it alone has, and how its config is read.

    beside: what may lie beside its weights at the same level, such as a classifier, and is left out.
    """

    title: str
    names: frozenset[str]
    config: Callable[[Found, str], ModelConfig]
    beside: tuple[str, ...] = ()


def without_wrappers(name: str) -> str:
    while prefix := next((prefix for prefix in WRAPPERS if name.startswith(prefix)), ""):
        name = name.removeprefix(prefix)
    return name


def inner_states(state: State, prefix: str = "", depth: int = 0) -> Iterator[Found]:
    """The weights as they are, and those below each known prefix without it; what lies beside is left out."""
    yield Found(state, prefix)
    if depth == _DEEPEST:
        return
    for before in PREFIXES:
        inner = {
            without_wrappers(name.removeprefix(before)): tensor
            for name, tensor in state.items()
            if name.startswith(before)
        }
        if inner:
            wrapped = "module." if any(name.startswith(f"{before}module.") for name in state) else ""
            yield from inner_states(inner, f"{prefix}{before}{wrapped}", depth + 1)


def find(state: State) -> Found | None:
    """The weights of a known network among these, None where there are none."""
    for found in inner_states({without_wrappers(name): tensor for name, tensor in state.items()}):
        family = family_of(found.state)
        if family is not None:
            beside = family.beside  # an empty tuple is the beginning of no name
            kept = {name: tensor for name, tensor in found.state.items() if not name.startswith(beside)}
            return Found(kept, found.prefix, frozenset(found.state.keys() - kept.keys()))
    return None


def family_of(state: State) -> Family | None:
    return next((family for family in FAMILIES if state.keys() >= family.names), None)


def recognise(state: State, where: str = "the file") -> ModelConfig:
    """The config of a network from the names and shapes of its weights.

    Raises ModelError for a network that is not known, and for shapes that no such network has.
    """
    found = find(state)
    family = None if found is None else family_of(found.state)
    if found is None or family is None:
        raise ModelError(unknown(state, where))
    try:
        return family.config(found, where)
    except ModelError:
        raise
    except ValueError as error:  # sizes that no network has
        raise ModelError(f"{where} holds weights of shapes that no such network has: {error}") from error


def unknown(state: State, where: str) -> str:
    """The sentence for weights of no known network."""
    known = ", ".join(f"{family.title} ({min(family.names)})" for family in FAMILIES)
    names = ", ".join(name[:60] for name in list(state)[:4])
    return (
        f"{where} holds no network that is known by its names ({known}); its first weights: {names}. For a network of "
        "your own name its class, as model=mypackage:MyNet in a recipe or --network mypackage:MyNet"
    )


def _mobilefacenet(found: Found, where: str) -> ModelConfig:
    _, _, rows, columns = shape_of(found.state, "linear7.conv.weight", 4, where)
    spec = InputSpec(height=16 * rows, width=16 * columns, std=128.0)
    return MobileFaceNet(embedding_dim=shape_of(found.state, "linear1.conv.weight", 4, where)[0], input=spec)


def _iresnet(found: Found, where: str) -> ModelConfig:
    state = found.state
    depth = _depth(_blocks_of(state), BLOCKS, "IResNet", where)
    embedding_dim, flat = shape_of(state, "fc.weight", 2, where)
    side = _side(flat, "fc.weight", f"an IResNet, as IResNet(depth={depth}, input=...)", where)
    if found.prefix.endswith("features.module."):  # as MagFace alone writes it
        spec = InputSpec(height=side, width=side, colour="bgr", mean=0.0, std=255.0)
        return MagFaceIResNet(depth=depth, embedding_dim=embedding_dim, input=spec)
    return IResNet(depth=depth, embedding_dim=embedding_dim, input=InputSpec(height=side, width=side))


def _ir(found: Found, where: str) -> ModelConfig:
    state, last = found.state, "res_layer.5.weight"
    if "body.0.res_layer.5.weight" not in state:
        raise ModelError(f"{where} holds IR blocks of another form (body.0.res_layer.5 is missing), which is not known")
    widths = Counter(len(tensor) for name, tensor in state.items() if name.endswith(last) and tensor.ndim == 1)
    depth = _depth(tuple(widths[width] for width in (64, 128, 256, 512)), IR_BLOCKS, "IR network", where)
    embedding_dim, flat = shape_of(state, "output_layer.3.weight", 2, where)
    side = _side(flat, "output_layer.3.weight", f"an IR network, as IR(depth={depth}, input=...)", where)
    colour = "rgb" if found.prefix.endswith("net.") else "bgr"  # CVLface's and AdaFace's
    return IR(depth=depth, embedding_dim=embedding_dim, input=InputSpec(height=side, width=side, colour=colour))


def _mbf(found: Found, where: str) -> ModelConfig:
    state = found.state
    narrow = shape_of(state, "layers.0.layers.0.weight", 4, where)[0]
    repeats = [
        len({name.split(".")[3] for name in state if name.startswith(f"layers.{place}.layers.")}) for place in (3, 5, 7)
    ]
    is_single = "layers.1.layers.0.weight" in state
    first = 1 if is_single else len({name.split(".")[3] for name in state if name.startswith("layers.1.layers.")})
    _, _, rows, columns = shape_of(state, "features.layers.0.layers.0.weight", 4, where)
    embedding_dim = shape_of(state, "features.layers.2.weight", 2, where)[0]
    spec = InputSpec(height=16 * rows, width=16 * columns)
    scale, blocks = narrow // 64, (first, *repeats)
    large = MBFLarge(embedding_dim=embedding_dim, input=spec)
    if (scale, blocks) == (large.scale, large.blocks):
        return large
    return MBF(scale=scale, blocks=blocks, embedding_dim=embedding_dim, input=spec)


def _resnet(found: Found, where: str) -> ModelConfig:
    state = found.state
    blocks = _blocks_of(state)
    width, _, *kernel = shape_of(state, "conv1.weight", 4, where)
    if kernel != [7, 7]:
        raise ModelError(f"{where} is a ResNet whose first convolution is {kernel[0]}x{kernel[1]}, known are: 7x7")
    is_deep = "layer1.0.conv3.weight" in state
    known = {depth: counts for depth, counts in RESNET_BLOCKS.items() if (depth >= 50) == is_deep}
    return ResNet(depth=_depth(blocks, known, "ResNet", where), width=width)


def _blocks_of(state: State) -> tuple[int, ...]:
    """How many blocks each of four stages has."""
    return tuple(
        len({name.split(".")[1] for name in state if name.startswith(f"layer{stage}.")}) for stage in range(1, 5)
    )


def _inception(found: Found, where: str) -> ModelConfig:
    return InceptionResNetV1(embedding_dim=shape_of(found.state, "last_linear.weight", 2, where)[0])


def _depth(blocks: tuple[int, ...], known: Mapping[int, tuple[int, ...]], title: str, where: str) -> int:
    depths = {found: depth for depth, found in known.items()}
    if blocks not in depths:
        raise ModelError(f"{where} is an {title} with {blocks} blocks, known are: {', '.join(map(str, depths))}")
    return depths[blocks]


def _side(flat: int, name: str, title: str, where: str) -> int:
    """Pixels of a square image that leaves a map of 512 channels with `flat` values."""
    side = 16 * math.isqrt(flat // 512)
    if 2 * side * side != flat:
        raise ModelError(
            f"{where} is of images that are not square ({name} has {flat} columns): say which with the config of "
            f"{title} and InputSpec(height=..., width=...)"
        )
    return side


FAMILIES = (
    Family("MobileFaceNet", frozenset({"linear7.conv.weight", "linear1.conv.weight"}), _mobilefacenet),
    Family("IResNet", frozenset({"layer3.0.conv1.weight", "fc.weight", "features.running_mean"}), _iresnet),
    Family(
        "IR of AdaFace",
        frozenset({"input_layer.0.weight", "body.0.res_layer.0.weight", "output_layer.3.weight"}),
        _ir,
    ),
    Family(
        "insightface's mbf",
        frozenset(
            {
                "layers.0.layers.0.weight",
                "conv_sep.layers.0.weight",
                "features.layers.0.layers.0.weight",
                "features.layers.2.weight",
            }
        ),
        _mbf,
    ),
    Family(
        "InceptionResnetV1 of facenet-pytorch",
        frozenset({"conv2d_1a.conv.weight", "mixed_6a.branch0.conv.weight", "last_linear.weight"}),
        _inception,
        beside=("logits.",),
    ),
    Family(
        "ECAPA of wespeaker",
        frozenset({"layer1.conv.weight", "layer2.se_res2block.0.conv.weight", "pool.linear1.weight"}),
        lambda found, where: known_weights.ecapa(found.state, where),
        beside=("projection.",),
    ),
    Family(
        "ResNet of wespeaker",
        frozenset({"conv1.weight", "layer1.0.conv1.weight", "layer2.0.shortcut.0.weight", "seg_1.weight"}),
        lambda found, where: known_weights.resnet(found.state, where),
        beside=("projection.",),
    ),
    Family(
        "CAM++ of 3D-Speaker and wespeaker",
        frozenset({"head.conv1.weight", "xvector.tdnn.linear.weight", "xvector.dense.linear.weight"}),
        lambda found, where: known_weights.campplus(found.state, where, is_wespeaker=bool(found.left_out)),
        beside=("projection.",),
    ),
    Family(
        "ECAPA of SpeechBrain",
        frozenset({"blocks.0.conv.conv.weight", "mfa.conv.conv.weight", "asp_bn.norm.weight", "fc.conv.weight"}),
        lambda found, where: known_weights.speechbrain_ecapa(found.state, where),
    ),
    Family(
        "ResNet of torchvision",
        frozenset({"conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "layer4.0.downsample.0.weight"}),
        _resnet,
        beside=("fc.",),
    ),
)
