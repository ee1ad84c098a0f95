"""HTTP routes of the ASR server."""
