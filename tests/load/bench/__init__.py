"""The benchmarks: what So1s takes, beside what the same work takes without it.

Each figure has a peer: another way to do the same, or a limit of the machine, measured in the same run.
Runs of both take turns (A B A B), so that what disturbs the machine disturbs both, and medians are
compared. Nothing here asserts a time: on a shared machine the ratios are what can be read.
"""
