"""Predictions over several views of a video, metrics, reports and plots."""

from ..lazy_exports import lazy_exports


__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "file_predictions": ("predict_files",),
        "metrics": ("classification_metrics", "confusion_matrix", "top_k_accuracy"),
        "plots": ("plot_confusion_matrix", "plot_per_class_accuracy", "plot_training_curves"),
        "prediction": ("Predictions", "predict_videos", "predict_views"),
        "report": ("compute_metrics", "describe_protocol", "write_metrics", "write_predictions", "write_report"),
        "run": ("EvaluationResult", "evaluate"),
        "settings": ("EvaluationSettings", "PredictionSettings"),
    },
)
