"""What the machine offers: processors, memory, threads, files, addresses."""

__all__ = ["addresses", "cpus", "database", "files", "memory", "side_process", "torch_device"]
