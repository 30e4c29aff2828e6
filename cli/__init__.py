"""Commands that score nights and then watch them: above ``scoring`` and ``drift``, which they call one after the other."""
