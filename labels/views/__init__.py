"""Pages of labels: what the public sees when it scans, and the producer's runs of codes."""
