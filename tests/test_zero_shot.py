"""Classes named in words: prompt templates, CLIP's own frame logits, and the pipeline."""

import functools
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close
from transformers import (
    AutoTokenizer,
    AutoVideoProcessor,
    CLIPModel,
    CLIPVisionModel,
    CLIPVisionModelWithProjection,
    pipeline,
)
from without_package import HIDE_PACKAGE

from modeling_dist import (
    DiSTConfig,
    DiSTForVideoClassification,
    DiSTVideoProcessor,
    VideoDecodingError,
    ZeroShotVideoClassificationPipeline,
)
from modeling_dist.convert_dist_to_hf import PREFIX, convert_state_dict
from modeling_dist.hub import export_code
from modeling_dist.testing import tiny_config_kwargs


ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "fixtures" / "golden_tiny"
TASK = "zero-shot-video-classification"
LABELS = ["feeding ducks", "a goal at football", "zumba"]


def relative_error(actual, expected):
    return ((actual - expected).abs().max() / expected.abs().max()).item()


@pytest.fixture
def model(tiny_dist):
    return DiSTForVideoClassification.from_pretrained(tiny_dist)


@pytest.fixture
def pixel_values():
    return torch.randn(2, 8, 3, 32, 32)


def clip_frame_logits(clip_folder, model, pixel_values):
    """Compute CLIP's own logits with transformers' CLIP from its repository."""
    clip = CLIPVisionModelWithProjection.from_pretrained(clip_folder)
    frames = pixel_values[:, :: model.config.spatial_frame_stride]
    with torch.no_grad():
        embeds = clip(pixel_values=frames.flatten(0, 1)).image_embeds.unflatten(0, frames.shape[:2])
    class_embeds = torch.nn.functional.normalize(model.classifier.class_embeds, dim=-1)
    cosines = torch.nn.functional.normalize(embeds, dim=-1) @ class_embeds.T
    return (model.classifier.logit_scale.exp() * cosines).mean(dim=1)


# CLIP's own frame logits


@pytest.fixture(scope="module")
def golden():
    """The authors' model with random weights, an input and the outputs of their implementation."""
    sizes = json.loads((GOLDEN / "config.json").read_text())
    checkpoint = torch.load(GOLDEN / "official_checkpoint.pyth", weights_only=True)["model_state"]
    expected = load_file(GOLDEN / "expected.safetensors")
    config = DiSTConfig(
        vision_config={
            "hidden_size": sizes["hidden_size"],
            "intermediate_size": 4 * sizes["hidden_size"],
            "num_hidden_layers": sizes["num_hidden_layers"],
            "num_attention_heads": sizes["num_attention_heads"],
            "image_size": sizes["image_size"],
            "patch_size": sizes["patch_size"],
        },
        backbone=None,
        num_frames=sizes["num_frames"],
        integration_dim=sizes["integration_dim"],
        temporal_dim=sizes["temporal_dim"],
        num_pooling_layers=sizes["num_pooling_layers"],
        projection_dim=sizes["projection_dim"],
    )
    model = DiSTForVideoClassification(config).eval()
    model.dist.load_state_dict(convert_state_dict(checkpoint)[0], strict=True)
    names = [f"class {index}" for index in range(sizes["num_classes"])]
    model.set_class_names(names, class_embeds=expected["text_embeds"])
    model.classifier.logit_scale.fill_(checkpoint[f"{PREFIX}logit_scale"])
    model.set_zero_shot_weight(0.5, visual_projection=checkpoint[f"{PREFIX}visual.proj"].T)
    return model, load_file(GOLDEN / "inputs.safetensors")["video"].transpose(1, 2), expected


def test_zero_shot_logits_equal_the_authors(golden):
    model, video, expected = golden
    assert relative_error(model(video).logits, expected["zero_shot_logits"]) < 1e-5
    assert relative_error(model(video, zero_shot_weight=0).logits, expected["logits"]) < 1e-5
    frame_logits = 2 * expected["zero_shot_logits"] - expected["logits"]
    assert relative_error(model(video, zero_shot_weight=1).logits, frame_logits) < 1e-5


