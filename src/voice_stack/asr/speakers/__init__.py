"""Who speaks when: engines that tell voices apart, the process they run in, and people who are known."""

__all__ = ["base", "follower", "labels", "people", "workload"]
