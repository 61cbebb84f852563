"""The audit as a page for a person who answers for the data: plain words first, then every figure with its interval.

One HTML file that loads nothing from elsewhere. Faces are on it only where the reader asked for them.
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from angulus.evaluation.report.png import png_address
from angulus.inversion.assessment.acceptance import FORMS
from angulus.inversion.assessment.audit import Attack, Made, photos_of
from angulus.inversion.assessment.defences import DEFENCES
from angulus.inversion.attack.files import sheet

Content = Mapping[str, Any]


def summary(content: Content) -> list[str]:
    """The main findings as lines of text: for each judge, attack and threshold what it accepts."""
    lines = []
    for judge in content["judges"]:
        kind = "the attacked model" if judge["is_the_attacked_model"] else "no part in the attack"
        lines.append(f"judge {judge['name']} ({kind})")
        for attack in judge["attacks"]:
            lines += [
                f"  {attack['defence']:<14} FAR {row['target_far']:<6g} {row['form']:<15} {_span(row['accepted']):<28}"
                f" cosine {row['cosine']['mean']:+.3f}  {row['comparisons']:,} comparisons"
                for row in attack["rates"]
            ]
            lines.append(f"  {attack['defence']:<14} Frechet {frechet_sentence(attack['frechet'])}")
    return lines


def findings(content: Content) -> list[str]:
    """What a reader should know first, as sentences; of the strictest threshold."""
    return [sentence for judge in content["judges"] for sentence in _findings_of(judge, content)]


def frechet_sentence(found: Mapping[str, Any]) -> str:
    """The distance beside that of real photos, or why there is none."""
    if "refused" in found:
        return f"not computed: {found['refused']}"
    return (
        f"{found['distance']:.4f} of {found['images']:,} inverted images to real photos; as many real photos have "
        f"{found['of_real_photos']:.4f}"
    )


def render_audit(content: Content, attack: Attack | None, made: Sequence[Made]) -> str:
    """The page as text. attack: where faces may be shown, their photos come from it."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["span"] = _span
    template = environment.from_string(
        files("angulus.inversion.assessment").joinpath("page.html.j2").read_text("utf-8")
    )
    return template.render(
        content=content,
        findings=findings(content),
        forms=FORMS,
        defences=DEFENCES,
        frechet=frechet_sentence,
        montages=[] if attack is None else _montages(attack, made),
    )


def _findings_of(judge: Mapping[str, Any], content: Content) -> list[str]:
    strictest = min(found["target"] for found in judge["thresholds"])
    who = (
        "the attacked model itself" if judge["is_the_attacked_model"] else f"{judge['name']}, which had no part in it,"
    )
    found = []
    for attack in judge["attacks"]:
        rows = {row["form"]: row for row in attack["rates"] if row["target_far"] == strictest}
        parts = [
            f"{words} in {_span(rows[form]['accepted'])} of the comparisons"
            for form, words in (
                ("same photo", "the person on the very photo whose template was taken"),
                ("other photos", "the person on other photos"),
            )
            if form in rows
        ]
        luck, honest = (_span(rows[form]["accepted"]) for form in ("strangers", "real photos"))
        found.append(
            f"{_when(attack['defence'])} {who} takes the made picture for {' and for '.join(parts)}. "
            f"A stranger's photo passes in {luck}, a real photo of the person in {honest} "
            f"(threshold for one false accept in {1 / strictest:,.0f} comparisons of strangers)."
        )
    return found


def _when(defence: str) -> str:
    return "Without defence" if defence == "none" else f"Under the defence {defence}"


def _montages(attack: Attack, made: Sequence[Made]) -> list[tuple[str, str]]:
    photos = list(photos_of(attack.people.first, attack.size))
    return [(item.defence, png_address(sheet(list(item.pictures), photos))) for item in made]


def _span(interval: Mapping[str, Any]) -> str:
    """A share with its interval in percent."""
    low, middle, high = (_percent(interval[name]) for name in ("low", "estimate", "high"))
    return f"{middle} % ({low} to {high})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if share >= 0.01 or share == 0 else f"{100 * share:.2g}"
