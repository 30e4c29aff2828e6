"""Was the night unusual, did it hurt, what follows: verdicts, performance, decisions, reports."""