def test_zero_shot_weight_averages_with_what_clip_itself_gives(model, tiny_clip, pixel_values):
    dist_logits = model(pixel_values).logits
    frame_logits = clip_frame_logits(tiny_clip, model, pixel_values)
    model.set_zero_shot_weight(0.25)
    assert_close(model(pixel_values).logits, 0.75 * dist_logits + 0.25 * frame_logits, rtol=1e-4, atol=1e-3)


def test_clips_last_layers_run_even_if_the_branch_reads_none_of_them(tiny_clip, pixel_values):
    model = DiSTForVideoClassification.from_backbone(
        tiny_clip, class_names=LABELS, selected_layers=[0, 1], **tiny_config_kwargs()
    )
    before = model(pixel_values).logits
    model.set_zero_shot_weight(1.0)
    frame_logits = clip_frame_logits(tiny_clip, model, pixel_values)
    assert_close(model(pixel_values).logits, frame_logits, rtol=1e-4, atol=1e-3)
    assert torch.equal(model(pixel_values, zero_shot_weight=0).logits, before)


def test_by_default_clips_last_layers_do_not_run(tiny_clip, pixel_values):
    """They would cost time that nobody asked for."""
    model = DiSTForVideoClassification.from_backbone(
        tiny_clip, class_names=LABELS, selected_layers=[0, 1], **tiny_config_kwargs()
    )
    model.load_visual_projection()
    calls = []
    encoder = model.dist.spatial_encoder
    for module in (encoder.encoder.layers[2], encoder.post_layernorm):
        module.register_forward_hook(lambda *_: calls.append(1))
    outputs = model(pixel_values)
    assert calls == []
    model(pixel_values, zero_shot_weight=0.5)
    assert len(calls) == 2
    assert torch.equal(model(pixel_values).logits, outputs.logits)


def test_base_model_gives_clips_pooled_output_of_every_frame(model, tiny_clip, pixel_values):
    assert model.dist(pixel_values).spatial_pooler_output is None
    actual = model.dist(pixel_values, output_spatial_pooler=True).spatial_pooler_output
    frames = pixel_values[:, ::2].flatten(0, 1)
    with torch.no_grad():
        expected = CLIPVisionModel.from_pretrained(tiny_clip)(pixel_values=frames).pooler_output
    assert_close(actual, expected.unflatten(0, (2, 4)), rtol=1e-4, atol=1e-5)
    assert not actual.requires_grad


