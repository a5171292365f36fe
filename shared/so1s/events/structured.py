"""Events as CloudEvents JSON, for archives and HTTP; `so1s.events.codec.unwrap` reads them.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from __future__ import annotations

import json

from so1s.events.envelope import Received


def written(received: Received) -> str:
    """An event with its attributes."""
    attributes = {
        "specversion": "1.0",
        "type": received.event.type,
        "source": received.source,
        "id": received.id,
        "time": received.time.isoformat() if received.time else None,
        "subject": received.event.key,
        "datacontenttype": "application/json",
        "correlationid": received.correlation_id,
        "causationid": received.cause_id,
        "traceparent": received.traceparent,
    }
    said = json.dumps({name: value for name, value in attributes.items() if value})
    return f'{said[:-1]}, "data": {received.event.to_json().decode()}}}'
