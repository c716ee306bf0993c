# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""A training run: CLIP stays frozen, the temporal encoder and the integration branch are trained.

[`train`] prepares everything that the settings name, repeats updates, records, checkpoints and evaluations, and saves the
model of the last epoch, `best_model/`, `checkpoint-<updates>/`, the resolved settings (`training_settings.json`), the
metrics over the run (`training_history.json`, `training_curves.png`) and the report of the last evaluation (`evaluation/`).
"""

import contextlib
import dataclasses
import math
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.logging import get_logger
from accelerate.tracking import get_available_trackers
from accelerate.utils import DistributedType, ProjectConfiguration, gather_object, set_seed
from huggingface_hub import HfApi
from torch.distributed.fsdp import MixedPrecisionPolicy
from tqdm.auto import tqdm

from ..configuration_dist import DiSTConfig
from ..data.augmentation import BatchMixing, ClipAugmentation, parse_label_pairs
from ..data.labels import check_words
from ..data.loading import TrainingClips, collate_clips
from ..data.rows import hash_videos, video_name, write_video_list
from ..data.samplers import TrainingBatchSampler, seed_from
from ..data.scanning import find_unreadable
from ..data.sources import load_train_and_validation
from ..data.workers import VideoLoader
from ..evaluation.plots import plot_training_curves
from ..evaluation.prediction import make_accelerator, predict_videos
from ..evaluation.report import compute_metrics, describe_protocol, write_metrics, write_report
from ..files import atomic_file, check_writable, write_json
from ..frozen_backbone_dist import refuse_local_backbone
from ..hub import publish
from ..modeling_dist import DiSTForVideoClassification
from ..video_decoding_dist import VideoDecodingError
from ..video_processing_dist import DiSTVideoProcessor
from .checkpoint import TrainingState, load_checkpoint, read_training_state, save_checkpoint
from .optimization import cosine_schedule, make_optimizer
from .output_dir import check_same_run, clear_output_dir, find_start
from .settings import TrainingSettings


logger = get_logger(__name__)

MODEL_SIZES = ("num_frames", "spatial_frame_stride", "num_pooling_layers", "integration_dim", "temporal_dim")


def configure_sharding(accelerator: Accelerator, settings: TrainingSettings, accumulation_steps: int):
    """Set what accelerate leaves to the script if the model is sharded."""
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        deepspeed_config = accelerator.state.deepspeed_plugin.deepspeed_config
        deepspeed_config["train_micro_batch_size_per_gpu"] = settings.per_device_train_batch_size
        deepspeed_config["gradient_accumulation_steps"] = accumulation_steps
        deepspeed_config["gradient_clipping"] = settings.max_grad_norm or 0.0
    elif accelerator.distributed_type == DistributedType.FSDP:
        plugin = accelerator.state.fsdp_plugin
        # It cannot send buffers, such as the embeddings of the class names, and every process has the weights anyway.
        plugin.cpu_ram_efficient_loading = False
        os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"  # what `from_pretrained` looks at
        if plugin.fsdp_version == 2 and accelerator.mixed_precision == "bf16":
            # By default, the logits and the sum of the gradients would be rounded too.
            plugin.mixed_precision_policy = MixedPrecisionPolicy(
                param_dtype=torch.bfloat16, reduce_dtype=torch.float32, output_dtype=torch.float32
            )


def build_model(
    settings: TrainingSettings, class_names: list[str]
) -> tuple[DiSTForVideoClassification, DiSTVideoProcessor]:
    """
    Return a new DiST on CLIP, or a trained one with a head for these classes, and its processor. The settings of a trained
    one are changed to what it has.
    """
    if settings.model is None:
        if settings.head_type == "text" and settings.class_names is None:
            check_words(class_names)
        model = DiSTForVideoClassification.from_backbone(
            settings.backbone,
            revision=settings.backbone_revision,
            attn_implementation=settings.attn_implementation,
            class_names=class_names if settings.head_type == "text" else None,
            num_labels=len(class_names),
            head_type=settings.head_type,
            initializer_range=settings.initializer_range or None,
            **settings.select(*MODEL_SIZES),
        )
        image_size = model.config.vision_config.image_size
        processor = DiSTVideoProcessor(num_frames=settings.num_frames, size=image_size, crop_size=image_size)
    else:
        config = DiSTConfig.from_pretrained(settings.model)
        has_classes = [config.id2label[label] for label in range(config.num_labels)] == class_names
        had_linear_head = config.head_type == "linear"
        options = {"attn_implementation": settings.attn_implementation} if settings.attn_implementation else {}
        if had_linear_head or settings.head_type == "linear":
            settings.head_type = "linear"
            options |= {"head_type": "linear", "num_labels": len(class_names), "ignore_mismatched_sizes": True}
        model = DiSTForVideoClassification.from_pretrained(settings.model, **options)
        if settings.head_type == "text" and not has_classes:
            if settings.class_names is None:
                check_words(class_names)
            model.set_class_names(class_names)
        elif settings.head_type == "linear" and not (had_linear_head and has_classes):
            logger.info("The linear head is new, because the model has none for these classes.")
            torch.nn.init.trunc_normal_(model.classifier.weight, std=0.02)
            torch.nn.init.zeros_(model.classifier.bias)
        processor = DiSTVideoProcessor.from_pretrained(settings.model)
        for name in MODEL_SIZES:
            setattr(settings, name, getattr(model.config, name))
        settings.backbone, settings.backbone_revision = model.config.backbone, model.config.backbone_revision
    model.config.id2label = dict(enumerate(class_names))
    model.config.label2id = {name: label for label, name in enumerate(class_names)}
    model.config.problem_type = "single_label_classification"
    processor.frame_sampling, processor.frame_step = settings.frame_sampling, settings.frame_step
    return model, processor


def all_finite(accelerator: Accelerator, model: torch.nn.Module) -> bool:
    """Whether all weights are finite, in all processes."""
    with torch.no_grad():
        parameters = [getattr(p, "_local_tensor", p) for p in model.parameters() if p.requires_grad]
        is_finite = torch.stack([parameter.isfinite().all() for parameter in parameters]).all()
    return bool(accelerator.reduce(is_finite.float(), "mean") == 1)


def peak_memory(device: torch.device) -> int:
    """Return the largest number of bytes that were allocated on the GPU, or occupied by this process without a GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes if sys.platform == "darwin" else kilobytes * 1024


