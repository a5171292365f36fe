from services.router.adapters.istio.objects import Comparison, Key

KEY = Key("VirtualService", "so1s", "fraud--risk")


class Spec(dict):
    """Counts how often it is compared."""

    compared = 0

    def __ne__(self, other):
        self.compared += 1
        return super().__ne__(other)


def an_object(spec, **labels):
    return {"spec": spec, "metadata": {"labels": labels}}


def test_an_object_that_is_not_there_or_says_something_else_differs():
    told = an_object({"weight": 1}, app="so1s")
    for found in (None, an_object({"weight": 2}, app="so1s"), an_object({"weight": 1}, app="other")):
        assert Comparison().differing({KEY: found} if found else {}, {KEY: told}) == {KEY}
    assert (
        Comparison().differing({KEY: an_object({"weight": 1}, app="so1s", of="more")}, {KEY: told}) == set()
    )


def test_an_edit_and_a_new_plan_are_seen_after_what_was_the_same():
    comparison, told = Comparison(), an_object({"weight": 1})
    found = {KEY: an_object({"weight": 1})}
    assert comparison.differing(found, {KEY: told}) == set()
    assert comparison.differing({KEY: an_object({"weight": 2})}, {KEY: told}) == {KEY}
    assert comparison.differing({KEY: an_object({"weight": 2})}, {KEY: told}) == {KEY}
    assert comparison.differing(found, {KEY: told}) == set()
    assert comparison.differing(found, {KEY: an_object({"weight": 3})}) == {KEY}
    assert comparison.differing({}, {KEY: told}) == {KEY}


def test_what_did_not_change_is_compared_once():
    comparison, spec = Comparison(), Spec(weight=1)
    found, told = {KEY: an_object(spec)}, {KEY: an_object({"weight": 1})}
    for _ in range(3):
        assert comparison.differing(found, told) == set()
    assert spec.compared == 1