def test_views_are_averaged_after_the_two_logits_are(model):
    model.set_zero_shot_weight(0.5)
    views = torch.randn(2, 3, 8, 3, 32, 32)
    with torch.no_grad():
        logits = model(views).logits
        one_by_one = torch.stack([model(views[:, view]).logits.softmax(-1) for view in range(3)]).mean(0)
    assert_close(logits.softmax(-1), one_by_one, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_the_projection_in_float32(tiny_dist, tmp_path, pixel_values, dtype):
    full = DiSTForVideoClassification.from_pretrained(tiny_dist)
    full.set_zero_shot_weight(0.5)
    full.save_pretrained(tmp_path)
    model = DiSTForVideoClassification.from_pretrained(tmp_path, dtype=dtype)
    assert torch.equal(model.classifier.visual_projection, full.classifier.visual_projection)
    with torch.no_grad():
        half, expected = model(pixel_values.to(dtype)).logits, full(pixel_values).logits
    assert half.dtype == torch.float32
    assert_close(half, expected, rtol=0.1, atol=3)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        assert_close(full(pixel_values).logits, expected, rtol=0.1, atol=3)


def test_weight_and_projection_survive_disk(model, tmp_path, pixel_values, log):
    model.set_class_names(LABELS, zero_shot_weight=0.5)
    model.save_pretrained(tmp_path)
    reloaded = DiSTForVideoClassification.from_pretrained(tmp_path)
    assert "MISSING" not in log.text and "UNEXPECTED" not in log.text
    assert reloaded.zero_shot_weight == 0.5
    assert torch.equal(reloaded.classifier.visual_projection, model.classifier.visual_projection)
    with torch.no_grad():
        assert_close(reloaded(pixel_values).logits, model(pixel_values).logits)
    # The frozen backbone is still not saved.
    assert not [name for name in load_file(tmp_path / "model.safetensors") if "spatial_encoder" in name]


def test_without_it_nothing_of_it_is_saved(model, tmp_path):
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["zero_shot_weight"] == 0 and config["has_visual_projection"] is False
    assert "classifier.visual_projection" not in load_file(tmp_path / "model.safetensors")


def test_loss_reaches_the_tunable_weights_with_a_zero_shot_weight(model, pixel_values):
    model.set_zero_shot_weight(0.5)
    model.train()
    model(pixel_values, labels=torch.tensor([0, 2])).loss.backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == model.is_tunable(name), name


@pytest.mark.parametrize("weight", [-0.1, 1.5])
def test_impossible_weight_is_refused(model, pixel_values, weight):
    with pytest.raises(ValueError, match=f"from 0 to 1, got {weight}"):
        model.set_zero_shot_weight(weight)
    with pytest.raises(ValueError, match=f"from 0 to 1, got {weight}"):
        model(pixel_values, zero_shot_weight=weight)


def test_weight_without_the_projection_says_what_to_call(model, pixel_values):
    with pytest.raises(ValueError, match="Call `set_zero_shot_weight` or `load_visual_projection` first"):
        model(pixel_values, zero_shot_weight=0.5)


def test_projection_that_cannot_be_had_is_named(model, tiny_clip, tmp_path):
    with pytest.raises(ValueError, match=r"\(48, 64\), got \(3, 3\)"):
        model.set_zero_shot_weight(0.5, visual_projection=torch.ones(3, 3))
    CLIPVisionModel.from_pretrained(tiny_clip).save_pretrained(tmp_path)
    no_projection = DiSTForVideoClassification.from_backbone(tmp_path, **tiny_config_kwargs(), projection_dim=48)
    with pytest.raises(ValueError, match=f"{tmp_path}` holds no visual projection"):
        no_projection.set_zero_shot_weight(0.5)
    model.config.backbone = None
    with pytest.raises(ValueError, match="names no backbone"):
        model.set_zero_shot_weight(0.5)
    assert model.classifier.visual_projection is None and model.zero_shot_weight == 0


def test_weight_for_a_checkpoint_without_the_projection_is_refused(tiny_dist):
    with pytest.raises(ValueError, match="lacks 1 of the weights.*visual_projection"):
        DiSTForVideoClassification.from_pretrained(tiny_dist, zero_shot_weight=0.5, has_visual_projection=True)
    with pytest.raises(
        ValueError, match="`zero_shot_weight=0.5` needs .*visual projection.*`model.set_zero_shot_weight`"
    ):
        DiSTForVideoClassification.from_pretrained(tiny_dist, zero_shot_weight=0.5)


def test_weight_of_0_needs_no_projection(model, tmp_path, pixel_values):
    expected = model(pixel_values).logits
    model.config.backbone = None
    model.set_zero_shot_weight(0)
    model.set_class_names(list("abc"), class_embeds=model.classifier.class_embeds, zero_shot_weight=0)
    assert model.classifier.visual_projection is None and not model.config.has_visual_projection
    model.save_pretrained(tmp_path)
    assert torch.equal(DiSTForVideoClassification.from_pretrained(tmp_path)(pixel_values).logits, expected)
    with pytest.raises(ValueError, match="names no backbone"):
        model.load_visual_projection()


def test_weight_of_0_keeps_a_projection_that_is_there(model, pixel_values):
    model.set_zero_shot_weight(0.5)
    model.set_zero_shot_weight(0)
    assert model.config.zero_shot_weight == 0 and model.config.has_visual_projection
    assert not torch.equal(model(pixel_values, zero_shot_weight=0.5).logits, model(pixel_values).logits)


def test_linear_head_takes_no_part(tiny_clip, pixel_values):
    model = DiSTForVideoClassification.from_backbone(
        tiny_clip, head_type="linear", num_labels=3, **tiny_config_kwargs()
    )
    with pytest.raises(ValueError, match="text head"):
        model.set_zero_shot_weight(0.5)
    with pytest.raises(ValueError, match="text head"):
        model(pixel_values, class_embeds=torch.randn(4, 48))


def test_other_classes_can_be_scored_without_changing_the_head(model, pixel_values):
    before = model(pixel_values).logits
    embeds = model.embed_class_names(LABELS + ["archery"])
    logits = model(pixel_values, class_embeds=embeds).logits
    assert torch.equal(model(pixel_values).logits, before)
    assert model.config.id2label == {0: "abseiling", 1: "air drumming", 2: "archery"}
    model.set_class_names(LABELS + ["archery"])
    assert torch.equal(model(pixel_values).logits, logits)


# Prompt templates


def test_prompt_templates_are_averaged_as_clip_does(model, tiny_clip):
    templates = ["a video of {}.", "{}", "someone doing {}, or {}"]
    model.set_class_names(['"zumba"', "archery"], prompt_templates=templates)
    clip, tokenizer = CLIPModel.from_pretrained(tiny_clip), AutoTokenizer.from_pretrained(tiny_clip)
    for index, name in enumerate(["zumba", "archery"]):
        embeds = []
        for text in (f"a video of {name}.", name, f"someone doing {name}, or {name}"):
            with torch.no_grad():
                embed = clip.get_text_features(**tokenizer([text], return_tensors="pt")).pooler_output[0]
            embeds.append(embed / embed.norm())
        mean = torch.stack(embeds).mean(0)
        assert_close(model.classifier.class_embeds[index], mean / mean.norm(), rtol=1e-4, atol=1e-5)


def test_template_of_the_name_alone_changes_no_logits(model, pixel_values):
    model.set_class_names(LABELS)
    expected = model(pixel_values).logits
    model.set_class_names(LABELS, prompt_templates="{}")
    assert_close(model(pixel_values).logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("templates", [[], "no place for the name", ["a {}", "none"], [3]])
def test_template_without_a_place_for_the_name_is_refused(model, templates):
    with pytest.raises(ValueError, match="where the class name goes"):
        model.set_class_names(LABELS, prompt_templates=templates)


def test_templates_beside_given_embeddings_are_refused(model):
    with pytest.raises(ValueError, match="no effect"):
        model.set_class_names(LABELS, class_embeds=torch.randn(3, 48), prompt_templates="a {}")


def test_repository_without_a_tokenizer_is_named(tiny_clip, tmp_path, pixel_values):
    """The library makes a tokenizer without words for it, to which all classes would be the same."""
    for name in ("config.json", "model.safetensors"):
        shutil.copy(Path(tiny_clip) / name, tmp_path)
    model = DiSTForVideoClassification.from_backbone(tmp_path, **tiny_config_kwargs())
    with pytest.raises(OSError, match=f"{tmp_path} holds no tokenizer"):
        model.set_class_names(LABELS)
    model.set_class_names(LABELS, tokenizer=tiny_clip)
    logits = model(pixel_values).logits
    assert not torch.equal(logits[:, 0], logits[:, 1])


@pytest.fixture
def bare_tokenizer(tiny_clip, tmp_path):
    """A folder with only OpenAI's two files, which the auto class does not recognize as a tokenizer."""
    vocabulary = json.loads((Path(tiny_clip) / "tokenizer.json").read_text())["model"]
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "vocab.json").write_text(json.dumps(vocabulary["vocab"]))
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in vocabulary["merges"]]
    (tmp_path / "bare" / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    with pytest.raises((OSError, ValueError)):
        AutoTokenizer.from_pretrained(tmp_path / "bare")
    return str(tmp_path / "bare")


def test_tokenizer_of_two_files_alone_is_taken(model, tiny_dist, bare_tokenizer, video, tmp_path):
    expected = model.embed_class_names(LABELS)
    assert torch.equal(model.embed_class_names(LABELS, tokenizer=bare_tokenizer), expected)
    scores = pipeline(TASK, model=tiny_dist, tokenizer=bare_tokenizer)(video, candidate_labels=LABELS)
    assert scores == pipeline(TASK, model=tiny_dist)(video, candidate_labels=LABELS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(OSError, match="holds no tokenizer"):
        model.embed_class_names(LABELS, tokenizer=tmp_path / "empty")


# The pipeline


def test_pipeline_gives_the_models_probabilities_of_any_labels(tiny_dist, video):
    classifier = pipeline(TASK, model=tiny_dist)
    assert isinstance(classifier, ZeroShotVideoClassificationPipeline)
    predictions = classifier(video, candidate_labels=LABELS)

    model = DiSTForVideoClassification.from_pretrained(tiny_dist)
    model.set_class_names(LABELS, zero_shot_weight=0.5)
    inputs = AutoVideoProcessor.from_pretrained(tiny_dist)(video, return_tensors="pt")
    with torch.no_grad():
        scores, indices = model(**inputs).logits[0].softmax(-1).sort(descending=True)
    assert [p["label"] for p in predictions] == [LABELS[index] for index in indices]
    assert [p["score"] for p in predictions] == pytest.approx(scores.tolist(), rel=1e-4)
    # The model's own classes are unchanged.
    assert classifier.model.config.id2label == {0: "abseiling", 1: "air drumming", 2: "archery"}


def test_pipeline_options_reach_the_model(tiny_dist, video):
    classifier = pipeline(TASK, model=tiny_dist, candidate_labels=LABELS)
    model = DiSTForVideoClassification.from_pretrained(tiny_dist)
    model.set_class_names(LABELS, prompt_templates=["a video of {}.", "{}!"])
    inputs = AutoVideoProcessor.from_pretrained(tiny_dist)(video, return_tensors="pt")
    with torch.no_grad():
        expected = model(**inputs).logits[0].softmax(-1).max().item()
    predictions = classifier(video, hypothesis_template=["a video of {}.", "{}!"], zero_shot_weight=0, top_k=1)
    assert len(predictions) == 1
    assert predictions[0]["score"] == pytest.approx(expected, rel=1e-4)
    # The options of one call do not affect the next.
    assert len(classifier(video)) == 3
    assert classifier(video, candidate_labels=["x", "y"])[0]["label"] in ("x", "y")


def test_pipeline_goes_by_the_models_own_weight_if_that_is_not_0(tiny_dist, video):
    model = DiSTForVideoClassification.from_pretrained(tiny_dist)
    processor = AutoVideoProcessor.from_pretrained(tiny_dist)
    classifier = pipeline(TASK, model=model, video_processor=processor, candidate_labels=LABELS)
    for own, expected in ((None, 0.5), (0, 0.5), (0.2, 0.2), (1, 1)):
        model.config.zero_shot_weight = 0.0
        if own is not None:
            model.set_zero_shot_weight(own)
        assert classifier(video) == classifier(video, zero_shot_weight=expected)
    assert classifier(video) != classifier(video, zero_shot_weight=0.5)


def test_pipeline_loads_what_it_needs_as_it_was_told(tiny_dist, video, monkeypatch):
    seen = {}

    def watch(name):
        own = getattr(DiSTForVideoClassification, name)

        def load(self, *args, **kwargs):
            seen.setdefault(name, kwargs)
            return own(self, *args, **kwargs)

        monkeypatch.setattr(DiSTForVideoClassification, name, load)

    watch("load_text_encoder")
    watch("load_visual_projection")
    download_kwargs = {"token": "secret", "cache_dir": "cache"}
    classifier = pipeline(TASK, model=tiny_dist, local_files_only=True, download_kwargs=download_kwargs)
    classifier(video, candidate_labels=LABELS)
    expected = {"token": "secret", "cache_dir": "cache", "local_files_only": True}
    assert seen == {"load_text_encoder": expected, "load_visual_projection": expected}


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def test_pipeline_takes_a_url(tiny_dist, video, monkeypatch):
    classifier = pipeline(TASK, model=tiny_dist, candidate_labels=LABELS)
    expected = classifier(video)  # now everything but the video is loaded
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=os.path.dirname(video)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    huggingface_hub.close_session()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        assert classifier(f"{address}/{os.path.basename(video)}") == expected
        with pytest.raises(VideoDecodingError, match=f"{address}/missing.mp4"):
            classifier(f"{address}/missing.mp4")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        huggingface_hub.close_session()


def test_pipeline_takes_lists_in_batches_and_generators(tiny_dist, video, short_video):
    classifier = pipeline(TASK, model=tiny_dist)
    videos = [video, short_video, video]
    one_by_one = [classifier(item, candidate_labels=LABELS) for item in videos]
    for several in (
        classifier(videos, candidate_labels=LABELS, batch_size=2),
        list(classifier((item for item in videos), candidate_labels=LABELS)),
    ):
        for alone, among in zip(one_by_one, several, strict=True):
            assert [p["label"] for p in alone] == [p["label"] for p in among]
            assert [p["score"] for p in alone] == pytest.approx([p["score"] for p in among], rel=1e-3)


def test_pipeline_embeds_the_labels_once_for_all_videos(tiny_dist, video, monkeypatch):
    calls = []
    embed = DiSTForVideoClassification.embed_class_names
    monkeypatch.setattr(
        DiSTForVideoClassification, "embed_class_names", lambda *args: calls.append(args[1]) or embed(*args)
    )
    classifier = pipeline(TASK, model=tiny_dist)
    classifier([video, video], candidate_labels=LABELS)
    classifier(video, candidate_labels=LABELS)
    assert calls == [tuple(LABELS)]
    classifier(video, candidate_labels=LABELS[:2])
    assert calls == [tuple(LABELS), tuple(LABELS[:2])]


def test_pipeline_averages_the_views_that_the_processor_makes(tiny_dist, video):
    model = DiSTForVideoClassification.from_pretrained(tiny_dist)
    processor = DiSTVideoProcessor(num_frames=8, size=32, crop_size=32, num_clips=2, num_crops=3)
    classifier = pipeline(TASK, model=model, video_processor=processor)
    alone = classifier(video, candidate_labels=LABELS)
    in_batch = classifier([video, video], candidate_labels=LABELS, batch_size=2)[1]
    model.set_class_names(LABELS, zero_shot_weight=0.5)
    with torch.no_grad():
        views = processor(video, return_tensors="pt")["pixel_values_videos"][0]
        expected = model(views).logits.softmax(-1).mean(0).max().item()
    assert alone[0]["score"] == pytest.approx(expected, rel=1e-4)
    assert in_batch[0]["score"] == pytest.approx(expected, rel=1e-3)


def test_pipeline_in_bfloat16_and_on_arrays(tiny_dist):
    frames = torch.randint(0, 256, (12, 3, 40, 48), dtype=torch.uint8)
    classifier = pipeline(TASK, model=tiny_dist, dtype=torch.bfloat16)
    assert sum(p["score"] for p in classifier(frames, candidate_labels=LABELS)) == pytest.approx(1, abs=1e-3)
    assert len(classifier(np.asarray(frames), candidate_labels=LABELS)) == 3


def test_pipeline_with_a_text_encoder_of_its_own(tiny_dist, tiny_clip, video, tmp_path):
    """A model that holds its backbone and names none needs it."""
    model = DiSTForVideoClassification.from_pretrained(tiny_dist)
    expected = pipeline(TASK, model=tiny_dist)(video, candidate_labels=LABELS)
    model.load_visual_projection()
    model.config.backbone = None
    model.save_pretrained(tmp_path)
    AutoVideoProcessor.from_pretrained(tiny_dist).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="text_model="):
        pipeline(TASK, model=str(tmp_path))(video, candidate_labels=LABELS)
    classifier = pipeline(TASK, model=str(tmp_path), text_model=tiny_clip)
    assert [p["label"] for p in classifier(video, candidate_labels=LABELS)] == [p["label"] for p in expected]
    loaded, _ = model.load_text_encoder(tiny_clip)
    classifier = pipeline(TASK, model=str(tmp_path), text_model=loaded, tokenizer=tiny_clip)
    scores = [p["score"] for p in classifier(video, candidate_labels=LABELS)]
    assert scores == pytest.approx([p["score"] for p in expected], rel=1e-4)


def test_pipeline_says_what_is_wrong(tiny_dist, tiny_clip, video, tmp_path):
    classifier = pipeline(TASK, model=tiny_dist)
    with pytest.raises(ValueError, match='needs `candidate_labels`.*"video-classification"'):
        classifier(video)
    with pytest.raises(ValueError, match="list of strings, got the string 'a, b'"):
        classifier(video, candidate_labels="a, b")
    with pytest.raises(ValueError, match="not empty"):
        classifier(video, candidate_labels=["a", ""])
    with pytest.raises(ValueError, match="where the class name goes"):
        classifier(video, candidate_labels=LABELS, hypothesis_template="a video")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"this is no video" * 100)
    with pytest.raises(VideoDecodingError, match=str(broken)):
        classifier(str(broken), candidate_labels=LABELS)
    linear = DiSTForVideoClassification.from_backbone(
        tiny_clip, head_type="linear", num_labels=3, **tiny_config_kwargs()
    )
    with pytest.raises(ValueError, match="text head"):
        pipeline(TASK, model=linear, video_processor=DiSTVideoProcessor(num_frames=8))


