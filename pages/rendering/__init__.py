"""Content in, HTML out: templates, how numbers are written, what a browser may do with a page."""
