"""A page to look at after an alignment: every crop with its name and score, and what could not be used, and why.

The crops themselves are shown, by relative links, and each is loaded when it comes into sight; the page opens offline.
"""

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from angulus.faces.journal import Crop, Outcome
from angulus.text_files import printable

MOST_CROPS = 5000
MOST_NAMES = 500
_STYLE = """
body { margin: 0 auto; max-width: 1280px; padding: 24px; font: 15px/1.45 system-ui, sans-serif; color: #1c2430; }
h1 { font-size: 24px; } h2 { font-size: 18px; margin-top: 32px; } .soft { color: #5b6675; }
.crops { display: grid; grid-template-columns: repeat(auto-fill, minmax(132px, 1fr)); gap: 10px; }
figure { margin: 0; border: 1px solid #dfe4ea; border-radius: 6px; padding: 6px; content-visibility: auto;
  contain-intrinsic-size: 132px 200px; }
figure img { width: 100%; height: auto; display: block; border-radius: 4px; background: #f2f4f7; }
figcaption { font-size: 12px; overflow-wrap: anywhere; margin-top: 4px; } li { overflow-wrap: anywhere; }
"""


def crop_page(page: Path, out: Path, outcomes: Sequence[Outcome], ignored: Sequence[str] = ()) -> str:
    """The page as HTML. page: where it will lie. out: the folder of the crops. ignored: files that are no photos."""
    pairs = [(outcome, crop) for outcome in outcomes for crop in outcome.crops]
    pairs.sort(key=lambda pair: (-pair[1].misfit, pair[1].path))
    base = os.path.relpath(out, page.parent)
    title = f"Aligned faces: {out.name}"
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        f'<p class="soft">{len(pairs):,} crops of {len(outcomes):,} photos. Those whose landmarks fit worst come first:'
        " wrong faces and wrong landmarks are on top. Score: how sure the detector was, 0 to 1. Off: how far the "
        "landmarks lie from where they should, in parts of the distance of the eyes.</p>",
        *_listed("No face was found", [outcome for outcome in outcomes if outcome.status == "no face"]),
        *_listed("Unreadable", [outcome for outcome in outcomes if outcome.status == "unreadable"]),
        *_ignored(ignored),
        "<h2>Crops</h2>",
    ]
    if len(pairs) > MOST_CROPS:
        parts.append(f"<p>The first {MOST_CROPS:,} of {len(pairs):,}; the others are in manifest.csv.</p>")
    parts.append('<div class="crops">')
    parts += [_figure(base, outcome, crop) for outcome, crop in pairs[:MOST_CROPS]]
    return printable("\n".join([*parts, "</div>", "</body></html>"]) + "\n")


def _figure(base: str, outcome: Outcome, crop: Crop) -> str:
    place = quote(os.fsencode(Path(base, crop.path).as_posix()))
    faces = f", face of {crop.faces} taken: {escape(crop.chosen)}" if crop.faces > 1 else ""
    turned = f", turned by {crop.turned}" if crop.turned else ""
    return (
        f'<figure><img loading="lazy" decoding="async" src="{escape(place)}" alt="">'
        f"<figcaption>{escape(outcome.source)}<br>"
        f'<span class="soft">score {crop.score:.2f}, off {crop.misfit:.3f}{faces}{turned}</span></figcaption></figure>'
    )


def _listed(title: str, outcomes: Sequence[Outcome]) -> list[str]:
    return _list(title, [f"{one.source}: {one.problem}" if one.problem else one.source for one in outcomes])


def _ignored(names: Sequence[str]) -> list[str]:
    return _list("Ignored, no photos by their names", names)


def _list(title: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    more = [f"<li>and {len(lines) - MOST_NAMES:,} more</li>"] if len(lines) > MOST_NAMES else []
    items = [f"<li>{escape(line)}</li>" for line in lines[:MOST_NAMES]]
    return [f"<h2>{escape(title)}: {len(lines):,}</h2>", "<ul>", *items, *more, "</ul>"]
