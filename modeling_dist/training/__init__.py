"""Training: settings, optimization, checkpoints, and the loop."""

from ..lazy_exports import lazy_exports


__getattr__, __dir__, __all__ = lazy_exports(
    __name__, {"loop": ("TrainingResult", "train"), "settings": ("TrainingSettings",)}
)
