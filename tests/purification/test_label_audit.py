"""An audit of made embeddings: what it proposes for every kind of fault, and a page that says so and nothing else."""

import csv
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from real_data import SHARED, needs_shared
from small_sets import picture

from angulus.data import apply_edits, open_source, read_edits
from angulus.embeddings import EmbeddingSet
from angulus.errors import ConfigError, DataError
from angulus.models import import_weights
from angulus.purification import LabelAudit, audit_labels
from angulus.purification.identity_groups import alike_by_chance, group_images, left_out

DIM = 32


class People:
    """Twenty people with twelve images, and faults: a wrong label, a stranger, two people under one name, one person
    under two names; names of images hold what HTML and csv do not like."""

    def __init__(self):
        random = np.random.default_rng(0)
        people = random.normal(size=(23, DIM))
        people /= np.linalg.norm(people, axis=1, keepdims=True)
        who = np.repeat(np.arange(20), 12)
        labels = who.copy()
        who[0] = 7  # one image of person 7 under the name of person 0
        who[12] = 20  # a stranger under the name of person 1
        who[24:29] = 21  # five images of a second person under the name of person 2
        who[labels == 4] = 3  # one person under two names
        self.labels = np.append(labels, 20).astype(np.int64)  # a name with one image
        self.identities = [f'person & <{label}>, "x"' for label in range(21)]
        self.keys = [f"{self.identities[label]}/</script>{row}.png" for row, label in enumerate(self.labels)]
        self.keys[12] = self.keys[12].replace("12.png", "\udce9.png")  # a name that is not UTF-8
        noise = random.normal(size=(len(self.labels), DIM)) / np.sqrt(DIM)
        self.vectors = people[np.append(who, 22)] + 0.45 * noise

    def __len__(self):
        return len(self.labels)

    def read(self, index):
        return picture(index)


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    people, out = People(), tmp_path_factory.mktemp("audit")
    vectors = people.vectors.astype(np.float32)
    EmbeddingSet(
        embeddings=vectors,
        flipped=vectors,
        labels=people.labels,
        keys=tuple(people.keys),
        identities=tuple(people.identities),
    ).save(out / "embeddings.npz")

    class Model:
        embedding_dim = DIM

    return people, audit_labels(Model(), people, out)


def proposals(audited):
    people, result = audited
    return {found.row: found for found in result.findings.images if found.action != "keep"}, people.identities


def test_a_wrong_label_is_given_to_its_person(audited):
    found, names = proposals(audited)
    assert (found[0].action, found[0].to) == ("relabel", names[7])
    assert found[0].confidence >= 0.5


def test_a_stranger_is_dropped(audited):
    found, _ = proposals(audited)
    assert (found[12].action, found[12].to) == ("drop", "")


def test_two_people_under_one_name_are_split(audited):
    _, result = audited
    found, names = proposals(audited)
    assert {row for row in found if found[row].action == "split"} == set(range(24, 29))
    (split,) = result.findings.splits
    assert (split.identity, split.to, len(split.rows)) == (names[2], f"{names[2]} (2)", 5)


def test_one_person_under_two_names_is_merged(audited):
    people, result = audited
    (merge,) = result.findings.merges
    assert {merge.identity, merge.other} == {people.identities[3], people.identities[4]}


def test_nothing_else_is_proposed_and_nothing_of_a_single_image(audited):
    found, _ = proposals(audited)
    assert set(found) == {0, 12, *range(24, 29)}
    _, result = audited
    assert result.figures["identities with one image"] == 1


def test_the_list_is_applied_and_puts_the_set_right(audited):
    people, result = audited
    edits = read_edits(result.folder / "edits.csv")
    view = apply_edits(people, [edits])
    assert len(view) == len(people) - 1
    assert len(view.identities) == len(people.identities)  # one more, one less
    again = group_images(unit(people.vectors[view.indices]), view.labels, list(view.identities))
    assert (again.group == 0).mean() > 0.97


def test_the_json_says_what_the_page_says(audited):
    _, result = audited
    kept = json.loads((result.folder / "audit.json").read_text())
    assert kept["proposed"] == {"drop": 1, "relabel": 1, "split": 5, "merge": 1}
    assert len(kept["split findings"]) == len(kept["merge findings"]) == 1
    rows = {row["identity"]: row for row in kept["per identity"]}
    people, _ = audited
    expected = {"images": 12, "kept": 7, "drop": 0, "relabel": 0, "split": 5, "same person": []}
    assert rows[people.identities[2]] == {"identity": people.identities[2], **expected}
    assert rows[people.identities[3]]["same person"] == [people.identities[4]]
    assert kept["image findings"][0]["suspicion"] == max(one["suspicion"] for one in kept["image findings"])


