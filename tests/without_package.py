"""What code starts with that is to run as where the package is not installed, whether or not it is where the tests run."""

HIDE_PACKAGE = """
import sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "modeling_dist":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Hide())
"""
