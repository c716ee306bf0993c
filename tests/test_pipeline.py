"""The stock pipeline of transformers, with this package and with remote code."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoModelForVideoClassification,
    AutoProcessor,
    AutoVideoProcessor,
    VivitConfig,
    VivitForVideoClassification,
    VivitImageProcessor,
    pipeline,
)
from transformers.dynamic_module_utils import get_relative_import_files
from without_package import HIDE_PACKAGE

from modeling_dist import DiSTConfig, DiSTVideoProcessor, VideoDecodingError
from modeling_dist.hub import AUTO_MAP, CODE_FILES, PIPELINE_FILES, export_code


ROOT = Path(__file__).parent.parent


def run_python(code, folder, **environment):
    """Run code in a new process, outside of this repository."""
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env={**inherited, **environment}, capture_output=True, text=True
    )


def test_pipeline_classifies_a_video_file_and_logs_nothing(tiny_dist, video, log):
    classifier = pipeline("video-classification", model=tiny_dist)
    predictions = classifier(video)
    assert sorted(p["label"] for p in predictions) == ["abseiling", "air drumming", "archery"]
    assert sum(p["score"] for p in predictions) == pytest.approx(1)
    assert [record.getMessage() for record in log.records if record.levelname not in ("INFO", "DEBUG")] == []

    inputs = AutoVideoProcessor.from_pretrained(tiny_dist)(video, return_tensors="pt")
    probabilities = AutoModelForVideoClassification.from_pretrained(tiny_dist)(**inputs).logits[0].softmax(-1)
    assert predictions[0]["score"] == pytest.approx(probabilities.max().item(), rel=1e-4)


def test_pipeline_takes_several_short_videos_in_batches(tiny_dist, video, short_video):
    classifier = pipeline("video-classification", model=tiny_dist)
    videos = [video, short_video, video, short_video, video]
    one_by_one = classifier(videos, top_k=2)
    batched = classifier(videos, top_k=2, batch_size=2)
    assert [len(predictions) for predictions in batched] == 5 * [2]
    for alone, in_batch in zip(one_by_one, batched, strict=True):
        assert [p["label"] for p in alone] == [p["label"] for p in in_batch]
        assert [p["score"] for p in alone] == pytest.approx([p["score"] for p in in_batch], rel=1e-3)


def test_pipeline_averages_the_views_that_the_processor_makes(tiny_dist, video):
    model = AutoModelForVideoClassification.from_pretrained(tiny_dist)
    processor = DiSTVideoProcessor(num_frames=8, size=32, crop_size=32, num_clips=2, num_crops=3)
    image_processor = AutoImageProcessor.from_pretrained(tiny_dist)
    classifier = pipeline(
        "video-classification", model=model, video_processor=processor, image_processor=image_processor
    )
    alone, in_batch = classifier(video), classifier([video, video], batch_size=2)[1]
    views = processor(video, return_tensors="pt")["pixel_values_videos"]
    assert views.shape == (1, 6, 8, 3, 32, 32)
    expected = model(views[0]).logits.softmax(-1).mean(0).max().item()
    assert alone[0]["score"] == pytest.approx(expected, rel=1e-4)
    assert in_batch[0]["score"] == pytest.approx(expected, rel=1e-3)


def test_pipeline_takes_options_of_the_processor_per_call(tiny_dist, video):
    classifier = pipeline("video-classification", model=tiny_dist, num_clips=2)
    model, processor = classifier.model, classifier.video_processor
    for options in ({}, {"num_clips": 3, "num_crops": 3}, {"frame_sampling": "dense", "frame_step": 1}):
        views = processor(video, return_tensors="pt", **{"num_clips": 2, **options})["pixel_values_videos"][0]
        expected = model(views).logits.softmax(-1).mean(0)
        predictions = {p["label"]: p["score"] for p in classifier(video, **options)}
        assert list(predictions.values()) == sorted(predictions.values(), reverse=True)
        for label, score in enumerate(expected.tolist()):
            assert predictions[model.config.id2label[label]] == pytest.approx(score, rel=1e-4)
    alone = classifier(video, num_clips=3, num_crops=3)
    in_batch = classifier([video, video], num_clips=3, num_crops=3, batch_size=2)[1]
    assert [p["score"] for p in in_batch] == pytest.approx([p["score"] for p in alone], rel=1e-3)
    with pytest.raises(ValueError, match="`num_crops` must be 1 or 3, got 2"):
        classifier(video, num_crops=2)
    with pytest.raises(TypeError, match="num_clip"):
        classifier(video, num_clip=3)


def test_pipeline_takes_videos_in_the_forms_that_the_processor_takes(tiny_dist, video):
    classifier = pipeline("video-classification", model=tiny_dist)
    expected = classifier(video)
    content = Path(video).read_bytes()
    for form in (Path(video), content, {"path": "unknown", "bytes": content}, {"path": video, "bytes": None}):
        assert classifier(form) == expected
        assert classifier([form, video], batch_size=2)[0][0]["score"] == pytest.approx(expected[0]["score"], rel=1e-3)
    with pytest.raises(VideoDecodingError, match="limit"):
        classifier(video, limits={"num_frames": 10})


def test_pipeline_of_other_models_is_as_it_was(video):
    config = VivitConfig(image_size=32, num_frames=2, hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    config.tubelet_size = [2, 16, 16]
    model = VivitForVideoClassification(config)
    processor = VivitImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    classifier = pipeline("video-classification", model=model, image_processor=processor)
    assert len(classifier(video, num_frames=2, frame_sampling_rate=2)) == 2
    with pytest.raises(ValueError, match="num_clips: these options need a model with a video processor"):
        classifier(video, num_clips=3)


def test_auto_processor_is_the_video_processor(tiny_dist):
    processor = AutoProcessor.from_pretrained(tiny_dist, num_clips=3)
    assert type(processor) is DiSTVideoProcessor
    assert (processor.num_frames, processor.num_clips) == (8, 3)


def test_pipeline_in_bfloat16(tiny_dist, video):
    predictions = pipeline("video-classification", model=tiny_dist, dtype=torch.bfloat16)(video)
    assert sum(p["score"] for p in predictions) == pytest.approx(1, abs=1e-3)


def test_unreadable_video_is_named(tiny_dist, tmp_path):
    classifier = pipeline("video-classification", model=tiny_dist)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"this is no video" * 100)
    with pytest.raises(VideoDecodingError, match=str(broken)):
        classifier(str(broken))


REMOTE = """
import torch
from transformers import (
    AutoConfig, AutoModel, AutoModelForVideoClassification, AutoProcessor, AutoVideoProcessor, pipeline
)

