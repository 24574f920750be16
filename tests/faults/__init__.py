"""The fault harness: what is fed while trapsort is killed ends up recorded exactly once.

`python -m tests.faults` runs it whole; see `kills`, `sweep` and `broken`.
"""
