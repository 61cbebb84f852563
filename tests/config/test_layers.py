"""How YAML layers and key=value settings become one mapping."""

import pytest

from angulus.config.layers import merge, parse_overrides, parse_yaml, read_layer, read_layers
from angulus.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("5e-4", 5e-4),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("010", 10),
        ("0x10", 16),
        ("12", 12),
        ("on", "on"),
        ("no", "no"),
        ("true", True),
        ("~", None),
        ("", None),
        ("2020-01-01", "2020-01-01"),
        ("1:30", "1:30"),
        ("'3'", "3"),
        ("[0.1, 2]", [0.1, 2]),
        ("{name: linear, end: 0.3}", {"name": "linear", "end": 0.3}),
    ],
)
def test_plain_words_are_read_as_yaml_1_2_does(text, value):
    parsed = parse_yaml(text, "here")
    assert parsed == value
    assert type(parsed) is type(value)


def test_later_layers_are_laid_over_earlier_ones(tmp_path):
    (tmp_path / "one.yaml").write_text("optim: {lr: 0.1, momentum: 0.8}\nseed: 1\ntrain: {epochs: 3}\n")
    (tmp_path / "two.yaml").write_text("optim: {lr: 0.2}\nseed: 2\n")
    merged = read_layers([tmp_path / "one.yaml", tmp_path / "two.yaml"], ["seed=3", "train.batch_size=8"])
    assert merged == {"optim": {"lr": 0.2, "momentum": 0.8}, "seed": 3, "train": {"epochs": 3, "batch_size": 8}}


def test_an_empty_recipe_is_an_empty_layer(tmp_path):
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert read_layer(tmp_path / "empty.yaml") == {}


def test_another_name_replaces_the_settings_of_the_kind_before():
    old = {"margin": {"name": "arcface", "m": 0.5, "overflow": "clip"}}
    assert merge(old, {"margin": {"name": "amsoftmax"}}) == {"margin": {"name": "amsoftmax"}}
    assert merge(old, {"margin": {"name": "arcface", "m": 0.3}})["margin"]["overflow"] == "clip"
    assert merge(old, {"margin": {"m": 0.3}})["margin"] == {"name": "arcface", "m": 0.3, "overflow": "clip"}
    assert old["margin"]["m"] == 0.5


def test_a_name_alone_is_short_for_a_mapping():
    old = {"margin": {"name": "arcface", "m": 0.3}}
    assert merge(old, {"margin": "arcface"}) == old
    assert merge(old, {"margin": "amsoftmax"}) == {"margin": {"name": "amsoftmax"}}
    assert merge({}, {"head": {"strategy": "streamed"}}) == {"head": {"strategy": {"name": "streamed"}}}
    assert merge({"seed": 1}, {"device": "cpu"}) == {"seed": 1, "device": "cpu"}


def test_the_kind_that_holds_without_a_name_counts():
    assert merge({"optim": {"momentum": 0.8}}, {"optim": {"name": "adamw"}}) == {"optim": {"name": "adamw"}}
    assert merge({"optim": {"lr": 0.8}}, {"optim": {"name": "sgd"}}) == {"optim": {"lr": 0.8, "name": "sgd"}}
    also = merge({"evaluation": {"also": {"x": {"path": "a"}}}}, {"evaluation": {"also": {"x": "synthetic"}}})
    assert also == {"evaluation": {"also": {"x": {"name": "synthetic"}}}}


def test_another_kind_of_data_keeps_what_both_kinds_have_and_the_rest_is_named(caplog):
    old = {"data": {"path": "a", "on_empty": "skip", "fit": "crop", "identities": {"exclude": ["Ada"]}}}
    kept = merge(old, {"data": {"name": "packed", "path": "b"}})["data"]
    assert kept == {"path": "b", "fit": "crop", "identities": {"exclude": ["Ada"]}, "name": "packed"}
    assert caplog.messages == [
        "data is packed now, so data.on_empty='skip' of folder no longer holds; set it again where meant"
    ]
    caplog.clear()
    one_set = {"data": {"name": "union", "sets": {"x": {"name": "rec", "path": "a", "identities": {"min_images": 3}}}}}
    other = merge(one_set, {"data": {"sets": {"x": {"name": "tar"}}}})
    assert other["data"]["sets"]["x"] == {"name": "tar", "path": "a", "identities": {"min_images": 3}}
    assert not caplog.messages


