"""Rules about people the network does not know: told apart worse and worse, or far worse than those it knows."""

from angulus.diagnosis.findings import Finding
from angulus.diagnosis.records import Record

WORSE = 1.15
GAP = 0.12


def overfitting(record: Record) -> Finding | None:
    """Held-out people are told apart worse at the end than before, or far worse than trained people."""
    rows = [row for row in record.judged if row.get("held-out/eer") is not None and row.get("trained/eer") is not None]
    if len(rows) < 2 or (record.setting("init") is not None and len(rows) < 3):
        return None
    last, best = rows[-1], min(rows, key=lambda row: row["held-out/eer"])
    held, trained = last["held-out/eer"], last["trained/eer"]
    faded = held > WORSE * best["held-out/eer"] + 0.01 and best["epoch"] < last["epoch"]
    wide = held - trained > GAP and trained < 0.1 * held
    if not (faded or wide) or trained > 0.5 * held:
        return None
    when = f"; the best was {best['held-out/eer']:.1%} after epoch {best['epoch']:g}" if faded else ""
    advice = "take more people, or fewer train.epochs" if faded else "take more people"
    could_drop = "dropout" in record.setting("model", {}) and not record.setting("model.dropout", 0.0)
    helps = "model.dropout=0.2 and augmentation help" if could_drop else "augmentation helps"
    best_kept = ", and best/ holds the best network" if record.setting("train.keep_best", True) else ""
    return Finding(
        name="overfitting",
        title="The network knows its training people by heart",
        severity="harms",
        evidence=f"the EER is {trained:.1%} for people it was trained on and {held:.1%} for people held out{when}",
        advice=f"{advice}; {helps}{best_kept}",
        keys=("train.epochs", *(["model.dropout"] if could_drop else []), "optim.weight_decay", "augment"),
    )
