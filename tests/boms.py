"""What CycloneDX's own schema says of a bill of materials."""

import json
from typing import Any


def problem_of(document: dict[str, Any]) -> object:
    """Why it is no CycloneDX 1.6, or None."""
    # Two seconds, for the grammars of its formats, which a process that asks for none need not wait.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document))
