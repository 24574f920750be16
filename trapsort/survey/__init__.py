"""Survey statistics: pure functions on pandas frames, equal to the R packages that people trust.

`rows` makes the frames; each other module answers one question. Every column is named in the
docstring of the function that returns it. Times are local and true, at whole seconds.
"""
