"""``python -m scoring``."""

from cli.publications import main

if __name__ == "__main__":
    main()
