"""The report of a training, and the lists a journal or a regulator asks for."""
