"""The demo's steps, in their order; each verifies what it shows."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import psutil
from rich.text import Text

import so1s
from so1s_local.demo.load import Load, Tally, binomial_bounds
from so1s_local.demo.stage import Stage, table
from so1s_local.output import Logs
from so1s_local.slack_terminal import render
from so1s_local.supervisor import Supervisor
from so1s_local.units import Plan

if TYPE_CHECKING:
    from so1s_local.demo.models import Trained

ENDPOINT = "tumour"
SPLITS = [
    {"tumour": 90, "tumour-forest": 10},
    {"tumour": 50, "tumour-forest": 30, "tumour-boosted": 20},
]
REQUESTS = 2000
"""Of each split: enough to tell 90:10 from 87:13."""
ACCOUNTS = ["clinic", "winery"]
_ALERTS = [{"availability_below": 0.9, "for_seconds": 0}]
_SERVE_SECONDS = 120
_INCIDENT_SECONDS = 60


FindReplica = Callable[[str], psutil.Process]
"""Finds the process of a deployment's replica."""


class Story:
    """What the steps share."""

    def __init__(
        self, plan: Plan, stage: Stage, find_replica: FindReplica, training: asyncio.Task[list[Trained]]
    ) -> None:
        self.platform = plan.platform()
        self.stage = stage
        self._training = training
        self.trained: list[Trained] = []
        self.urls: dict[str, str] = {}
        self._plan = plan
        self._client = plan.client()
        self._find_replica = find_replica
        self._http = httpx.AsyncClient(trust_env=False, timeout=30)

    async def tell(self) -> None:
        """Every step."""
        await self.publish()
        await self.compare()
        await self.split()
        await self.incident()
        await self.bill()
        await self.explain()
        await self._http.aclose()

    async def publish(self) -> None:
        """Train models and publish them, as a pipeline would."""
        with self.stage.step("Train four models on real data, upload them, publish ModelUploaded"):
            self.trained = await self._training
            first, *others = self.trained
            await self._publish(first, show_steps=True)
            await asyncio.gather(*(self._publish(each, show_steps=False) for each in others))

    async def compare(self) -> None:
        """Hold predictions over HTTP against the library's own, row by row."""
        with self.stage.step("Predict over HTTP, and compare with what the library itself says, row by row"):
            for account in ACCOUNTS:
                trained = next(each for each in self.trained if each.account == account)
                answer = await self._predict(trained)
                wanted = trained.predict(trained.rows)
                url = self.urls[trained.name]
                same = answer == wanted
                self.stage.check(same, f"{url}/predict: {len(wanted)} of {len(wanted)} rows equal")

    async def split(self) -> None:
        """Split an endpoint's traffic while a load runs."""
        with self.stage.step(f"Split one endpoint's traffic under load, {REQUESTS} requests a split"):
            async with self._load() as load:
                for weights in SPLITS:
                    await self._set_weights(weights)
                    self._check_split(weights, await load.answered(REQUESTS))
            self.stage.check(load.failed == 0, f"0 of {load.requests} requests failed, changes included")

    async def incident(self) -> None:
        """Break a variant; see Slack told of it, and of its recovery."""
        with self.stage.step("Break a variant: availability falls, Slack hears of it, it recovers by itself"):
            await self._set_weights({"tumour-forest": 100, "tumour": 0})
            async with self._load(clients=2):
                process = await asyncio.to_thread(self._find_replica, "tumour-forest")
                process.suspend()
                self.stage.fact(f"stopped the replica's process, {process.pid}, as a hang would")
                opened = await self._message(resolved=False)
                self.stage.show(render(opened))
                resolved = await self._message(resolved=True)
                self.stage.show(render(resolved))
            self.stage.check(
                opened["ts"] == resolved["ts"], "the same message, edited; its thread has the history"
            )

    async def bill(self) -> None:
        """Hold each bill against its recomputation from the archive."""
        with self.stage.step("Bill each account; recompute the bill from the archived events"):
            for account in ACCOUNTS:
                await self._so1s("bill", "--by", "model,resource", account=account)
                await self._check_bill(account)

    async def explain(self) -> None:
        """Show the chain of a model, from its upload to its charge."""
        with self.stage.step("Explain a model, from its upload to its charge"):
            await self._so1s("explain", "tumour@1")

    async def _publish(self, trained: Trained, *, show_steps: bool) -> None:
        published = await asyncio.to_thread(
            so1s.publish_model,
            trained.name,
            trained.path,
            version="1",
            account=trained.account,
            uploaded_by="pipeline:demo",
            evaluation={"accuracy": trained.accuracy},
            deploy={"endpoint": ENDPOINT} if trained.account == "clinic" else {},
            alerts=_ALERTS,
            settings=self._client,
        )
        steps: list[so1s.Step] = []
        serving = await published.until_serving(_SERVE_SECONDS, on_step=steps.append)
        self.urls[trained.name] = serving.url or ""
        if show_steps:
            self._show_steps(steps)
            await self._first_prediction(trained)
        else:
            self.stage.fact(f"{published.name} {trained.kind} serves after {steps[-1].seconds:.1f} s")

    def _show_steps(self, steps: list[so1s.Step]) -> None:
        for step in steps:
            self.stage.fact(f"{step.name:<10} {step.detail:<50.50} {step.seconds:>5.1f} s")

    async def _first_prediction(self, trained: Trained) -> None:
        began = time.monotonic()
        await self._predict(trained, rows=1)
        self.stage.fact(f"{'predicted':<10} {'the first answer':<50} {time.monotonic() - began:>+5.1f} s")

    async def _predict(self, trained: Trained, rows: int | None = None) -> list[int]:
        answer = await self._http.post(
            f"{self.platform.gateway}/predict",
            json={"x": trained.rows[:rows].tolist()},
            headers={"host": urlsplit(self.urls[trained.name]).netloc},
        )
        return answer.raise_for_status().json()["label"]

    def _load(self, clients: int = 6) -> Load:
        body = {"x": self.trained[0].rows[:1].tolist()}
        return Load(self.urls[ENDPOINT], self.platform.gateway, body, clients=clients)

    async def _set_weights(self, weights: dict[str, int]) -> None:
        said = [f"{variant}={weight}" for variant, weight in weights.items()]
        await self._so1s("weights", "set", ENDPOINT, *said, "--reason", "demo")

    def _check_split(self, weights: dict[str, int], tally: Tally) -> None:
        total = sum(weights.values())
        shown = table("variant", "weight>", "answered>", "share>", "within>")
        for variant, weight in weights.items():
            low, high = binomial_bounds(tally.requests, weight / total)
            count = tally.by_variant[variant]
            shown.add_row(variant, f"{weight}", f"{count}", f"{count / tally.requests:.1%}", f"{low}…{high}")
            if not low <= count <= high:
                self.stage.check(
                    holds=False, text=f"{variant} answered {count}, outside {low}…{high}: {tally}"
                )
        self.stage.show(shown)

    async def _message(self, *, resolved: bool) -> dict[str, Any]:
        async with asyncio.timeout(_INCIDENT_SECONDS):
            while True:
                shown = (await self._http.get(f"{self.platform.slack}/messages.json")).json()
                for message in shown["messages"]:
                    if ("resolved" in message["text"].lower()) == resolved and "tumour-forest" in message[
                        "text"
                    ]:
                        return message
                await asyncio.sleep(0.1)

    async def _check_bill(self, account: str) -> None:
        url = f"{self.platform.services['billing']}/v1/bills/{account}"
        recomputed = (await self._http.get(f"{url}/recomputed")).raise_for_status().json()
        same = recomputed["equal"]
        self.stage.check(same, f"{account}: the ledger and the archive agree to the last nano-dollar")

    async def _so1s(self, *words: str, account: str = "clinic") -> None:
        """Run the command line, as a person would, and show what it says."""
        arguments = [*words, "--account", account]
        self.stage.say(f"[dim]$ so1s {' '.join(arguments)}[/]")
        child = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("so1s")),
            *arguments,
            cwd=self._plan.state_dir.parent,
            env=os.environ | {"FORCE_COLOR": "1", "COLUMNS": str(self.stage.console.width - 2)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await child.communicate()
        self.stage.show(Text.from_ansi(printed.decode().rstrip()))
        if child.returncode:
            self.stage.check(holds=False, text=f"the command ended with {child.returncode}")


async def tell(plan: Plan, stage: Stage, start: str, find_replica: FindReplica) -> None:
    """Start a platform, tell the story on it, and stop it.

    Args:
        plan: of the platform; its state is cleared before.
        stage: to tell it on.
        start: the title of the first step.
        find_replica: finds the process of a deployment's replica.
    """
    supervisor = Supervisor(plan, output=Logs(plan.log_dir).write, progress=stage.started)
    await supervisor.clear()
    training = asyncio.create_task(asyncio.to_thread(_train, plan.state_dir / "pipeline"))
    try:
        with stage.step(start):
            await supervisor.__aenter__()
        try:
            await Story(plan, stage, find_replica, training).tell()
        finally:
            await supervisor.stop()
    finally:
        training.cancel()
        await asyncio.gather(training, return_exceptions=True)


def _train(directory: Path) -> list[Trained]:
    """Fit the models while the platform starts; the libraries alone take two seconds."""
    from so1s_local.demo.models import train

    return train(directory)


def replica_process(plan: Plan, deployment: str) -> psutil.Process:
    """The process of a replica on this machine.

    Raises:
        LookupError: there is none.
    """
    for path in sorted((plan.world_dir / "replicas").glob("*.json")):
        replica = json.loads(path.read_text())
        if replica["deployment"] == deployment and not replica["ended_at"]:
            return psutil.Process(replica["pid"])
    raise LookupError(f"no replica of {deployment}")


def state_of(root: Path) -> Path:
    """Where the demo keeps its state, apart from the platform that `make up` runs."""
    return root / "demo" / ".so1s"
