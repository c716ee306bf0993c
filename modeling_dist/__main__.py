"""`python -m modeling_dist`, which is the command `modeling-dist`."""

from .commands.main import main


main()
