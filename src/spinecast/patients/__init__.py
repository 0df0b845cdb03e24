"""One patient's answers as they come: files read, answers coded, faults collected."""
