"""Pictures, one family a file. Each function returns a matplotlib ``Figure`` and touches no global state."""
