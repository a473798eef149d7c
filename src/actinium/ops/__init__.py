"""Operating a running system: the page of metrics."""
