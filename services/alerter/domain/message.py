"""An incident as Slack shows it.

Format: https://docs.slack.dev/reference/block-kit/blocks. The facts stand in an attachment, since
only an attachment has a coloured bar; the headline stands above it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.alerter.domain.incident import Finding, Incident, excerpt, lasted, mrkdwn

_MARKS = {"warning": "🟠", "critical": "🔴"}
_COLOURS = {"warning": "#e8912d", "critical": "#e01e5a"}
_MARKS_AFTER = {"resolved": "✅", "closed": "⚪"}
_COLOURS_AFTER = {"resolved": "#2eb67d", "closed": "#9a9a9a"}
_LONGEST_HEADLINE = 150
"""Characters that a header block holds."""

Block = dict[str, Any]


@dataclass(frozen=True)
class Message:
    """What `chat.postMessage` and `chat.update` take."""

    text: str
    """What a notification says, and what is shown where blocks cannot be."""
    blocks: list[Block]
    attachments: list[Block]


def render(incident: Incident) -> Message:
    """Say how an incident stands."""
    finding = incident.finding
    headline = _headline(incident)
    facts = [_section(_where(incident)), _fields(_facts(incident)), *_advice(incident), _footer(finding)]
    return Message(
        text=f"{headline} ({finding.subject.text}, account {finding.subject.account})",
        blocks=[{"type": "header", "text": {"type": "plain_text", "text": headline, "emoji": True}}],
        attachments=[{"color": _colour(incident), "fallback": headline, "blocks": facts}],
    )


def _headline(incident: Incident) -> str:
    finding = incident.finding
    if incident.resolved_at is None:
        return f"{_MARKS[finding.severity]} {finding.headline}"[:_LONGEST_HEADLINE]
    outcome = incident.outcome
    time = lasted(finding.began_at, incident.resolved_at)
    return f"{_MARKS_AFTER[outcome]} {finding.subject.name}: {outcome} after {time}"


def _colour(incident: Incident) -> str:
    if incident.resolved_at is None:
        return _COLOURS[incident.finding.severity]
    return _COLOURS_AFTER[incident.outcome]


def _where(incident: Incident) -> str:
    subject = incident.finding.subject
    names = [("account", subject.account), *subject.names]
    where = "  ·  ".join(f"{kind} *{name}*" for kind, name in names)
    return where if incident.resolved_at is None else f"~{mrkdwn(incident.finding.headline)}~\n{where}"


def _facts(incident: Incident) -> dict[str, str]:
    finding = incident.finding
    began = _date(finding.began_at)
    if incident.resolved_at is None:
        facts = {"Observed": excerpt(finding.observed), "Allowed": excerpt(finding.allowed), "Since": began}
        return {name: text for name, text in facts.items() if text}
    return {
        "Observed": excerpt(finding.observed),
        "Now": excerpt(incident.resolution),
        "Since": began,
        "Until": _date(incident.resolved_at),
    }


def _advice(incident: Incident) -> list[Block]:
    if incident.resolved_at is not None:
        return []
    return [_section(f"Look closer:  `{incident.finding.hint}`")]


def _footer(finding: Finding) -> Block:
    text = f"{finding.severity}  ·  rule {finding.rule}"
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}


def _section(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _fields(facts: dict[str, str]) -> Block:
    fields = [{"type": "mrkdwn", "text": f"*{name}*\n{text}"} for name, text in facts.items()]
    return {"type": "section", "fields": fields}


def _date(at: datetime) -> str:
    """Slack writes it in the reader's own time zone."""
    fallback = f"{at:%Y-%m-%d %H:%M:%S} UTC"
    return f"<!date^{int(at.timestamp())}^{{date_short_pretty}}, {{time_secs}}|{fallback}>"
