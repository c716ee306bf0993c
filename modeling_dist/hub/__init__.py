"""Publishing on the Hub: the files of a repository, the commit, and the model card."""

from ..lazy_exports import lazy_exports


__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "card": ("is_generated_card", "make_model_card"),
        "publishing": ("AUTO_MAP", "CODE_FILES", "PIPELINE_FILES", "export_code", "publish"),
    },
)
