"""Archives: thousands of recordings to texts, on an engine of our own, on servers, on a cluster; done once each."""

__all__ = ["heard", "making", "manifest", "on_ray", "outputs", "report", "sources", "transcribers", "work"]
