"""What passes and how long a step is on a cluster: formulas by hand, and what must not grow."""

from dataclasses import replace

import pytest

from angulus.errors import ConfigError
from angulus.training.nodes.forecast import cluster_of
from angulus.training.nodes.hardware import H200, Cluster
from angulus.training.nodes.step_model import Load, memory_of, step_of
from angulus.training.nodes.traffic import ranking_bytes, traffic_of

LOAD = Load(images=128, dim=512, classes=10**7, parameters=43_590_976)


def test_bytes_of_two_processes_by_hand():
    sent = traffic_of(2, 10, 4, 100)
    assert sent.embeddings == 10 * (16 + 4 + 8)
    assert sent.embedding_gradient == 4 * 4 * 20 / 2
    assert sent.partition_sums == 3 * 4 * 20
    assert sent.backbone == 400


def test_ranking_passes_k_numbers_an_image_whatever_the_number_of_processes():
    assert ranking_bytes(10, 5, 2) == 4 * 10 * 7
    assert ranking_bytes(10, 5, 512) / 511 == ranking_bytes(10, 5, 2)
    each = [ranking_bytes(4096 // world, 5, world) / 4096 for world in (2, 8, 64, 512)]  # one global batch
    assert max(each) < 4 * 7


def test_one_device_exchanges_nothing():
    step = step_of(LOAD, Cluster(nodes=1, gpus=1), H200)
    assert traffic_of(1, 128, 512, 100).head == 0
    assert step.seconds == pytest.approx(step.pieces["network"] + step.pieces["head"])


def test_a_slower_link_takes_longer_and_turns_take_turns():
    fast, slow = (step_of(LOAD, cluster_of(8, 8, "infiniband", rate), H200).seconds for rate in (400, 40))
    assert slow > fast
    alone, two = (step_of(LOAD, Cluster(nodes=1, gpus=2), H200, sharing=share) for share in (1.0, 2.0))
    assert two.pieces["head"] == 2 * alone.pieces["head"]


def test_class_weights_of_a_process_stay_where_classes_and_processes_grow_together():
    sizes = [memory_of(replace(LOAD, classes=10**6 * world), world) for world in (2, 8, 64)]
    assert len({size["class weights and momentum"] for size in sizes}) == 1
    assert len({size["network, gradient and momentum"] for size in sizes}) == 1


def test_no_machine_is_refused():
    with pytest.raises(ConfigError, match="--nodes must be at least 1, got 0"):
        Cluster(nodes=0, gpus=8)