def test_the_page_stands_alone_and_no_name_breaks_it(audited):
    people, result = audited
    page = (result.folder / "index.html").read_text()
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "http" not in page.replace("http://www.w3.org", "")

    class Reader(HTMLParser):
        scripts, keys, options, inside = [], [], 0, None

        def handle_starttag(self, tag, attributes):
            self.inside = tag if tag == "script" else dict(attributes).get("class")
            self.options += tag == "option"

        def handle_endtag(self, tag):
            self.inside = None

        def handle_data(self, text):
            if self.inside == "script":
                self.scripts.append(text)
            if self.inside == "key":
                self.keys.append(text)

    reader = Reader()
    reader.feed(page)
    assert len(reader.scripts) == 1
    assert reader.keys[0] in people.keys
    assert reader.options == 4 * min(200, len(people))
    data = json.loads(re.search(r"const DATA = (\{.*\});", reader.scripts[0]).group(1))
    assert sum(data["histogram"]) == len(people)
    assert data["images"][0][0] in people.keys
    assert read_edits(result.folder / "edits.csv").made_for == data["madeFor"]


def test_the_counts_of_the_slider_are_those_of_the_audit(audited):
    _, result = audited
    page = (result.folder / "index.html").read_text()
    data = json.loads(re.search(r"const DATA = (\{.*\});", page).group(1))
    for limit in (40, 75, 100):
        beyond = sum(count for place, count in enumerate(data["histogram"]) if place + data["lowest"] > limit)
        assert beyond == sum(found.suspicion >= limit + 1 for found in result.findings.images)


def test_embeddings_of_other_images_are_made_anew(audited, tmp_path, monkeypatch):
    people, result = audited
    stored = EmbeddingSet.load(result.folder / "embeddings.npz")
    stored.select(np.arange(5)).save(tmp_path / "embeddings.npz")
    monkeypatch.setattr("angulus.purification.label_audit.embed", lambda *_, **__: stored)
    again = audit_labels(type("Model", (), {"embedding_dim": DIM})(), people, tmp_path)
    assert again.figures == result.figures


def test_options_and_sets_that_cannot_be():
    with pytest.raises(ConfigError, match="groups must be at least 1, got 0"):
        LabelAudit(groups=0)
    with pytest.raises(ConfigError, match="rule must be one of"):
        LabelAudit(rule="mean")
    units = unit(np.random.default_rng(0).normal(size=(10, 4)))
    with pytest.raises(DataError, match="at least 2 identities, got 1"):
        group_images(units, np.zeros(10, dtype=np.int64), ["one"])


def test_an_image_has_no_part_in_the_center_that_it_is_compared_with():
    random = np.random.default_rng(1)
    units, group = unit(random.normal(size=(9, 4))), np.array([0, 0, 0, 0, 1, 1, 1, 2, -1])
    found = left_out(units, group, 4)
    for row in range(9):
        for place in range(4):
            others = [other for other in range(9) if group[other] == place and other != row]
            if group[row] == place and not others:
                others = [other for other in range(9) if other != row]
            center = units[others].sum(axis=0)
            expected = float(units[row] @ center / np.linalg.norm(center)) if others else -1.0
            assert found[row, place] == pytest.approx(expected, abs=1e-5)
    assert left_out(units[:1], np.array([0]), 2).tolist() == [[1.0, 1.0]]


def test_what_is_alike_does_not_move_with_wrong_labels():
    random = np.random.default_rng(2)
    people = random.normal(size=(10, 64))
    who = random.integers(0, 10, 3000)
    units = unit(people[who] + random.normal(size=(3000, 64)))
    labels = np.where(random.uniform(size=3000) < 0.3, random.integers(0, 10, 3000), who)
    assert alike_by_chance(units, labels) == pytest.approx(alike_by_chance(units, who), abs=0.06)


@pytest.mark.slow
@needs_shared
def test_known_mistakes_of_lfw_are_on_top(tmp_path):
    """LFW with the stored embeddings: mistakes that one sees on the photos."""
    stored = np.load(SHARED / "lfw_embeddings" / "lfw_mobilefacenet128.npz")
    source = open_source(SHARED / "lfw112")
    place = {name.decode().removesuffix(".jpg"): row for row, name in enumerate(stored["names"])}
    rows = [place[key.split("/")[-1].removesuffix(".jpg")] for key in source.keys]
    EmbeddingSet(
        embeddings=stored["emb"][rows].astype(np.float32),
        flipped=stored["emb_flip"][rows].astype(np.float32),
        labels=np.asarray(source.labels),
        keys=tuple(source.keys),
        identities=tuple(source.identities),
    ).save(tmp_path / "embeddings.npz")
    model = import_weights(SHARED / "mobilefacenet" / "068.ckpt")
    found = audit_labels(model, source, tmp_path, LabelAudit(shown=1)).findings
    top = [one.key.split("/")[-1] for one in found.images[:25]]
    for name in ("Recep_Tayyip_Erdogan_0004", "Janica_Kostelic_0002", "Nora_Bendijo_0002", "Debra_Messing_0002"):
        assert f"{name}.jpg" in top
    merged = {frozenset((one.identity, one.other)) for one in found.merges}
    assert {frozenset(("Bart_Hendricks", "Ricky_Ray")), frozenset(("Carlos_Beltran", "Raul_Ibanez"))} <= merged


def test_the_list_of_the_page_can_be_read(audited):
    """The header that the page's script writes is that of the lists."""
    _, result = audited
    page = (result.folder / "index.html").read_text()
    header = re.search(r'"(action,key,identity,to,reason,confidence)"', page).group(1)
    with (result.folder / "edits.csv").open(encoding="utf-8", errors="surrogateescape") as file:
        next(file)
        assert next(csv.reader(file))[:5] == header.split(",")[:5]


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
