"""What the router decides, on values alone: no I/O, no clock.

An endpoint has variants, one for each deployment that ever asked for it:

    requested ──ready──► attached ◄──weights──► detached
                            │                      │
                            └─────► retiring ──────┴──► released

- `requested`: asked for and never ready. Weights that name it wait.
- `attached`: on the route, at any weight; at weight 0 until every check that it requires passed.
- `detached`: ready, and off the route because a whole set of weights did not name it.
- `retiring`: taken off the route, until every gateway has the route without it.
- `released`: its deployment may go; remembered so that late events about it are known as stale.

A new revision of an attached variant is on the route already, since its replicas were rolled in
place: it keeps its weight. That none of them takes traffic before its checks passed is the
deployer's part: until then the revision is a candidate, of which the router takes no notice. So
weight 0 holds back only what never served.

A detached variant joins again when its deployment serves another version; a mere change of size
or settings leaves it where a person put it, and who waits for its route is told so.
"""
