"""What passes between this house and others: own registries, REDCap, JSON Schema, first looks."""
