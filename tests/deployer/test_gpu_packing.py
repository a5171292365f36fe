"""The shipped scheduler profile on a model of the scheduler: every order, every choice among equals.

The scores are those of the plugin NodeResourcesFit, as
https://kubernetes.io/docs/concepts/scheduling-eviction/resource-bin-packing/ has them; the lab asks the
real scheduler.
"""

from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path

import pytest
import yaml

PROFILE = yaml.safe_load(Path("deploy/scheduler/profile.yaml").read_text())
STRATEGY = PROFILE["pluginConfig"][0]["args"]["scoringStrategy"]
WEIGHTS = {each["name"]: each["weight"] for each in STRATEGY["resources"]}
NODE = {"nvidia.com/gpu": 4, "cpu": 64_000, "memory": 256}

Used = dict[str, int]
Score = Callable[[Used], float]


def server(gpus: int) -> Used:
    return {"nvidia.com/gpu": gpus, "cpu": 500, "memory": 1}


def most_allocated(used: Used) -> float:
    shares = (weight * 100 * used[name] // NODE[name] for name, weight in WEIGHTS.items())
    return sum(shares) / sum(WEIGHTS.values())


def least_allocated(used: Used) -> float:
    """The stock profile's: of CPU and memory alone, and the more that is left, the better."""
    return sum(100 * (NODE[name] - used[name]) / NODE[name] for name in ("cpu", "memory")) / 2


def outcomes(sizes: tuple[int, ...], score: Score) -> Iterator[bool]:
    """Whether the last server runs, for every way in which ties may fall."""
    yield from _place([dict.fromkeys(NODE, 0), dict.fromkeys(NODE, 0)], sizes, score)


def _place(nodes: list[Used], sizes: tuple[int, ...], score: Score) -> Iterator[bool]:
    first, *rest = sizes
    after = [{name: node[name] + server(first)[name] for name in NODE} for node in nodes]
    fitting = [index for index, node in enumerate(after) if all(node[name] <= NODE[name] for name in NODE)]
    if not rest or not fitting:
        yield bool(fitting)
        return
    best = max(score(after[index]) for index in fitting)
    for index in fitting:
        if score(after[index]) == best:
            yield from _place([*nodes[:index], after[index], *nodes[index + 1 :]], tuple(rest), score)


ORDERS = sorted(set(permutations([2, 2, 1, 1])))


def test_the_profile_packs_by_gpus_first():
    assert STRATEGY["type"] == "MostAllocated"
    assert max(WEIGHTS, key=WEIGHTS.__getitem__) == "nvidia.com/gpu"


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_a_last_server_of_two_gpus_runs_whatever_came_before(order):
    assert all(outcomes((*order, 2), most_allocated))


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_by_the_stock_profile_it_may_stay_pending(order):
    assert not all(outcomes((*order, 2), least_allocated))
