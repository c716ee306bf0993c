"""Publishing on the Hub: what a repository holds, the commit, and the model card."""

from .publishing import AUTO_MAP, CODE_FILES, PIPELINE_FILES, export_code, publish
