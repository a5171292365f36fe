#!/usr/bin/env python3
"""Write what is generated from the code.

Golden schemas; docs/events.md, asyncapi.json and settings.md; so1s-yaml.md and the schema of that file; the
names of settings in the chart's schema.

Refuses a breaking change of an event; `--accept-breaking` is for events that nobody uses yet.
"""

from __future__ import annotations

import ast
import json
import sys
from importlib import import_module
from pathlib import Path

from so1s.contracts import modelfile
from so1s.contracts.asyncapi import Service, document
from so1s.contracts.examples import EXAMPLES
from so1s.contracts.golden import breaking, changes, text, write
from so1s.contracts.reference import reference
from so1s.contracts.settings import named, settings

ROOT = Path(__file__).parents[1]
SCHEMAS = ROOT / "tests/contracts/schemas"
INTRODUCTION = """\
# Events

Everything that happens in So1s is an event on a Kafka topic. This page is generated from the classes in
`so1s.events`; [asyncapi.json](asyncapi.json) says the same to machines.

Events are [CloudEvents 1.0](https://cloudevents.io) in binary mode: the data is JSON in the record's value,
and these headers say what surrounds it. Structured mode is read too.

| header | meaning |
| --- | --- |
| `ce_specversion` | `1.0` |
| `ce_type` | the event's type |
| `ce_id` | unique within the source; a repetition has it again, and is handled once |
| `ce_source` | the producer, such as `airflow/risk_daily` |
| `ce_time` | when it happened, with a time zone |
| `ce_subject` | the record's key |
| `ce_causationid` | the id of the event that this one answers |
| `ce_correlationid` | the id of the first event of the chain |
| `ce_traceparent` | [W3C trace context](https://www.w3.org/TR/trace-context/) |

The first four must be there. The data is at most 512 KiB. Consumers ignore fields that they do not know and
refuse values that break a rule: those go to the dead letters, with the reason.
"""


def main() -> int:
    """Write all; 1 where a change breaks a contract."""
    sys.path.insert(0, str(ROOT))
    services = [service(path.parent) for path in sorted((ROOT / "services").glob("*/app.py"))]
    events = list(EXAMPLES)
    broken = breaking(changes(SCHEMAS, events))
    if broken and "--accept-breaking" not in sys.argv:
        print(*broken, "→ declare a class with the next version", sep="\n", file=sys.stderr)  # noqa: T201 - a script
        return 1
    write(SCHEMAS, events)
    page = f"{INTRODUCTION}\n{reference(events, EXAMPLES, services)}"
    (ROOT / "docs/events.md").write_text(page)
    (ROOT / "docs/asyncapi.json").write_text(text(document(events, EXAMPLES, services)))
    names = [each.name for each in services]
    (ROOT / "docs/settings.md").write_text(settings(names))
    (ROOT / "docs/so1s-yaml.md").write_text(modelfile.page())
    (ROOT / "docs/schemas/so1s.yaml.json").write_text(text(modelfile.schema()))
    values = ROOT / "deploy/chart/values.schema.json"
    values.write_text(json.dumps(named(json.loads(values.read_text()), names), indent=2) + "\n")
    return 0


def service(directory: Path) -> Service:
    """What a service takes, as its consumer says, and says, as its code constructs events."""
    name = directory.name
    handlers = import_module(f"services.{name}.handlers") if (directory / "handlers.py").exists() else None
    said = {called for path in directory.rglob("*.py") for called in constructed(path)}
    return Service(
        name,
        consumes=[each.event_class for each in handlers.consumer.subscriptions] if handlers else [],
        produces=[event for event in EXAMPLES if event.__name__ in said],
    )


def constructed(path: Path) -> set[str]:
    """The names that a module calls."""
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return {call.id for call in calls if isinstance(call, ast.Name)}


if __name__ == "__main__":
    raise SystemExit(main())
