"""Samples usage and health into events.

Consumes: nothing; its clock, what runs (WORLD), Envoy's counters and the processes' own.
Produces: UsageSampled and UsageCorrected by replica and window, with requests as replica `gateway`;
HealthSampled by variant and window; GatewaySampled by window.
Owns: how far each of them was sampled.
Promises: what a replica reserved is exact whatever was down; what was counted is said once, in the window in
which it was read, and `quality` tells where that is not the window in which it happened.
"""
