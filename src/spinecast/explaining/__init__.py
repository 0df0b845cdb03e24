"""The surgeon's door: a model folder read, a patient scored, and why."""
