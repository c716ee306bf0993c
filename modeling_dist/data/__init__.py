"""From videos on a disk or on the Hub to batches for the model."""

from ..lazy_exports import lazy_exports


__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "augmentation": ("BatchMixing", "ClipAugmentation", "parse_label_pairs"),
        "folders": ("find_videos",),
        "labels": ("class_name_in_words", "read_class_names"),
        "loading": ("EvaluationViews", "TrainingClips", "collate_clips", "collate_views"),
        "motion_dataset": ("make_motion_dataset",),
        "official_splits": ("load_official_splits",),
        "rows": ("hash_videos", "video_name", "video_source", "write_video_list"),
        "samplers": ("EvaluationBatchSampler", "TrainingBatchSampler", "seed_from"),
        "scanning": ("ScanReport", "VideoProblem", "scan", "scan_videos", "write_problems"),
        "settings": ("DatasetSettings", "MotionSettings", "ReadingSettings", "ScanSettings"),
        "sources": ("load_train_and_validation", "load_videos"),
        "workers": ("VideoLoader", "VideoWatch"),
    },
)
