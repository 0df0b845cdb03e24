"""Training on more patients than cross-validation is for: sums over shards, and patients apart."""