folder, video, short_video, resaved = {arguments!r}
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
classifier = AutoModelForVideoClassification.from_pretrained(folder, trust_remote_code=True)
assert type(model).__name__ == "DiSTModel" and type(classifier).__name__ == "DiSTForVideoClassification"
assert model.count_parameters() == classifier.count_parameters()
assert not any(p.requires_grad for p in model.spatial_encoder.parameters())
processor = AutoVideoProcessor.from_pretrained(folder, trust_remote_code=True)
logits = classifier(**processor(video, return_tensors="pt")).logits
pipe = pipeline("video-classification", model=folder, trust_remote_code=True)
predictions = pipe([video, short_video, video], batch_size=2, top_k=1)
assert len(predictions) == 3
assert abs(predictions[0][0]["score"] - logits[0].softmax(-1).max().item()) < 1e-4
views = AutoProcessor.from_pretrained(folder, trust_remote_code=True)(video, num_clips=3, return_tensors="pt")
score = classifier(**views).logits[0].exp().max().item()
assert abs(pipe(video, num_clips=3)[0]["score"] - score) < 1e-4
classifier.save_pretrained(resaved)
processor.save_pretrained(resaved)
again = AutoModelForVideoClassification.from_pretrained(resaved, trust_remote_code=True)
assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), classifier.state_dict().values(), strict=True))
AutoVideoProcessor.from_pretrained(resaved, trust_remote_code=True)
AutoProcessor.from_pretrained(resaved, trust_remote_code=True)
print("classified", predictions[0][0]["label"])
"""


def assert_works_without_the_package(folder, video, short_video, tmp_path):
    code = HIDE_PACKAGE + REMOTE.format(arguments=(str(folder), video, short_video, str(tmp_path / "resaved")))
    result = run_python(code, tmp_path, HF_HOME=str(tmp_path / "home"), HF_HUB_OFFLINE="1")
    assert result.returncode == 0 and "classified" in result.stdout, result.stderr
    assert "Error" not in result.stderr
    assert "newly initialized" not in result.stderr


def test_exported_code_works_without_the_package(standalone, video, short_video, tmp_path):
    assert_works_without_the_package(standalone, video, short_video, tmp_path)


SAVED_AGAIN = """
import json, shutil, sys
from transformers import AutoModel, AutoModelForVideoClassification, AutoVideoProcessor, pipeline

