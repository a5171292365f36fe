"""What the deployments of an account share: when it is made, mended and removed."""

from __future__ import annotations

from dataclasses import replace

from services.deployer.adapters.kubernetes.accounts import Accounts
from services.deployer.adapters.kubernetes.options import Options
from so1s.errors import TemporaryError
from so1s.kubernetes import Refused

OPTIONS = Options("", "cluster.local", gpu_resource="gpu", gpu_scheduler="")


class _Applied:
    """An API that takes everything, or nothing while it is away."""

    def __init__(self, *there):
        self.kinds = []
        self.tried = []
        self.deleted = []
        self.error = None
        self.there = there

    async def read(self, _where, _query):
        return {"items": [_shared(account, namespace) for account, namespace in self.there]}

    async def delete(self, _version, kind, namespace, name):
        self.tried.append(namespace)
        if self.error:
            raise self.error
        self.deleted.append((kind, namespace, name))

    async def apply(self, manifest, **_):
        if self.error:
            raise self.error
        self.kinds.append(manifest["kind"])


def _shared(account, namespace):
    return {"metadata": {"namespace": namespace, "labels": {"so1s.io/account": account}}}


async def test_what_no_deployment_shares_any_more_goes_also_where_an_earlier_process_made_it():
    api = _Applied(("old", "mine-old"), ("used", "mine-used"), ("theirs", "other-theirs"))
    accounts = Accounts(api, replace(OPTIONS, namespace_prefix="mine-", image_pull_secret=("so1s", "pull")))
    await accounts.find()
    api.error = TemporaryError("timed out")
    await accounts.keep({"used"})
    api.error = None
    for _ in range(2):
        await accounts.keep({"used"})
    assert api.deleted == [("Secret", "mine-old", "so1s-pull"), ("ServiceAccount", "mine-old", "so1s-server")]


async def test_what_may_not_be_removed_is_tried_again_an_hour_later():
    api, now = _Applied(("old", "old")), [0.0]
    accounts = Accounts(api, OPTIONS, clock=lambda: now[0])
    await accounts.find()
    api.error = Refused("serviceaccounts is forbidden")
    await accounts.keep(set())
    api.error = None
    now[0] += 3599
    await accounts.keep(set())
    assert api.deleted == []
    now[0] += 1
    await accounts.keep(set())
    assert api.deleted == [("ServiceAccount", "old", "so1s-server")]


async def test_one_account_at_a_time_is_cleared_and_none_waits_for_another_that_fails():
    api = _Applied(("a", "a"), ("b", "b"), ("c", "c"))
    accounts = Accounts(api, OPTIONS)
    await accounts.find()
    api.error = TemporaryError("timed out")
    await accounts.keep(set())
    api.error = None
    for cleared in (1, 2, 3, 3):
        await accounts.keep(set())
        assert len(api.deleted) == cleared
    assert api.deleted[-1][1] == api.tried[0]


async def test_what_an_account_shares_is_made_once_and_again_where_it_is_missed():
    api, now = _Applied(), [0.0]
    accounts = Accounts(api, OPTIONS, clock=lambda: now[0])
    for _ in range(2):
        await accounts.ensure("risk")
    await accounts.mend(["risk"])
    assert api.kinds == ["Namespace", "ServiceAccount"]
    accounts.forget("risk")
    await accounts.ensure("risk")
    assert len(api.kinds) == 4
    now[0] += 11
    await accounts.mend(["risk", "another-installation"])
    assert len(api.kinds) == 6


async def test_what_an_account_shares_and_cannot_be_mended_now_is_tried_again_later():
    api, now = _Applied(), [0.0]
    accounts = Accounts(api, OPTIONS, clock=lambda: now[0])
    await accounts.ensure("risk")
    api.error = TemporaryError("timed out")
    now[0] += 11
    await accounts.mend(["risk"])
    api.error = None
    now[0] += 11
    await accounts.mend(["risk"])
    assert len(api.kinds) == 4
