"""The inversion objective by naive loops in float64: every term as it is written in the paper, image by image."""

import numpy as np


def batch_norm_distance(inputs, means, variances, *, moment="std", squared=True, first=1.0):
    """inputs: per layer [n, c, ...]; means, variances: its running statistics."""
    total = 0.0
    for place, (values, mean, variance) in enumerate(zip(inputs, means, variances, strict=True)):
        gap_mean = gap_spread = 0.0
        for channel in range(values.shape[1]):
            numbers = [float(x) for x in values[:, channel].ravel()]
            centre = sum(numbers) / len(numbers)
            spread = sum((x - centre) ** 2 for x in numbers) / len(numbers)
            running = float(variance[channel])
            if moment == "std":
                spread, running = spread**0.5, running**0.5
            gap_mean += (centre - float(mean[channel])) ** 2
            gap_spread += (spread - running) ** 2
        distance = gap_mean + gap_spread if squared else gap_mean**0.5 + gap_spread**0.5
        total += distance * (first if place == 0 else 1.0)
    return total


def total_variation(images, form="norm"):
    count, channels, height, width = images.shape
    sums = {"right": 0.0, "below": 0.0, "below right": 0.0, "below left": 0.0}
    absolute = 0.0
    steps = {"right": (0, 1), "below": (1, 0), "below right": (1, 1), "below left": (1, -1)}
    for image in range(count):
        for channel in range(channels):
            for row in range(height):
                for column in range(width):
                    for name, (down, aside) in steps.items():
                        other = (row + down, column + aside)
                        if not (other[0] < height and 0 <= other[1] < width):
                            continue
                        gap = images[image, channel, row, column] - images[image, channel, other[0], other[1]]
                        sums[name] += gap**2
                        absolute += abs(gap) if name in ("right", "below") else 0.0
    if form == "squared":
        return (sums["right"] + sums["below"]) / count
    if form == "anisotropic":
        return absolute / count
    return sum(value**0.5 for value in sums.values())


def image_norm(images):
    return float(np.mean([np.sqrt((image**2).sum()) for image in images]))


def open_set(embeddings, targets, distance="l2", normalise="none"):
    found = []
    for one, other in zip(embeddings, targets, strict=True):
        if distance == "cosine":
            found.append(1 - one @ other / np.sqrt((one @ one) * (other @ other)))
            continue
        if normalise == "unit":
            one, other = one / np.sqrt(one @ one), other / np.sqrt(other @ other)
        square = ((one - other) ** 2).sum()
        found.append(square if distance == "squared" else np.sqrt(square))
    return float(np.mean(found))


def arcface(embeddings, weight, labels, *, scale, margin):
    """Mean ArcFace loss, theta + margin below pi."""
    found = []
    for one, label in zip(embeddings, labels, strict=True):
        cosines = [row @ one / np.sqrt((row @ row) * (one @ one)) for row in weight]
        logits = [scale * c for c in cosines]
        logits[label] = scale * np.cos(np.arccos(cosines[label]) + margin)
        found.append(np.log(sum(np.exp(x) for x in logits)) - logits[label])
    return float(np.mean(found))
