"""Parts of the output formats."""
