"""A deployer that verifies runs only what somebody it trusts has signed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError
from structlog.testing import capture_logs

from services.builder.adapters.images_layout import LayoutImages
from services.deployer.adapters.verifier_signatures import SignatureVerifier
from services.deployer.domain.observation import Observation
from services.deployer.domain.trust import mismatch
from services.deployer.ports import Deployment
from services.deployer.settings import Settings
from services.deployer.verified_cluster import VerifiedCluster
from so1s.errors import TemporaryError
from so1s.events import DeploymentRequested, Image
from so1s.supply_chain.access import RegistryAccess
from so1s.supply_chain.formats import MODEL_BUILD
from tests.builder.signing import new_key, sign
from tests.deployer.conftest import deployment, in_background, workload
from tests.deployer.fraud import figures
from tests.deployer.reconciled import NAMES, Deployer

KEY = new_key()


async def signed(machine, version: str, key=KEY, of: str | None = None) -> Image:
    """An image that the machine can run, signed as that of a version."""
    image = machine.image(version)
    await sign(LayoutImages(machine.layout.root), image, key, of or version)
    return image


def verifier(*keys) -> SignatureVerifier:
    return SignatureVerifier([key.public for key in keys or (KEY,)], RegistryAccess())


@pytest.fixture
def deployer(machine, store):
    """One that requires a signature."""
    deployer = Deployer(machine, store)
    deployer.cluster = VerifiedCluster(deployer.cluster, verifier(), "require")
    deployer.reconciler = deployer.make()
    return deployer


async def request(deployer, image: Image, version: str, **changes) -> None:
    wanted = workload(image, version, **changes)
    await deployer.tell(DeploymentRequested(**NAMES, workload=wanted, requested_by="jiho"), version)


async def test_a_signed_image_is_deployed(deployer, machine):
    async with in_background(deployer.reconciler.lead()):
        await request(deployer, await signed(machine, "1"), "1")
        assert (await deployer.once("DeploymentReady")).version == "1"


async def test_an_unsigned_image_fails_its_deployment_with_the_reason_and_runs_once_it_is_signed(
    deployer, machine
):
    async with in_background(deployer.reconciler.lead()):
        image = machine.image("1")
        await request(deployer, image, "1")
        failed = await deployer.once("DeploymentFailed")
        assert (failed.revision, failed.reason) == (1, "image")
        assert failed.message == f"no signature is attached to {image.digest}"
        assert machine.names() == set()

        await sign(LayoutImages(machine.layout.root), image, KEY, "1")
        deployer.reconciler._resync_at = 0.0  # else in half a minute
        assert (await deployer.once("DeploymentReady")).revision == 1
    assert len(await deployer.said("DeploymentFailed")) == 1


async def test_what_serves_stays_when_the_next_version_is_signed_by_another_key(deployer, machine):
    async with in_background(deployer.reconciler.lead()):
        await request(deployer, await signed(machine, "1"), "1")
        await deployer.once("DeploymentReady")
        await request(deployer, await signed(machine, "2", new_key()), "2")
        failed = await deployer.once("DeploymentFailed")
        assert failed.revision == 2
        assert KEY.public.fingerprint in failed.message
        assert await deployer.versions() == {"1"}


async def test_what_serves_is_kept_as_it_is_while_the_next_version_is_refused(machine):
    """Another hand may have changed it meanwhile."""
    kept = Kept()
    cluster = VerifiedCluster(kept, verifier(), "require")
    serving = deployment(workload(await signed(machine, "1"), "1"))
    await cluster.apply(serving)
    await cluster.observe()
    await cluster.apply(unsigned(machine, 2, serving))
    assert kept.applied == [1, 1]


async def test_a_rollout_is_not_gone_back_on_where_the_next_version_is_refused(machine):
    kept = Kept()
    cluster = VerifiedCluster(kept, verifier(), "require")
    serving = deployment(workload(await signed(machine, "1"), "1"))
    await cluster.apply(serving)
    await cluster.apply(deployment(workload(await signed(machine, "2"), "2"), revision=2))
    await cluster.observe()
    await cluster.apply(unsigned(machine, 3, serving))
    assert kept.applied == [1, 2]


async def test_a_candidate_goes_where_the_next_version_is_refused(machine):
    kept = Kept()
    cluster = VerifiedCluster(kept, verifier(), "require")
    serving = deployment(workload(await signed(machine, "1"), "1"))
    candidate = deployment(workload(await signed(machine, "2"), "2"), revision=2)
    await cluster.apply(replace(serving, candidate=candidate))
    await cluster.observe()
    await cluster.apply(unsigned(machine, 3, serving))
    assert kept.applied == [1, 1]


async def test_what_serves_and_may_not_run_itself_is_not_applied_again(machine):
    kept = Kept()
    cluster = VerifiedCluster(kept, verifier(), "require")
    await cluster.apply(unsigned(machine, 2, unsigned(machine, 1)))
    assert kept.applied == []


async def test_a_deployer_that_leads_again_keeps_what_serves_by_now(machine, store):
    """And not what it let through when it led before."""
    kept = Kept()
    deployer = Deployer(machine, store)
    deployer.cluster = VerifiedCluster(kept, verifier(), "require")
    reconciler = deployer.make()
    await request(deployer, await signed(machine, "1"), "1")
    async with deployer.cluster:
        await reconciler.reconcile()
    await request(deployer, await signed(machine, "2"), "2")
    await kept.apply(deployment(workload(machine.image("2"), "2"), revision=2))  # by the leader in between
    await figures(store, serving_revision=2)
    await request(deployer, machine.image("3"), "3")
    reconciler._applied = {}
    async with deployer.cluster:
        await reconciler.reconcile()
    assert kept.applied == [1, 2, 2]


async def test_what_was_refused_in_an_earlier_leadership_is_no_trouble_until_it_is_refused_again(machine):
    cluster = VerifiedCluster(Kept(), verifier(), "require")
    async with cluster:
        await cluster.apply(unsigned(machine, 1))
        assert (await cluster.observe())[0].trouble
    async with cluster:
        assert await cluster.observe() == []


def unsigned(machine, revision: int, serving: Deployment | None = None) -> Deployment:
    wanted = workload(machine.image(str(revision)), str(revision))
    return replace(deployment(wanted, revision=revision), serving=serving)


class Kept:
    """A cluster that notes which revisions are applied, and shows the last one."""

    def __init__(self):
        self.applied = []
        self.last = None

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def apply(self, deployment):
        self.applied.append(deployment.revision)
        self.last = deployment

    async def observe(self):
        if self.last is None:
            return []
        shown = self.last.candidate or self.last
        figures = {"desired": 1, "updated": 1, "ready": 1, "total": 1, "restarts": 0}
        story = {"candidate": shown is not self.last, "service": "", "url": ""}
        return [Observation("risk", "fraud", shown.revision, **figures, **story)]


async def test_a_candidate_that_is_not_signed_fails_and_what_serves_stays(deployer, machine):
    async with in_background(deployer.reconciler.lead()):
        await request(deployer, await signed(machine, "1"), "1")
        await deployer.once("DeploymentReady")
        await request(deployer, machine.image("2"), "2", requires=["quality"])
        failed = await deployer.once("DeploymentFailed")
        assert (failed.revision, failed.reason) == (2, "image")
        assert await deployer.versions() == {"1"}
        assert machine.versions() == {"1"}


async def test_a_refused_deployment_can_be_removed(deployer, machine):
    await deployer.cluster.__aenter__()
    await deployer.cluster.apply(deployment(workload(machine.image("1"), "1")))
    [seen] = await deployer.cluster.observe()
    assert (seen.revision, seen.total, seen.trouble.reason) == (1, 0, "image")
    await deployer.cluster.remove("risk", "fraud")
    assert await deployer.cluster.observe() == []
    await deployer.cluster.__aexit__(None, None, None)


async def test_a_warning_deployer_says_what_is_not_signed_and_deploys_it(machine, store):
    deployer = Deployer(machine, store)
    deployer.cluster = VerifiedCluster(deployer.cluster, verifier(), "warn")
    deployer.reconciler = deployer.make()
    with capture_logs() as logs:
        async with in_background(deployer.reconciler.lead()):
            await request(deployer, machine.image("1"), "1")
            await deployer.once("DeploymentReady")
    warned = [each for each in logs if each["event"] == "an image is not verified"]
    assert warned[0]["reason"].startswith("no signature")
    assert warned[0]["refused"] is False


async def test_one_versions_image_cannot_be_passed_off_as_anothers(machine):
    image = await signed(machine, "1", of="7")
    refusal = await verifier().refusal(deployment(workload(image, "1")))
    assert refusal.message == (
        "the image is of risk/fraud@7, as its provenance says, and not of risk/fraud@1"
    )
    assert await verifier().refusal(deployment(workload(image, "7"))) is None


async def test_what_an_image_says_of_itself_that_nobody_signed_counts_for_nothing(machine):
    image = await signed(machine, "1", key=None)
    refusal = await verifier().refusal(deployment(workload(image, "1")))
    assert (refusal.reason, refusal.message) == ("unsigned", f"no signature is attached to {image.digest}")


async def test_a_reference_must_name_the_digest_that_the_event_names(machine):
    image = await signed(machine, "1")
    other = image.model_copy(update={"digest": machine.image("2").digest})
    assert (await verifier().refusal(deployment(workload(other, "1")))).reason == "other_image"


async def test_an_image_that_was_accepted_is_not_read_again(machine):
    image, known = await signed(machine, "1"), verifier()
    wanted = deployment(workload(image, "1"))
    assert await known.refusal(wanted) is None
    machine.layout.path(image.digest).unlink()
    assert await known.refusal(wanted) is None
    assert (await verifier().refusal(wanted)).reason == "missing"


async def test_a_registry_that_is_away_puts_a_deployment_off_and_fails_it_not(monkeypatch, machine):
    monkeypatch.setattr("so1s.registry.client._FIRST_PAUSE_SECONDS", 0)
    digest = f"sha256:{'a' * 64}"
    access = RegistryAccess(image_registry="http://127.0.0.1:9/so1s")
    away = SignatureVerifier([KEY.public], access)
    image = Image(reference=f"127.0.0.1:9/so1s/risk/fraud@{digest}", digest=digest, size_bytes=1)
    with pytest.raises(TemporaryError, match="does not answer"):
        await away.refusal(deployment(workload(image, "1")))


def test_provenance_of_another_builder_says_nothing_of_accounts():
    said = {"account": "risk", "model": "fraud", "version": "1"}
    assert mismatch(said, None) is None
    assert mismatch(said, {"buildDefinition": {"buildType": "https://else"}}) is None
    ours = {"buildDefinition": {"buildType": MODEL_BUILD, "externalParameters": said}}
    assert mismatch(said, ours) is None
    assert "other/fraud@1" in mismatch(said | {"account": "other"}, ours)


def test_a_deployer_that_verifies_needs_a_key(tmp_path: Path):
    url = SecretStr("sqlite://")
    with pytest.raises(ValidationError, match="at least one"):
        Settings(database_url=url, verify_images="require")
    assert Settings(database_url=url, verify_images="warn", verify_key_files=[tmp_path / "so1s.pub"])
