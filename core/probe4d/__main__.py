"""`python -m probe4d` is `probe4d`."""

from probe4d.cli import main

if __name__ == "__main__":
    main()