folder, video, saved = {arguments!r}
model = AutoModelForVideoClassification.from_pretrained(folder, trust_remote_code=True)
base = AutoModel.from_pretrained(folder, trust_remote_code=True)
assert (type(model).__name__, type(base).__name__) == ("DiSTForVideoClassification", "DiSTModel")
stock = pipeline("video-classification", model=folder, trust_remote_code=True)(video)
zero_shot = pipeline("zero-shot-video-classification", model=folder, trust_remote_code=True)
print(json.dumps([stock, zero_shot(video, candidate_labels=["zumba", "archery"])]))
model.save_pretrained(saved)
AutoVideoProcessor.from_pretrained(folder, trust_remote_code=True).save_pretrained(saved)
shutil.rmtree(folder)
model.save_pretrained(saved + "-without-pipeline")
"""


def test_remote_code_is_saved_again_whole(standalone, video, tmp_path):
    """Each generation is loaded in a process without the package, when the folder before it no longer exists."""
    shutil.copytree(standalone, tmp_path / "0")
    results = []
    for generation in range(3):
        arguments = (str(tmp_path / str(generation)), video, str(tmp_path / str(generation + 1)))
        code = HIDE_PACKAGE + SAVED_AGAIN.format(arguments=arguments)
        result = run_python(code, tmp_path, HF_HOME=str(tmp_path / f"home-{generation}"), HF_HUB_OFFLINE="1")
        assert result.returncode == 0, result.stderr
        results.append(json.loads(result.stdout.splitlines()[-1]))
        assert "saved without the pipeline zero-shot-video-classification" in result.stderr
        saved = json.loads((tmp_path / f"{generation + 1}" / "config.json").read_text())
        without = json.loads((tmp_path / f"{generation + 1}-without-pipeline" / "config.json").read_text())
        assert "zero-shot-video-classification" in saved["custom_pipelines"] and not without.get("custom_pipelines")
    assert results[0] == results[1] == results[2]
    assert {*CODE_FILES, *PIPELINE_FILES} < set(os.listdir(tmp_path / "3"))


def test_code_files_are_those_that_the_library_needs_and_no_others(standalone):
    """They are the files that the classes import, directly or indirectly."""
    needed = set()
    for reference in (*AUTO_MAP.values(), "pipelines_dist.ZeroShotVideoClassificationPipeline"):
        file = standalone / f"{reference.split('.')[0]}.py"
        needed |= {file.name, *(Path(path).name for path in get_relative_import_files(file))}
    assert sorted(needed) == sorted((*CODE_FILES, *PIPELINE_FILES))
    assert {path.name for path in standalone.glob("*.py")} == needed


def test_registering_for_the_auto_classes_saves_the_code(tiny_dist, video, tmp_path):
    """This is the library's own way, which covers one model class."""
    saved = tmp_path / "saved"
    save = f"""
from modeling_dist import DiSTConfig, DiSTForVideoClassification, DiSTVideoProcessor
DiSTConfig.register_for_auto_class()
DiSTForVideoClassification.register_for_auto_class("AutoModelForVideoClassification")
DiSTVideoProcessor.register_for_auto_class("AutoVideoProcessor")
DiSTForVideoClassification.from_pretrained({tiny_dist!r}).save_pretrained({str(saved)!r})
DiSTVideoProcessor.from_pretrained({tiny_dist!r}).save_pretrained({str(saved)!r})
"""
    result = run_python(save, tmp_path, PYTHONPATH=str(ROOT))
    assert result.returncode == 0, result.stderr
    assert set(CODE_FILES) <= set(os.listdir(saved))
    code = f"""
from transformers import pipeline
print(pipeline("video-classification", model={str(saved)!r}, trust_remote_code=True)({video!r})[0]["label"])
"""
    result = run_python(code, tmp_path, HF_HOME=str(tmp_path / "home"), PYTHONPATH="", HF_HUB_OFFLINE="1")
    assert result.returncode == 0, result.stderr


def test_exporting_again_changes_nothing(standalone):
    before = {path.name: path.read_bytes() for path in standalone.iterdir() if path.is_file()}
    export_code(standalone)
    assert {path.name: path.read_bytes() for path in standalone.iterdir() if path.is_file()} == before


def test_standalone_folder_loads_with_the_package_too(standalone):
    assert AutoModel.from_pretrained(standalone).__class__.__module__ == "modeling_dist.modeling_dist"


def test_export_needs_a_model_and_a_processor(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no model"):
        export_code(tmp_path)
    DiSTConfig().save_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no video processor"):
        export_code(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["config.json"]
