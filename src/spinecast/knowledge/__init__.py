"""The registry as records: what is known of every factor, checked when it is loaded."""
