"""Which model is in use, and why: a gate declared beforehand, promotion, and a history that grows.

`gate` and `golden` read what is asked; `dossier` and `laws` gather what is known of a candidate;
`ruling` holds one against the other. `history` is the hash chain of all promotions, `current` its
last line in short, `promoting` the journey that writes both, `mirror` what MLflow is told of it.
`telling` has the words.
"""
