"""Watches health and tells Slack.

Consumes `HealthSampled`, `GatewaySampled`, `BuildFailed`, `DeploymentFailed`, `RoutesDegraded` and
`RoutesRejected` (the bad news), `ImageBuilt`, `DeploymentReady`, `RoutesApplied`, `DeploymentRemoved` and
`EndpointRemoved` (what ends it; `DeploymentReady` brings the author's `alerts:` too).
Produces `IncidentOpened` and `IncidentResolved`.
Owns rules, incidents and their history.
Promises that each problem is one incident, and each incident one Slack message: edited as the
problem goes on, with its history in the thread, whatever crashes, repeats or is away.
"""
