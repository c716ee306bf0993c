"""The command `modeling-dist`: each module reads the options of one subcommand and calls one function of the package."""
