"""Did it hurt: published predictions against the outcomes that came later."""
