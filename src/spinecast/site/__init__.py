"""A hospital's own file in our columns: its names, words and units, as `site.toml` declares them.

`declaration` reads site.toml, `reading` the file, `mapping` puts the one to the other; `drafting`
makes a first site.toml from the file itself and leaves open what only a person can decide.
"""
