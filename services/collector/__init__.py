"""Samples usage and health into events.

Consumes: nothing; its clock, what runs, and the counters of gateways and replicas. On a laptop what runs is
recorded in a directory, and counters are scraped; in a cluster it is watched, and Prometheus tells what
counters were at the end of each window, be it long ago.
Produces: UsageSampled and UsageCorrected by replica and window, with requests as replica `gateway`;
HealthSampled by variant and window; GatewaySampled by window.
Owns: how far each of them was sampled; when the replicas of a cluster began and ended.
Promises: what a replica reserved is exact whatever was down; what was counted is said once, in the window in
which it was read, and `quality` tells where that is not the window in which it happened. A deployment's
requests are counted to the last one, be it removed before anybody asked for them.
"""
