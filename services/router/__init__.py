"""Routes the traffic of endpoints to their variants.

Consumes: DeploymentRequested, DeploymentReady, DeploymentRetiring, CheckFinished, WeightsChanged,
EndpointRemovalRequested.
Produces: RoutesApplied, RoutesRejected, RoutesDegraded, VariantReleased, VariantInUse, EndpointRemoved.
Owns: endpoints: their hosts, variants, weights and the revisions of their routes.
Promises: a route is announced only once every gateway answers with its revision; until then, and
through any crash, the gateways serve the route before it. Then every chain that changed it, or found
it as it wanted it, is told. What does not come about is refused, with what is allowed. A deployment
that is to go leaves as soon as no traffic depends on it, and the last one takes its endpoint along.
"""
