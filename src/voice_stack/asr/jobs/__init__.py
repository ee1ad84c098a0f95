"""Background jobs: kept on disk, worked on, told about."""