# As remote code


REMOTE = """
import json
from transformers import pipeline

folder, video, resaved, labels = {arguments!r}
classifier = pipeline("zero-shot-video-classification", model=folder, trust_remote_code=True)
assert type(classifier).__module__.startswith("transformers_modules.")
predictions = classifier([video, video], candidate_labels=labels, batch_size=2)
classifier.model.save_pretrained(resaved)
classifier.video_processor.save_pretrained(resaved)
stock = pipeline("video-classification", model=resaved, trust_remote_code=True)(video)
print(json.dumps([predictions, stock]))
"""


def test_pipeline_works_without_the_package(standalone, tiny_dist, video, tmp_path):
    arguments = (str(standalone), video, str(tmp_path / "resaved"), LABELS)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    result = subprocess.run(
        [sys.executable, "-c", HIDE_PACKAGE + REMOTE.format(arguments=arguments)],
        cwd=tmp_path,
        env={**environment, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "not supported" not in result.stderr
    predictions, stock = json.loads(result.stdout.splitlines()[-1])
    expected = pipeline(TASK, model=tiny_dist)(video, candidate_labels=LABELS)
    for actual in predictions:
        assert [p["label"] for p in actual] == [p["label"] for p in expected]
        assert [p["score"] for p in actual] == pytest.approx([p["score"] for p in expected], rel=1e-3)
    assert {p["label"] for p in stock} == {"abseiling", "air drumming", "archery"}


def test_code_of_a_linear_head_offers_no_zero_shot_pipeline(standalone, tiny_clip, tmp_path):
    model = DiSTForVideoClassification.from_backbone(
        tiny_clip, head_type="linear", num_labels=3, **tiny_config_kwargs()
    )
    model.save_pretrained(tmp_path)
    DiSTVideoProcessor(num_frames=8).save_pretrained(tmp_path)
    export_code(tmp_path)
    assert list(json.loads((tmp_path / "config.json").read_text())["custom_pipelines"]) == ["video-classification"]
    assert TASK in json.loads((standalone / "config.json").read_text())["custom_pipelines"]


def test_exported_folder_works_with_the_package_too(standalone, video, tmp_path):
    folder = shutil.copytree(standalone, tmp_path / "copy")
    classifier = pipeline(TASK, model=str(folder))  # runs the package's code, so none has to be trusted
    assert type(classifier) is ZeroShotVideoClassificationPipeline
    assert type(classifier.model) is DiSTForVideoClassification
    assert len(classifier(video, candidate_labels=LABELS)) == 3


def test_saved_pipeline_can_be_loaded(tiny_dist, video, tmp_path):
    classifier = pipeline(TASK, model=tiny_dist)
    expected = classifier(video, candidate_labels=LABELS)
    classifier.save_pretrained(tmp_path)
    again = pipeline(TASK, model=str(tmp_path))
    scores = [p["score"] for p in again(video, candidate_labels=LABELS)]
    assert scores == pytest.approx([p["score"] for p in expected], rel=1e-4)
