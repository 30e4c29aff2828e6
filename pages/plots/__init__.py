"""Where the lines, marks and cells of a plot stand; templates draw them."""
