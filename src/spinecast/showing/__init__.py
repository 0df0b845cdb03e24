"""An assessment in words: for a terminal, a page, a sheet of paper."""
