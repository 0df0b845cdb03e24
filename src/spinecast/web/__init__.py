"""The surgeon's screen: a form, an answer with its reasons, a sheet to print, and the same as JSON.

Pages are made on the server from the registry and the record; nothing is stored. The listing is the
reading order: `questions` and `answering` are the form, `result` and `alternatives` the answer,
`printing` the sheet, `contract` and `problems` the interface for programs, `words` the strings.
`current` is the model in use, `audit` notes its uses; `pages` (with `desk`) and `interface` answer
requests, `app` says which; `gate` says who may ask, `guard` and `patience` stand before them, and
`serving` starts it all.
"""
