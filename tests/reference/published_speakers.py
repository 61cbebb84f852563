"""Public networks for speakers, each as one function from the published layer lists, with the published names.

Sources: wespeaker's ecapa_tdnn.py, resnet.py and pooling_layers.py; 3D-Speaker's campplus/DTDNN.py and layers.py;
SpeechBrain's lobes/models/ECAPA_TDNN.py and nnet/CNN.py. As in `published_networks`, each takes a state and prepared
speech [n, frames, bands], and knows nothing of the networks of Angulus.
"""

import torch
from reference.published_networks import Weights
from torch import Tensor
from torch.nn import functional

RESNETS = {34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


def conv1d(w: Weights, name: str, x: Tensor, out: int, kernel=1, dilation=1, stride=1, bias=True, mirrored=False):
    weight = w.get(f"{name}.weight", out, x.shape[1], kernel)
    shift = w.get(f"{name}.bias", out, low=-0.2, high=0.2) if bias else None
    around = kernel // 2 * dilation
    if mirrored and around:
        x = functional.pad(x, (around, around), mode="reflect")
        around = 0
    return functional.conv1d(x, weight, shift, stride=stride, padding=around, dilation=dilation)


def ecapa(weights: Weights, speech: Tensor, channels: int, dim: int = 192, context: bool = True) -> Tensor:
    """wespeaker's ECAPA_TDNN_GLOB_c*, or without context ECAPA_TDNN_c*."""
    w = weights

    def unit(at, x, out, kernel=1):
        return w.norm(f"{at}.bn", torch.relu(conv1d(w, f"{at}.conv", x, out, kernel)))

    def block(at, x, dilation):
        y = unit(f"{at}.se_res2block.0", x, channels)
        parts, done = torch.split(y, channels // 8, dim=1), []
        for index in range(7):
            part = parts[index] if index == 0 else parts[index] + done[-1]
            part = conv1d(w, f"{at}.se_res2block.1.convs.{index}", part, channels // 8, 3, dilation)
            done.append(w.norm(f"{at}.se_res2block.1.bns.{index}", torch.relu(part)))
        y = unit(f"{at}.se_res2block.2", torch.cat([*done, parts[7]], 1), channels)
        squeezed = torch.relu(w.linear(f"{at}.se_res2block.3.linear1", y.mean(2), 128, bias=True))
        factors = torch.sigmoid(w.linear(f"{at}.se_res2block.3.linear2", squeezed, channels, bias=True))
        return x + y * factors[:, :, None]

    first = unit("layer1", speech.permute(0, 2, 1), channels, 5)
    second = block("layer2", first, 2)
    third = block("layer3", second, 3)
    fourth = block("layer4", third, 4)
    x = torch.relu(conv1d(w, "conv", torch.cat([second, third, fourth], 1), 1536))
    seen = x
    if context:
        mean = x.mean(2, keepdim=True).expand_as(x)
        seen = torch.cat([x, mean, torch.sqrt(torch.var(x, 2, keepdim=True) + 1e-7).expand_as(x)], 1)
    alpha = torch.softmax(conv1d(w, "pool.linear2", torch.tanh(conv1d(w, "pool.linear1", seen, 128)), 1536), dim=2)
    mean = (alpha * x).sum(2)
    deviation = torch.sqrt(((alpha * x**2).sum(2) - mean**2).clamp(min=1e-7))
    return w.linear("linear", w.norm("bn", torch.cat([mean, deviation], 1)), dim, bias=True)


def resnet(weights: Weights, speech: Tensor, depth: int, dim: int = 256, width: int = 32) -> Tensor:
    """wespeaker's ResNet34, and the ones of bottlenecks."""
    w, deep = weights, depth >= 50
    x = torch.relu(w.norm("bn1", w.conv("conv1", speech.permute(0, 2, 1)[:, None], width, 3, padding=1)))
    for stage, count in enumerate(RESNETS[depth]):
        inner = width * 2**stage
        out = 4 * inner if deep else inner
        for index in range(count):
            at, stride = f"layer{stage + 1}.{index}", 2 if stage and not index else 1
            if deep:
                y = torch.relu(w.norm(f"{at}.bn1", w.conv(f"{at}.conv1", x, inner, 1)))
                y = torch.relu(w.norm(f"{at}.bn2", w.conv(f"{at}.conv2", y, inner, 3, stride, 1)))
                y = w.norm(f"{at}.bn3", w.conv(f"{at}.conv3", y, out, 1))
            else:
                y = torch.relu(w.norm(f"{at}.bn1", w.conv(f"{at}.conv1", x, inner, 3, stride, 1)))
                y = w.norm(f"{at}.bn2", w.conv(f"{at}.conv2", y, inner, 3, 1, 1))
            if stride == 2 or x.shape[1] != out:
                x = w.norm(f"{at}.shortcut.1", w.conv(f"{at}.shortcut.0", x, out, 1, stride))
            x = torch.relu(x + y)
    deviation = torch.sqrt(torch.var(x, dim=-1) + 1e-7)
    return w.linear("seg_1", torch.cat([x.mean(-1).flatten(1), deviation.flatten(1)], 1), dim, bias=True)


def campplus(weights: Weights, speech: Tensor, dim: int = 512, epsilon: float = 0.0) -> Tensor:
    """3D-Speaker's, whose epsilon is 0; wespeaker's is 1e-7."""
    w = weights

    def half(at, x, index):
        stride = (2, 1) if index == 0 else 1
        y = torch.relu(w.norm(f"{at}.bn1", w.conv(f"{at}.conv1", x, 32, 3, stride, 1)))
        y = w.norm(f"{at}.bn2", w.conv(f"{at}.conv2", y, 32, 3, 1, 1))
        if index == 0:
            x = w.norm(f"{at}.shortcut.1", w.conv(f"{at}.shortcut.0", x, 32, 1, stride))
        return torch.relu(x + y)

    def masked(at, x, dilation):
        parts = [x[..., begin : begin + 100] for begin in range(0, x.shape[-1], 100)]
        local = torch.cat([part.mean(-1, keepdim=True).expand_as(part) for part in parts], -1)
        context = x.mean(-1, keepdim=True) + local
        mask = torch.sigmoid(conv1d(w, f"{at}.linear2", torch.relu(conv1d(w, f"{at}.linear1", context, 64)), 32))
        return conv1d(w, f"{at}.linear_local", x, 32, 3, dilation, bias=False) * mask

    x = torch.relu(w.norm("head.bn1", w.conv("head.conv1", speech.permute(0, 2, 1)[:, None], 32, 3, padding=1)))
    for layer in (1, 2):
        for index in (0, 1):
            x = half(f"head.layer{layer}.{index}", x, index)
    x = torch.relu(w.norm("head.bn2", w.conv("head.conv2", x, 32, 3, (2, 1), 1)))
    x = x.reshape(x.shape[0], -1, x.shape[3])
    x = conv1d(w, "xvector.tdnn.linear", x, 128, 5, stride=2, bias=False)
    x = torch.relu(w.norm("xvector.tdnn.nonlinear.batchnorm", x))
    for block, (layers, dilation) in enumerate(((12, 1), (24, 2), (16, 2)), start=1):
        for layer in range(1, layers + 1):
            at = f"xvector.block{block}.tdnnd{layer}"
            y = torch.relu(w.norm(f"{at}.nonlinear1.batchnorm", x))
            y = torch.relu(w.norm(f"{at}.nonlinear2.batchnorm", conv1d(w, f"{at}.linear1", y, 128, bias=False)))
            x = torch.cat([x, masked(f"{at}.cam_layer", y, dilation)], 1)
        x = torch.relu(w.norm(f"xvector.transit{block}.nonlinear.batchnorm", x))
        x = conv1d(w, f"xvector.transit{block}.linear", x, x.shape[1] // 2, bias=False)
    x = torch.relu(w.norm("xvector.out_nonlinear.batchnorm", x))
    x = torch.cat([x.mean(-1), torch.sqrt(x.var(-1) + epsilon)], 1)[..., None]
    x = conv1d(w, "xvector.dense.linear", x, dim, bias=False)[..., 0]
    return w.norm("xvector.dense.nonlinear.batchnorm", x, affine=False)


def speechbrain_ecapa(weights: Weights, speech: Tensor, channels: int, dim: int = 192) -> Tensor:
    """SpeechBrain's, of examples of one length."""
    w = weights

    def unit(at, x, out, kernel=1, dilation=1):
        y = conv1d(w, f"{at}.conv.conv", x, out, kernel, dilation, mirrored=True)
        return w.norm(f"{at}.norm.norm", torch.relu(y))

    def block(at, x, dilation):
        parts, done = torch.chunk(unit(f"{at}.tdnn1", x, channels), 8, dim=1), []
        for index, part in enumerate(parts):
            if index >= 2:
                part = part + done[-1]
            done.append(
                unit(f"{at}.res2net_block.blocks.{index - 1}", part, channels // 8, 3, dilation) if index else part
            )
        y = unit(f"{at}.tdnn2", torch.cat(done, 1), channels)
        factors = torch.relu(conv1d(w, f"{at}.se_block.conv1.conv", y.mean(2, keepdim=True), 128))
        return x + y * torch.sigmoid(conv1d(w, f"{at}.se_block.conv2.conv", factors, channels))

    def moments(x, share):
        mean = (share * x).sum(2)
        return mean, torch.sqrt((share * (x - mean[..., None]) ** 2).sum(2).clamp(1e-12))

    x, blocks = unit("blocks.0", speech.transpose(1, 2), channels, 5), []
    for index, dilation in ((1, 2), (2, 3), (3, 4)):
        x = block(f"blocks.{index}", x, dilation)
        blocks.append(x)
    x = unit("mfa", torch.cat(blocks, 1), 3 * channels)
    mean, deviation = moments(x, torch.ones_like(x[:, :1]) / x.shape[2])
    seen = torch.cat([x, mean[..., None].expand_as(x), deviation[..., None].expand_as(x)], 1)
    share = torch.softmax(conv1d(w, "asp.conv.conv", torch.tanh(unit("asp.tdnn", seen, 128)), 3 * channels), dim=2)
    x = w.norm("asp_bn.norm", torch.cat(moments(x, share), 1)[..., None])
    return conv1d(w, "fc.conv", x, dim)[..., 0]
