"""Lets pipelines publish and follow events over HTTP, with a token of their account.

Consumes: what tells a chain's progress and end, from ModelUploaded to EndpointRemoved; what tells of replicas
and incidents.
Produces: what a token's scopes let it say, as it was said, under a source that names the account; and
`ModelUploaded` for what is dropped into a watched bucket.
Owns: tokens, the audit of who did what, the recent events of each account's chains, and how accounts stand by
what events tell.
Promises: an accepted event is recorded before it is answered, and reaches Kafka however long Kafka is
away; one that is sent again takes effect once; nobody says or sees anything of another account; a
token's secret is kept nowhere.
"""