@dataclass
class Speed:
    """Clips that were trained on, the seconds that they took, and how many of these were spent waiting for a batch."""

    num_clips: int = 0
    seconds: float = 0.0
    waited: float = 0.0

    @property
    def clips_per_second(self) -> float:
        return self.num_clips / self.seconds

    @property
    def data_wait_share(self) -> float:
        return self.waited / self.seconds

    def add(self, other: "Speed"):
        self.num_clips += other.num_clips
        self.seconds += other.seconds
        self.waited += other.waited


class _Run:
    """What the parts of a run share. Before `start`, nothing is written, so that a mistake leaves everything as it was."""

    def __init__(self, settings: TrainingSettings):
        self.settings = dataclasses.replace(settings)  # resolved below; the caller's stay as they are
        self.settings.check()
        if self.settings.warmup_epochs is None:
            self.settings.warmup_epochs = self.settings.num_epochs / 6
        self.output_dir = Path(settings.output_dir)
        check_writable(self.output_dir)
        self.prepare_processes()
        self.checkpoint = find_start(self.settings)
        self.prepare_data()
        self.prepare_model()
        self.prepare_optimizer()
        self.prepare_state()
        if not self.settings.skip_unreadable:
            self.probe_validation()

    def prepare_processes(self):
        settings = self.settings
        unknown = sorted(set(settings.report_to) - {tracker.value for tracker in get_available_trackers()} - {"all"})
        if unknown:
            raise ValueError(f"--report_to: {', '.join(unknown)} is not a tracker of accelerate, or is not installed.")
        self.accelerator = make_accelerator(
            settings.cpu,
            mixed_precision=settings.mixed_precision,
            log_with=settings.report_to or None,
            project_config=ProjectConfiguration(self.output_dir, logging_dir=self.output_dir / "logs"),
        )
        settings.mixed_precision = self.accelerator.mixed_precision
        self.accumulation_steps = settings.accumulation_steps(self.accelerator.num_processes)
        self.accelerator.gradient_accumulation_steps = self.accumulation_steps
        num_clips = settings.per_device_train_batch_size * self.accelerator.num_processes
        self.batch_size = num_clips * self.accumulation_steps
        configure_sharding(self.accelerator, settings, self.accumulation_steps)
        set_seed(settings.seed)

    def prepare_data(self):
        settings = self.settings
        with self.accelerator.main_process_first():
            splitting = settings.select("train_split", "validation_split", "validation_fraction", "seed")
            videos = load_train_and_validation(settings, settings.validation, **splitting)
        self.train_videos, self.validation_videos = videos
        self.class_names = self.train_videos.features["label"].names
        self.updates_per_epoch = len(self.train_videos) // self.batch_size
        self.total_updates = self.updates_per_epoch * settings.num_epochs
        if self.updates_per_epoch == 0:
            raise ValueError(
                f"{len(self.train_videos)} videos are less than one batch of {self.batch_size}: make "
                "--per_device_train_batch_size, --gradient_accumulation_steps or --total_batch_size smaller."
            )
        mixing = ("mixup_alpha", "cutmix_alpha", "mixing_probability", "cutmix_probability", "label_smoothing")
        self.mixing = BatchMixing(len(self.class_names), **settings.select(*mixing))
        if self.mixing.mixes and settings.per_device_train_batch_size == 1:
            raise ValueError(
                "Mixup and CutMix need two clips or more in a batch: raise --per_device_train_batch_size, or turn them off "
                "with --mixing_probability 0."
            )

    def prepare_model(self):
        settings, precision = self.settings, self.accelerator.mixed_precision
        with self.accelerator.main_process_first():
            self.bare_model, self.processor = build_model(settings, self.class_names)
        self.reading_processor = settings.configure(self.processor)
        if settings.push_to_hub:  # rather fail now than after hours of training
            if not self.bare_model.saves_backbone:
                refuse_local_backbone(self.bare_model.config.backbone)
            HfApi().whoami()
        is_sharded = self.accelerator.distributed_type in (DistributedType.FSDP, DistributedType.DEEPSPEED)
        if precision in ("bf16", "fp16") and not is_sharded:
            if self.bare_model.saves_backbone:
                logger.info("The backbone is trained, or saved with the model, and so it stays in float32.")
            else:
                # Once, instead of by autocast in every update; sharding does so in its own way.
                self.bare_model.dist.spatial_encoder.to(torch.bfloat16 if precision == "bf16" else torch.float16)
        if settings.gradient_checkpointing:
            # Activation checkpointing is the name since transformers 5.24.
            enable = getattr(self.bare_model, "activation_checkpointing_enable", None)
            (enable or self.bare_model.gradient_checkpointing_enable)()
        if settings.torch_compile:
            self.bare_model.compile()
        self.augmentation = None
        if settings.augmentation:
            colors = ("grayscale_probability", "color_jitter", "color_jitter_probability")
            self.augmentation = ClipAugmentation(
                self.bare_model.config.vision_config.image_size,
                self.processor.image_mean,
                self.processor.image_std,
                flip_label_pairs=parse_label_pairs(settings.flip_label_pairs, self.class_names),
                **settings.select("crop_scale", "crop_ratio", "flip_probability", *colors),
            )

    def prepare_optimizer(self):
        settings = self.settings
        self.peak_learning_rate = settings.peak_learning_rate(self.batch_size)
        optimizer = make_optimizer(self.bare_model, settings, self.peak_learning_rate)
        warmup_start = min(settings.warmup_start_learning_rate, self.peak_learning_rate)
        self.scheduler = cosine_schedule(
            optimizer, self.updates_per_epoch, settings.num_epochs, settings.warmup_epochs, warmup_start
        )
        self.model, self.optimizer = self.accelerator.prepare(self.bare_model, optimizer)
        self.parts = (self.accelerator, self.model, self.optimizer, self.scheduler)

    def prepare_state(self):
        settings = self.settings
        self.identity = {
            "list_of_training_videos": hash_videos(self.train_videos),
            "global_batch_size": self.batch_size,
            "learning_rate": self.peak_learning_rate,
            **settings.select("seed", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon"),
            "backbone_fingerprint": self.bare_model.config.backbone_fingerprint,
            "num_processes": self.accelerator.num_processes,
            "settings": dataclasses.asdict(settings),
        }
        self.state, self.metrics = TrainingState(), {}
        if self.checkpoint is not None:
            self.state, identity = read_training_state(self.checkpoint)
            check_same_run(identity, self.identity, self.checkpoint)
            load_checkpoint(self.checkpoint, *self.parts)
            if self.state.step > self.total_updates:
                raise ValueError(
                    f"{self.checkpoint} is beyond the {self.total_updates} updates of the run: raise --num_epochs."
                )
            logger.info(f"Resumed from {self.checkpoint}, after {self.state.step} updates.")

    def probe_validation(self):
        """Make sure that no validation video ends the run at its first evaluation."""
        accelerator, settings, videos = self.accelerator, self.settings, self.validation_videos
        own = range(accelerator.process_index, len(videos), accelerator.num_processes)
        progress = "Opening the validation videos" if accelerator.is_main_process and len(videos) > 1000 else None
        reading = settings.select("decoder", "damaged", "limits")
        found = find_unreadable(videos, own, settings.num_workers, progress, **reading)
        reasons = [reason for _, reason in sorted(gather_object(list(found.items())))]
        if reasons:
            more = f"\n… and {len(reasons) - 20:,} more" if len(reasons) > 20 else ""
            raise VideoDecodingError(
                f"{len(reasons):,} of the {len(videos):,} validation videos cannot be read. Leave them out with --skip_unreadable, "
                "which counts them, or with --exclude and the list that `modeling-dist scan` writes.\n"
                + "\n".join(reasons[:20])
                + more
            )

    def start(self):
        """Clear the output folder, write down what is trained on what, and start to read videos."""
        accelerator, settings = self.accelerator, self.settings
        accelerator.wait_for_everyone()  # until all have seen what is there, and found nothing wrong with it
        if accelerator.is_main_process:
            clear_output_dir(self.output_dir, self.checkpoint)
            self.output_dir.mkdir(parents=True, exist_ok=True)
            settings.save(self.output_dir / "training_settings.json")
            write_video_list(self.validation_videos, self.output_dir / "validation.csv")
        accelerator.wait_for_everyone()
        if settings.report_to:
            config = dataclasses.asdict(settings)
            # Trackers take numbers, words and truth values.
            config = {name: value if isinstance(value, (int, float)) else str(value) for name, value in config.items()}
            accelerator.init_trackers(settings.project_name, config=config)
        counts = self.bare_model.count_parameters()
        logger.info(
            f"{len(self.train_videos)} videos to train on and {len(self.validation_videos)} to evaluate on, "
            f"{len(self.class_names)} classes; {settings.num_epochs} epochs of {self.updates_per_epoch} updates of "
            f"{self.batch_size} clips on {accelerator.num_processes} process(es), "
            f"{'in float32' if accelerator.mixed_precision == 'no' else f'mixed precision {accelerator.mixed_precision}'}; "
            f"peak learning rate {self.peak_learning_rate:.3g}; {counts['tunable']:,} tunable and {counts['frozen']:,} "
            "frozen parameters."
        )
        batches = TrainingBatchSampler(
            len(self.train_videos),
            settings.per_device_train_batch_size,
            self.updates_per_epoch * self.accumulation_steps,
            accelerator.num_processes,
            accelerator.process_index,
            settings.seed,
            start=self.state.step * self.accumulation_steps,
        )
        clips = TrainingClips(self.train_videos, self.reading_processor, self.augmentation, settings.seed)
        self.loader = iter(VideoLoader(clips, batches, collate_clips, settings.num_workers))
        self.new_unreadable: dict[int, str] = {}
        self.new_damaged: dict[int, str] = {}
        bar = {"total": self.total_updates, "initial": self.state.step, "unit": "update", "mininterval": 1}
        self.progress = tqdm(**bar, disable=not accelerator.is_main_process)
        if accelerator.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(accelerator.device)
        self.model.train()
        self.speed, self.recent_speed, self.clock_started = Speed(), Speed(), time.perf_counter()

    # ---- updates

    def update(self):
        """Update the weights once, on one batch or several."""
        for micro_step in range(self.accumulation_steps):
            pixel_values, targets = self.read_batch(micro_step)
            with self.accelerator.accumulate(self.model):
                loss = self.model(pixel_values_videos=pixel_values, labels=targets).loss
                self.accelerator.backward(loss)
                if self.settings.max_grad_norm and self.accelerator.sync_gradients:
                    self.accelerator.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
                self.optimizer.step()
                self.optimizer.zero_grad()
            # Stays on the device until `synchronize` reads it.
            self.state.loss_sum += loss.detach().float() / self.accumulation_steps
        self.learning_rate = self.scheduler.get_last_lr()[0]
        self.scheduler.step()
        self.state.loss_count += 1
        self.state.step += 1
        self.recent_speed.num_clips += self.batch_size
        self.progress.update()

    def read_batch(self, micro_step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the next batch of clips, mixed, and their targets."""
        asked = time.perf_counter()
        batch = next(self.loader)
        self.recent_speed.waited += time.perf_counter() - asked
        self.new_unreadable |= batch["unreadable"]
        self.new_damaged |= batch["damaged"]
        device = self.accelerator.device
        pixel_values = batch["pixel_values_videos"].to(device, non_blocking=True)
        labels = batch["labels"].to(device, non_blocking=True)
        # A seed of this batch alone, so that a resumed run mixes it in the same way.
        seed = seed_from(self.settings.seed, self.state.step, micro_step, self.accelerator.process_index)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return self.mixing(pixel_values, labels)

    # ---- records, checkpoints, evaluations

    def synchronize(self):
        """
        Share losses and unreadable and damaged videos among the processes, and stop if the loss or a weight is not finite.
        """
        state, accelerator = self.state, self.accelerator
        for index, reason in gather_object(list(self.new_unreadable.items())):
            if index not in state.unreadable:
                state.unreadable[index] = reason
                name = video_name(self.train_videos[index]["video"], index)
                logger.warning(f"Training video {name} cannot be read and is replaced by others: {reason}")
        for index, reason in gather_object(list(self.new_damaged.items())):
            if index not in state.damaged:
                state.damaged[index] = reason
                logger.warning(reason)
        self.new_unreadable, self.new_damaged = {}, {}
        loss_sum = torch.as_tensor(state.loss_sum, device=accelerator.device)
        state.loss_sum = accelerator.reduce(loss_sum, "mean").item()
        if not (math.isfinite(state.loss_sum) and all_finite(accelerator, self.model)):
            raise FloatingPointError(
                f"The loss or the weights are no longer finite at update {state.step}. The last checkpoint is from before "
                "that; lower the learning rate, set --max_grad_norm, or train in bf16 instead of fp16."
            )

    def record(self):
        """Add the loss since the last record to the history, and report it together with the speed."""
        state, speed, now = self.state, self.recent_speed, time.perf_counter()
        speed.seconds = now - self.clock_started
        record = {
            "epoch": state.step / self.updates_per_epoch,
            "loss": state.loss_sum / state.loss_count,
            "learning_rate": self.learning_rate,
            "num_unreadable": len(state.unreadable),
            "num_damaged": len(state.damaged),
        }
        cost = {
            "clips_per_second": speed.clips_per_second,
            "data_wait_share": speed.data_wait_share,
            "peak_memory_mib": peak_memory(self.accelerator.device) / 2**20,
        }
        state.history.append({"step": state.step} | record)
        self.accelerator.log(record | cost, step=state.step)
        self.progress.set_postfix(
            epoch=f"{record['epoch']:.2f}",
            loss=f"{record['loss']:.3f}",
            lr=f"{record['learning_rate']:.1e}",
            clips_s=f"{cost['clips_per_second']:.1f}",
            wait=f"{cost['data_wait_share']:.0%}",
            mem=f"{cost['peak_memory_mib']:.0f}MiB",
        )
        state.loss_sum, state.loss_count = 0.0, 0
        self.speed.add(speed)
        self.recent_speed, self.clock_started = Speed(), now

    @contextlib.contextmanager
    def paused_clock(self):
        """Leave what is done meanwhile out of the speed."""
        begin = time.perf_counter()
        yield
        self.clock_started += time.perf_counter() - begin

    def evaluation_is_due(self) -> bool:
        epoch, rest = divmod(self.state.step, self.updates_per_epoch)
        every = self.settings.eval_every
        return rest == 0 and (epoch == self.settings.num_epochs or (every > 0 and epoch % every == 0))

    def evaluate(self):
        """Evaluate, add the metrics to the history, write the report, and save the model if it is the best so far."""
        accelerator, settings, state, videos = self.accelerator, self.settings, self.state, self.validation_videos
        epoch = state.step / self.updates_per_epoch
        predictions = predict_videos(
            self.model,
            videos,
            self.reading_processor,
            accelerator,
            num_clips=settings.num_clips,
            num_crops=settings.num_crops,
            batch_size=settings.per_device_eval_batch_size,
            view_batch_size=settings.view_batch_size or settings.per_device_train_batch_size,
            num_workers=settings.num_workers,
            skip_unreadable=settings.skip_unreadable,
            progress=f"Evaluation after epoch {epoch:g}",
        )
        self.metrics = metrics = compute_metrics(predictions, videos, self.class_names)
        figures = {f"eval_{name}": metrics[name] for name in ("top1", "top5", "mean_class_accuracy", "loss")}
        shown = {name: value for name, value in figures.items() if name != "eval_top5" or len(self.class_names) > 5}
        logger.info(f"Epoch {epoch:g}: " + ", ".join(f"{name} {value:.4f}" for name, value in shown.items()))
        accelerator.log(figures, step=state.step)
        figures |= {f"eval_{name}": metrics[name] for name in ("num_unreadable", "num_damaged")}
        state.history.append({"step": state.step, "epoch": epoch} | figures)
        metrics["protocol"] = describe_protocol(
            self.bare_model,
            videos,
            settings.num_clips,
            settings.num_crops,
            {"no": "float32", "bf16": "bfloat16", "fp16": "float16"}[accelerator.mixed_precision],
            metrics["num_unreadable"],
            metrics["num_damaged"],
            dataset=settings.validation or settings.dataset,
            epoch=epoch,
            num_unreadable_in_training=len(state.unreadable),
            num_damaged_in_training=len(state.damaged),
        )

        value, best = metrics[settings.best_metric], state.best
        if best is None or (value < best["value"] if settings.best_metric == "loss" else value > best["value"]):
            state.best = {"value": value, "step": state.step, "epoch": epoch}
            self.save_model(self.output_dir / "best_model")
            if accelerator.is_main_process:
                write_metrics(self.output_dir / "best_model" / "metrics.json", metrics)
        if accelerator.is_main_process:
            write_report(self.output_dir / "evaluation", predictions, videos, self.class_names, metrics)
            plot_training_curves(state.history, self.output_dir / "training_curves.png")
            write_json(self.output_dir / "training_history.json", state.history, indent=1)

    # ---- the result

    def save_model(self, folder: Path):
        """Save the model and its processor as `from_pretrained` loads them."""
        is_main_process = self.accelerator.is_main_process
        state_dict = self.accelerator.get_state_dict(self.model)
        self.bare_model.save_pretrained(folder, is_main_process=is_main_process, state_dict=state_dict)
        if is_main_process:
            self.processor.save_pretrained(folder)
        self.accelerator.wait_for_everyone()

    def finish(self):
        """Save the final model, and publish it if asked to."""
        del self.loader  # and with it its workers, which are preparing the clips of another epoch
        settings, output_dir, best = self.settings, self.output_dir, self.state.best
        self.save_model(output_dir)
        if self.accelerator.is_main_process:
            with atomic_file(output_dir / "metrics.json") as temporary:
                shutil.copyfile(output_dir / "evaluation" / "metrics.json", temporary)
            logger.info(
                f"Done: {output_dir} holds the model, {output_dir / 'best_model'} the best one ({settings.best_metric} "
                f"{best['value']:.4f} after epoch {best['epoch']:g})."
            )
            if self.state.unreadable:
                logger.warning(f"{len(self.state.unreadable)} unreadable training videos were replaced by others.")
            if self.state.damaged:
                logger.warning(f"{len(self.state.damaged)} damaged training videos were used as they are.")
            if settings.push_to_hub:
                repo_id = settings.hub_model_id or output_dir.resolve().name
                commit = publish(output_dir, repo_id, private=settings.hub_private or None)
                logger.info(f"Published as {commit.repo_url}.")
        for tracker in self.accelerator.trackers:
            tracker.finish()


@dataclass
class TrainingResult:
    """What a run ends with."""

    state: TrainingState  # with the history and the best evaluation
    metrics: dict[str, Any]  # of the last evaluation, as in metrics.json
    speed: Speed  # since the start or since the run was resumed, without evaluations and checkpoints


def train(settings: TrainingSettings) -> TrainingResult:
    """
    Train a model, in as many processes as `accelerate launch` has started, all of which have to call this. Return the state
    of the run at its end, the last evaluation, and the speed.

    Raises:
        ValueError: If settings contradict each other, the data or the checkpoint. The output folder is as it was then.
        OSError: If videos, a model or a checkpoint are missing or cannot be read, or the Hub refuses the model.
        FloatingPointError: If the loss or a weight is no longer finite.
    """
    run = _Run(settings)
    run.start()
    state = run.state
    with run.progress:
        if run.checkpoint is not None and run.evaluation_is_due():
            # It comes after the checkpoint, so that an unreadable validation video costs no training.
            run.evaluate()
        while state.step < run.total_updates:
            run.update()
            is_last = state.step == run.total_updates
            logs = is_last or state.step % settings.logging_steps == 0
            saves = is_last or state.step % (settings.checkpointing_steps or run.updates_per_epoch) == 0
            if logs or saves:
                run.synchronize()
            if logs:
                run.record()
            with run.paused_clock():
                if saves:
                    limit = settings.checkpoints_total_limit
                    save_checkpoint(run.output_dir, *run.parts, state, run.identity, run.processor, limit)
                if run.evaluation_is_due():
                    run.evaluate()
    run.finish()
    return TrainingResult(state, run.metrics, run.speed)