def test_settings_of_another_margin_are_dropped_with_a_word(caplog):
    merge({"margin": {"name": "arcface", "m": 0.5, "scale": 32}}, {"margin": {"name": "amsoftmax", "scale": 30}})
    assert "margin is amsoftmax now, so margin.m=0.5 of arcface no longer holds" in caplog.text
    caplog.clear()
    merge({"margin": {"name": "arcface"}}, {"margin": "softmax"})
    merge({"optim": {"lr": 0.1}}, {"optim": {"lr": 0.2}})
    assert not caplog.messages


def test_values_of_margins_replace_each_other():
    schedule = {"margin": {"m": {"name": "linear", "end": 0.3, "until": 10}}}
    assert merge(schedule, {"margin": {"m": 0.2}}) == {"margin": {"m": 0.2}}
    assert merge(schedule, {"margin": {"m": {"end": 0.4}}})["margin"]["m"]["until"] == 10
    other = merge(schedule, {"margin": {"m": {"name": "steps", "values": [1]}}})
    assert other["margin"]["m"] == {"name": "steps", "values": [1]}
    learned = merge({"margin": {"scale": schedule["margin"]["m"]}}, {"margin": {"scale": {"learned": 16.0}}})
    assert learned["margin"]["scale"] == {"learned": 16.0}


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_settings_beside_a_name_does_not_matter(order):
    settings = ["margin=arcface", "margin.m=0.2", "data.num_identities=5", "data.name=synthetic"]
    layer = parse_overrides(settings[::order])
    assert layer == {
        "margin": {"name": "arcface", "m": 0.2},
        "data": {"name": "synthetic", "num_identities": 5},
    }


def test_all_bad_settings_are_reported():
    with pytest.raises(ConfigError) as caught:
        parse_overrides(["seed", "=3", "a..b=1", "margin.m=[0.1"])
    problems = caught.value.problems
    assert problems[0] == "seed: a setting is written key=value, such as margin.m=0.4"
    assert len(problems) == 4
    assert problems[3].startswith("margin.m=[0.1: not valid YAML: expected ',' or ']'")


def test_broken_yaml_names_file_and_line(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("seed: 1\ntrain: {epochs: 3\nmargin: arcface\n")
    with pytest.raises(ConfigError, match=r"bad\.yaml, line 3, column 7: not valid YAML: expected ',' or '}'"):
        read_layer(path)


def test_a_key_that_stands_twice_is_an_error(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("seed: 1\nseed: 2\n")
    with pytest.raises(ConfigError, match=r"twice\.yaml, line 2, column 1: .*the key 'seed' stands twice"):
        read_layer(path)


def test_anchors_and_merge_keys_work(tmp_path):
    path = tmp_path / "anchors.yaml"
    path.write_text("train: &t {epochs: 3}\nevaluation: {<<: *t, every: 1}\n")
    assert read_layer(path)["evaluation"] == {"epochs": 3, "every": 1}


def test_a_missing_recipe_suggests_one_with_a_like_name(tmp_path):
    (tmp_path / "lfw_tiny.yaml").write_text("")
    with pytest.raises(ConfigError) as caught:
        read_layer(tmp_path / "lfw_tny.yaml")
    path = tmp_path / "lfw_tny.yaml"
    said = str(caught.value)
    assert said.startswith(f"there is no recipe {path}; did you mean {tmp_path / 'lfw_tiny.yaml'}?; with Angulus come ")


def test_all_missing_recipes_and_bad_settings_are_reported_at_once(tmp_path):
    with pytest.raises(ConfigError) as caught:
        read_layers([tmp_path / "a.yaml", tmp_path / "b.yaml"], ["seed"])
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", "a recipe is a mapping"),
        ("3: x\n", "keys must be words, got 3"),
        ("!!python/object/apply:os.system ['true']\n", "not valid YAML: could not determine a constructor"),
    ],
)
def test_what_is_no_recipe_is_refused(tmp_path, text, message):
    path = tmp_path / "odd.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_layer(path)


def test_a_folder_is_a_recipe_only_when_it_is_a_run(tmp_path):
    with pytest.raises(ConfigError, match=r"to train on its images: data\.path="):
        read_layer(tmp_path)
    (tmp_path / "recipe.json").write_text('{"seed": 4, "optim": {"lr": 1e-05}}')
    assert read_layer(tmp_path) == {"seed": 4, "optim": {"lr": 1e-5}}
