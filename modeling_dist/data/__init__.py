"""From videos on a disk or on the Hub to batches for the model."""

from ..lazy_exports import lazy_exports


__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "settings": ("DatasetSettings", "MotionSettings", "ScanSettings"),
        "sources": ("load_train_and_validation", "load_videos"),
    },
)
