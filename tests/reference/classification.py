"""Oracles of classification: the definitions as plain Python loops."""


def rank(scores, label):
    """Place of the true class, counted from 1, behind every other class of the same score."""
    return 1 + sum(score >= scores[label] for other, score in enumerate(scores) if other != label)


def answer(scores, label):
    """The class of highest score; where the true one ties, the first other."""
    others = [other for other in range(len(scores)) if other != label]
    best = max([scores[other] for other in others], default=float("-inf"))
    if not others or scores[label] > best:
        return label
    return next(other for other in others if scores[other] == best)


def class_accuracies(rows, labels, classes):
    """Share of right answers of each class, None without images."""
    found = []
    for number in range(classes):
        own = [row for row, label in zip(rows, labels, strict=True) if label == number]
        found.append(sum(answer(row, number) == number for row in own) / len(own) if own else None)
    return found
