"""One night: extract, score, publish; scored again; two runs compared."""
