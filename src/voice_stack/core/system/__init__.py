"""What the machine offers: processors, memory, threads, files, addresses."""

__all__ = ["addresses", "breaker", "cpus", "database", "device", "files", "memory", "objects", "side_process"]
