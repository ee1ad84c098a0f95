"""Models of providers: files are heard whole by a service of somebody else, where the operator allows it."""

__all__ = ["workload"]
