"""What the machine offers: processors, memory, threads, files, addresses."""

__all__ = ["addresses", "cpus", "database", "device", "files", "memory", "side_process"]
