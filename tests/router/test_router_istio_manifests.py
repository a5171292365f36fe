import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.adapters.istio.manifests import (
    Gateway,
    Sharing,
    destination_rule,
    gateway_object,
    normalised,
    virtual_service,
)
from services.router.adapters.istio.manifests import Service as IstioService
from services.router.adapters.istio.plan import Planner
from services.router.domain.route import Arm, Route
from services.router.domain.weights import HEAVIEST
from so1s.kubernetes import Refused

INT32 = 2**31 - 1
SHARING = Sharing("so1s", "so1s/so1s", (), "so1s.localhost", timeout_seconds=60)
GATEWAY = Gateway("so1s", "so1s", {"istio": "ingressgateway"}, "so1s.localhost", 443, "wildcard", None)


def arm(variant: str, weight: int, service: str | None = None) -> Arm:
    return Arm(variant, weight, service or f"k8s://{variant}.so1s-risk.svc.cluster.local:80")


def route(*arms: Arm, revision: int = 1) -> Route:
    return Route("risk", "fraud", "fraud--risk.so1s.localhost", revision, arms)


weights = st.lists(st.integers(0, HEAVIEST), min_size=1, max_size=40).filter(any)


@given(weights)
def test_the_exact_ratio_of_weights_is_kept(given):
    reduced = normalised(given)
    total, given_total = sum(reduced), sum(given)
    assert [weight * given_total for weight in reduced] == [weight * total for weight in given]


@given(weights)
def test_a_weight_of_0_stays_attached_at_0_and_no_other_becomes_0(given):
    assert [weight == 0 for weight in normalised(given)] == [weight == 0 for weight in given]


@given(st.integers(1, 2147))
def test_as_many_of_the_heaviest_weights_as_istio_can_add_up_are_taken(number):
    assert sum(normalised([HEAVIEST] * (number - 1) + [HEAVIEST - 1])) <= INT32


def test_weights_that_istio_cannot_add_up_are_refused_with_the_limit():
    with pytest.raises(Refused, match=f"allowed: at most {INT32}"):
        normalised([HEAVIEST] * 2147 + [HEAVIEST - 1])


def test_an_endpoint_is_one_virtual_service_whose_first_route_tells_the_revision():
    spec = virtual_service(route(arm("fraud", 180), arm("fraud-next", 20), revision=41), SHARING)["spec"]
    assert (spec["hosts"], spec["gateways"]) == (["fraud--risk.so1s.localhost"], ["so1s/so1s"])
    revision, over_grpc, traffic = spec["http"]
    assert revision["match"] == [{"uri": {"exact": "/.well-known/so1s/revision"}}]
    assert revision["directResponse"] == {"status": 200, "body": {"string": '{"revision": 41}'}}
    assert [each["weight"] for each in traffic["route"]] == [9, 1]
    assert traffic["route"][0]["destination"] == {
        "host": "fraud.so1s-risk.svc.cluster.local",
        "port": {"number": 80},
    }
    assert over_grpc["match"] == [{"headers": {"content-type": {"prefix": "application/grpc"}}}]
    assert over_grpc["route"][0]["destination"] == {
        "host": "fraud.so1s-risk.svc.cluster.local",
        "port": {"number": 50051},
    }
    assert [each["weight"] for each in over_grpc["route"]] == [9, 1]


def test_an_endpoint_whose_variants_take_no_traffic_says_so():
    _, traffic = virtual_service(route(arm("fraud", 0)), SHARING)["spec"]["http"]
    assert traffic["directResponse"]["status"] == 503


def test_nothing_is_tried_again_that_a_replica_may_have_begun_and_what_a_full_one_refused_is():
    traffic = virtual_service(route(arm("fraud", 1)), SHARING)["spec"]["http"][-1]
    tried = "connect-failure,refused-stream,reset-before-request,resource-exhausted,429"
    assert traffic["retries"]["retryOn"] == tried
    assert traffic["timeout"] == "60s"


def test_a_rule_lies_beside_its_service_for_whichever_namespaces_gateways_may_see_it():
    sharing = Sharing("so1s", "so1s/so1s", ("ingress",), "so1s.localhost", timeout_seconds=60)
    rule = destination_rule(IstioService.of(arm("fraud", 1)), sharing)
    assert (rule["metadata"]["namespace"], rule["metadata"]["name"]) == ("so1s-risk", "fraud")
    assert rule["spec"]["host"] == "fraud.so1s-risk.svc.cluster.local"
    assert rule["spec"]["exportTo"] == ["ingress"]


def test_the_gateway_speaks_https_with_the_wildcard_certificate_where_one_is_named():
    (server,) = gateway_object(GATEWAY, SHARING)["spec"]["servers"]
    assert server["hosts"] == ["so1s/*.so1s.localhost"]
    assert server["port"] == {"number": 443, "name": "https", "protocol": "HTTPS"}
    assert server["tls"] == {"mode": "SIMPLE", "credentialName": "wildcard"}


@pytest.mark.parametrize(
    "service",
    [
        "file:///world/risk--fraud.json",
        "k8s://fraud.so1s-risk.svc",
        "k8s://fraud.so1s-risk.svc:0",
        "k8s://fraud.so1s-risk.svc:65536",
        "k8s://..svc:80",
        "k8s://[fraud.so1s-risk.svc:80",
        "k8s://fraud:80",
        "",
    ],
)
def test_an_arm_whose_service_istio_does_not_know_is_refused_and_the_other_routes_are_planned(service):
    churn = Route("risk", "churn", "churn--risk.so1s.localhost", 1, (arm("churn", 1),))
    planned = Planner(SHARING, GATEWAY).plan([route(arm("fraud", 1, service or "nowhere")), churn])
    assert [key.name for key in planned.impossible] == ["fraud--risk"]
    assert "churn--risk" in {key.name for key in planned.objects}


def test_a_deployment_on_two_endpoints_has_one_rule_on_which_both_hosts_depend():
    shared = arm("fraud", 1)
    other = Route("risk", "other", "other--risk.so1s.localhost", 1, (shared,))
    planned = Planner(SHARING, None).plan([route(shared), other])
    (rule,) = [key for key in planned.objects if key.kind == "DestinationRule"]
    assert planned.hosts_of([rule]) == {"fraud--risk.so1s.localhost", "other--risk.so1s.localhost"}
