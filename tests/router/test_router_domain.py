"""What the router decides, without a world."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.domain.change import Waiting, decide
from services.router.domain.endpoint import Endpoint, Verdict
from services.router.domain.route import PublicUrls, route_of
from services.router.domain.variants import become_ready, judge, remove, request, retire, use_of
from so1s.events import DeploymentReady, RoutesRejected
from tests.router.driver import ready

NEW = Endpoint("risk", "fraud")
PASSED = Verdict(passed=True, reason="accuracy 0.950")
FAILED = Verdict(passed=False, reason="accuracy 0.710, needs 0.900")


def joined(*events: DeploymentReady) -> Endpoint:
    endpoint = NEW
    for event in events:
        endpoint = become_ready(endpoint, event, {}).endpoint
    return endpoint


def test_the_first_variant_of_a_new_endpoint_takes_all_traffic():
    endpoint = joined(ready())
    assert endpoint.weights == {"fraud": 1}
    assert endpoint.revision == 1


def test_a_further_variant_joins_at_weight_0():
    assert joined(ready(), ready("fraud-next")).weights == {"fraud": 1, "fraud-next": 0}


def test_a_further_variant_joins_at_its_initial_percent():
    endpoint = joined(ready(), ready("fraud-next", initial_percent=25))
    assert endpoint.weights == {"fraud": 3, "fraud-next": 1}


def test_a_percentage_that_cannot_be_exact_is_refused_and_the_variant_joins_at_0():
    endpoint = joined(ready(), ready("fraud-next")).weighing({"fraud": 999_983, "fraud-next": 1_000_000})
    decision = become_ready(endpoint, ready("third", initial_percent=33), {})
    assert decision.endpoint.weights["third"] == 0
    assert decision.rejected.field == "initial_percent"
    assert decision.rejected.value == "33"


def test_a_new_revision_keeps_its_weight_and_makes_a_new_revision_of_the_route():
    endpoint = joined(
        ready(), ready("fraud-next", initial_percent=50), ready("fraud-next", 2, initial_percent=10)
    )
    assert endpoint.weights == {"fraud": 1, "fraud-next": 1}
    assert endpoint.revision == 3
    assert endpoint.variants["fraud-next"].version == "2"


@pytest.mark.parametrize("revision", [1, 2])
def test_a_revision_that_was_overtaken_or_repeated_changes_nothing(revision):
    endpoint = joined(ready(revision=2))
    assert become_ready(endpoint, ready(revision=revision), {}).endpoint == endpoint


def test_a_required_check_holds_a_first_variant_at_weight_0_until_it_passed():
    endpoint = joined(ready(requires=["quality", "bias"]))
    assert endpoint.weights == {"fraud": 0}
    one = judge(endpoint, "fraud", "quality", PASSED).endpoint
    assert one.weights == {"fraud": 0}
    assert one.revision == 1
    both = judge(one, "fraud", "bias", PASSED).endpoint
    assert both.weights == {"fraud": 1}
    assert both.revision == 2


def test_a_verdict_that_was_faster_than_the_readiness_counts():
    decision = become_ready(NEW, ready(requires=["quality"]), {"quality": PASSED})
    assert decision.endpoint.weights == {"fraud": 1}
    assert decision.endpoint.revision == 1


def test_a_failed_check_is_refused_at_once_with_its_reason():
    endpoint = joined(ready(), ready("fraud-next", requires=["quality"], initial_percent=10))
    decision = judge(endpoint, "fraud-next", "quality", FAILED)
    assert decision.endpoint.weights == {"fraud": 1, "fraud-next": 0}
    assert decision.rejected == RoutesRejected(
        account="risk",
        endpoint="fraud",
        field="requires",
        value="quality",
        allowed="allowed: passed checks; fraud-next (fraud@1) failed quality: accuracy 0.710, needs 0.900",
    )


def test_a_check_that_passes_after_it_failed_lets_the_variant_join():
    endpoint = joined(ready(), ready("fraud-next", requires=["quality"], initial_percent=10))
    endpoint = judge(endpoint, "fraud-next", "quality", FAILED).endpoint
    assert judge(endpoint, "fraud-next", "quality", PASSED).endpoint.weights == {"fraud": 9, "fraud-next": 1}


def test_a_repeated_verdict_does_not_undo_weights_that_a_person_set():
    endpoint = judge(joined(ready(requires=["quality"])), "fraud", "quality", PASSED).endpoint
    endpoint = become_ready(endpoint, ready("fraud-next"), {}).endpoint
    endpoint = decide(endpoint, {"fraud": 0, "fraud-next": 1})
    assert judge(endpoint, "fraud", "quality", PASSED).endpoint == endpoint


def test_a_check_that_nobody_requires_changes_no_route():
    endpoint = joined(ready())
    assert judge(endpoint, "fraud", "style", FAILED).endpoint.revision == endpoint.revision


def test_a_rolled_variant_keeps_its_weight_whatever_it_requires():
    endpoint = joined(ready(), ready("fraud-next", initial_percent=25))
    endpoint = become_ready(endpoint, ready("fraud-next", 2, requires=["quality"], initial_percent=90), {})
    assert endpoint.endpoint.weights == {"fraud": 3, "fraud-next": 1}
    for verdict in (FAILED, PASSED):
        judged = judge(endpoint.endpoint, "fraud-next", "quality", verdict).endpoint
        assert judged.weights == {"fraud": 3, "fraud-next": 1}


def test_a_variant_that_waits_for_its_checks_waits_in_its_next_revision_too():
    endpoint = joined(
        ready(),
        ready("fraud-next", requires=["quality"], initial_percent=10),
        ready("fraud-next", 2, requires=["quality"], initial_percent=25),
    )
    assert endpoint.weights == {"fraud": 1, "fraud-next": 0}
    assert judge(endpoint, "fraud-next", "quality", PASSED).endpoint.weights == {"fraud": 3, "fraud-next": 1}


def test_a_whole_set_of_weights_is_taken():
    endpoint = decide(joined(ready(), ready("fraud-next")), {"fraud": 90, "fraud-next": 10})
    assert endpoint.weights == {"fraud": 90, "fraud-next": 10}
    assert endpoint.revision == 3


def test_a_variant_that_is_not_named_is_detached_and_can_come_back():
    endpoint = decide(joined(ready(), ready("fraud-next")), {"fraud-next": 1})
    assert endpoint.weights == {"fraud-next": 1}
    assert endpoint.variants["fraud"].state == "detached"
    assert decide(endpoint, {"fraud": 1, "fraud-next": 0}).weights == {"fraud": 1, "fraud-next": 0}


def test_a_variant_that_nobody_heard_of_is_refused_with_the_known_names():
    rejected = decide(request(joined(ready()), "fraud-next"), {"fraud": 1, "fruad": 1})
    assert rejected == RoutesRejected(
        account="risk",
        endpoint="fraud",
        field="weights.fruad",
        value="1",
        allowed="allowed: the variants fraud, fraud-next",
    )


def test_weights_wait_for_a_variant_that_is_requested():
    endpoint = request(joined(ready()), "fraud-next")
    weights = {"fraud": 1, "fraud-next": 1}
    waiting = decide(endpoint, weights)
    assert waiting == Waiting({"fraud-next": "its replicas"})
    assert str(waiting) == "fraud-next waits for its replicas"
    assert decide(become_ready(endpoint, ready("fraud-next"), {}).endpoint, weights).weights == weights


def test_weights_wait_for_the_checks_of_a_variant_that_shall_take_traffic():
    endpoint = joined(ready(), ready("fraud-next", requires=["quality"]))
    waiting = decide(endpoint, {"fraud": 1, "fraud-next": 1})
    assert waiting == Waiting({"fraud-next": "check quality"})
    assert decide(endpoint, {"fraud": 2, "fraud-next": 0}).weights == {"fraud": 2, "fraud-next": 0}


def test_weights_of_0_for_a_variant_under_checks_are_what_it_keeps():
    endpoint = joined(ready(), ready("fraud-next", requires=["quality"], initial_percent=10))
    endpoint = decide(endpoint, {"fraud": 1, "fraud-next": 0})
    assert judge(endpoint, "fraud-next", "quality", PASSED).endpoint.weights == {"fraud": 1, "fraud-next": 0}


def test_a_variant_whose_check_failed_takes_no_weight():
    endpoint = joined(ready(), ready("fraud-next", requires=["quality"]))
    endpoint = judge(endpoint, "fraud-next", "quality", FAILED).endpoint
    rejected = decide(endpoint, {"fraud": 1, "fraud-next": 1})
    assert rejected.allowed == "allowed: 0 until its checks pass; quality failed: accuracy 0.710, needs 0.900"


def test_a_detached_variant_joins_again_when_it_serves_another_version():
    endpoint = decide(joined(ready(), ready("fraud-next", initial_percent=50)), {"fraud": 1})
    endpoint = become_ready(endpoint, ready("fraud-next", 2, initial_percent=10), {}).endpoint
    assert endpoint.weights == {"fraud": 9, "fraud-next": 1}


def test_a_detached_variant_stays_off_when_only_its_size_changed():
    endpoint = decide(joined(ready(), ready("fraud-next", initial_percent=50)), {"fraud": 1})
    resized = ready("fraud-next", 2, version="1", initial_percent=10)
    assert become_ready(endpoint, resized, {}).endpoint.weights == {"fraud": 1}


def test_a_variant_without_weight_retires_off_the_route():
    endpoint = retire(joined(ready(), ready("fraud-next")), "fraud-next", 1)
    assert endpoint.weights == {"fraud": 1}
    assert endpoint.variants["fraud-next"].state == "retiring"


def test_a_variant_that_was_never_on_the_route_is_released_at_once():
    endpoint = retire(request(joined(ready()), "fraud-next"), "fraud-next", 1)
    assert endpoint.variants["fraud-next"].state == "released"


def test_a_detached_variant_retires_without_a_new_route():
    detached = decide(joined(ready(), ready("fraud-next")), {"fraud": 1})
    endpoint = retire(detached, "fraud-next", 1)
    assert endpoint.variants["fraud-next"].state == "retiring"
    assert endpoint.revision == detached.revision


def test_a_variant_with_weight_is_in_use():
    endpoint = decide(joined(ready(), ready("fraud-next")), {"fraud": 90, "fraud-next": 10})
    assert use_of(endpoint, "fraud-next") == "it has weight 10 of 100 on fraud; set its weight to 0"
    assert use_of(joined(ready()), "fraud").startswith("it takes all traffic of fraud")
    assert use_of(joined(ready(), ready("fraud-next")), "fraud-next") is None


def test_a_retiring_variant_takes_no_weight():
    endpoint = retire(joined(ready(), ready("fraud-next")), "fraud-next", 1)
    rejected = decide(endpoint, {"fraud": 1, "fraud-next": 1})
    assert rejected.allowed == "allowed: 0, since the deployment retires"


def test_an_endpoint_that_is_left_without_variants_goes_with_the_last_one():
    never_served = retire(request(NEW, "fraud"), "fraud", 1)
    assert (never_served.removed, never_served.is_there) == (True, False)
    failed = become_ready(NEW, ready(requires=["quality"]), {"quality": FAILED}).endpoint
    assert retire(failed, "fraud", 1).removed
    assert not retire(request(failed, "fraud-next"), "fraud", 1).removed


def test_late_news_of_a_released_deployment_is_ignored_and_its_next_revision_joins():
    endpoint = retire(decide(joined(ready(), ready("fraud-next")), {"fraud": 1}), "fraud-next", 2)
    for after in (endpoint, request(endpoint, "fraud-next")):
        assert become_ready(after, ready("fraud-next", 2), {}).endpoint == after
        again = become_ready(after, ready("fraud-next", 3), {}).endpoint
        assert again.weights == {"fraud": 1, "fraud-next": 0}


def test_a_removed_endpoint_comes_back_with_weights_or_a_new_version():
    removed = remove(joined(ready()))
    assert removed.removed
    assert removed.weights == {}
    assert not become_ready(removed, ready(revision=2), {}).endpoint.removed
    revived = decide(removed, {"fraud": 1})
    assert not revived.removed
    assert revived.revision == 3


def test_a_route_names_its_host_and_every_attached_variant():
    endpoint = joined(ready(), ready("fraud-next"))
    urls = PublicUrls("http", "so1s.localhost", 8080)
    route = route_of(endpoint, urls.host(endpoint))
    assert route.host == "fraud--risk.so1s.localhost"
    assert [(arm.variant, arm.weight) for arm in route.arms] == [("fraud", 1), ("fraud-next", 0)]
    assert urls.url(endpoint) == "http://fraud--risk.so1s.localhost:8080"
    assert PublicUrls("https", "ml.example", 443).url(endpoint) == "https://fraud--risk.ml.example"


NAMES = ["fraud", "fraud-next", "third"]
names = st.sampled_from(NAMES)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("request"), names),
        st.tuples(st.just("ready"), names, st.integers(1, 5), st.integers(0, 100), st.booleans()),
        st.tuples(st.just("check"), names, st.booleans()),
        st.tuples(st.just("weights"), st.dictionaries(names, st.integers(1, 9), min_size=1)),
        st.tuples(st.just("retire"), names),
    ),
    max_size=25,
)


def take(endpoint: Endpoint, step: tuple) -> Endpoint:
    match step:
        case ("request", name):
            return request(endpoint, name)
        case ("ready", name, revision, percent, checked):
            news = ready(name, revision, initial_percent=percent, requires=["quality"] if checked else [])
            return become_ready(endpoint, news, {}).endpoint
        case ("check", name, passed) if name in endpoint.variants:
            return judge(endpoint, name, "quality", PASSED if passed else FAILED).endpoint
        case ("weights", weights):
            decided = decide(endpoint, weights)
            return decided if isinstance(decided, Endpoint) else endpoint
        case ("retire", name) if name in endpoint.variants and not use_of(endpoint, name):
            return retire(endpoint, name, 1)
    return endpoint


@settings(max_examples=200)
@given(steps)
def test_whatever_happens_traffic_stays_and_goes_to_variants_that_may_take_it(history):
    endpoint = NEW
    for step in history:
        before, endpoint = endpoint, take(endpoint, step)
        if sum(before.weights.values()):
            assert sum(endpoint.weights.values()), "an endpoint that had traffic lost it"
        if before.weights != endpoint.weights:
            assert endpoint.revision > before.revision
        for variant in endpoint.variants.values():
            assert variant.weight == 0 or variant.state == "attached"
            if not variant.cleared:
                assert share(endpoint, variant.deployment) <= share(before, variant.deployment)


def share(endpoint: Endpoint, variant: str) -> Fraction:
    weights = endpoint.weights
    return Fraction(weights.get(variant, 0), sum(weights.values()) or 1)
