"""What a researcher does in a notebook, in one line each: frames in, frozen records out.

    import spinecast
    checked = spinecast.check("cohort.csv")
    trained = spinecast.train(checked, "experiments/001-evidence.toml", out="models/ours")
    spinecast.score({"age": 54, "smoking_status": "current"}, trained)
    spinecast.validate(later, trained)
    spinecast.update(elsewhere, trained, out="models/elsewhere")
    spinecast.promote("models/ours", gate="gate.toml", cohort="later.csv", by="A. Surgeon")

A cohort is a path (CSV, Parquet), a frame with the same columns, or what `check` gave. A model is a
folder, or what `train` or `update` gave. Every record shows itself; nothing is printed.
"""
