"""Prometheus scrapes what it is told to."""

import httpx


async def test_a_target_is_scraped_within_seconds_of_being_named(prometheus, eventually):
    prometheus.scrape("itself", prometheus.url.removeprefix("http://"), labels={"team": "lab"})
    async with httpx.AsyncClient(base_url=prometheus.url) as client:

        async def scraped() -> bool:
            answer = await client.get("/api/v1/query", params={"query": 'up{job="itself",team="lab"}'})
            return [each["value"][1] for each in answer.json()["data"]["result"]] == ["1"]

        await eventually(scraped)
