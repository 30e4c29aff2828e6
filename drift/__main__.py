"""``python -m drift``."""

from cli.performance import main

if __name__ == "__main__":
    main()
