"""The registry told to people: list, monograph, dictionary."""
