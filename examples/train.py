# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""
Trains a DiST on your videos: CLIP stays frozen, the temporal encoder and the integration branch are trained.

A folder with one subfolder per class, on whatever this machine has:

    accelerate launch examples/train.py --dataset videos/ --output_dir my-dist

The paper's recipe for Something-Something V2, on eight GPUs in bfloat16, resumed if it has been stopped:

    accelerate launch --multi_gpu --num_processes 8 --mixed_precision bf16 examples/train.py --recipe ssv2-b16-8 \\
        --dataset something-something-v2-train.json --validation something-something-v2-validation.json \\
        --video_root 20bn-something-something-v2 --output_dir dist-vitb16-ssv2 --resume_from_checkpoint latest

The output folder gets the model of the last epoch, best_model/, checkpoint-<updates>/, the resolved settings
(training_settings.json), the figures (training_history.json, training_curves.png) and evaluation/, the report of the last
evaluation. examples/README.md has more commands.
"""

import json
import logging
import math
import os
import shutil
import sys
import time
from pathlib import Path


# To the end of the path with this folder: `import evaluate` means the library, not the script of that name beside this.
sys.path.sort(key=lambda path: Path(path).resolve() == Path(__file__).resolve().parent)

import datasets
import psutil
import torch
import transformers
from accelerate import Accelerator
from accelerate.logging import get_logger
from accelerate.tracking import get_available_trackers
from accelerate.utils import (
    DistributedType,
    ProjectConfiguration,
    gather_object,
    set_seed,
)
from huggingface_hub import HfApi
from torch.distributed.fsdp import MixedPrecisionPolicy
from tqdm.auto import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from modeling_dist import DiSTConfig, DiSTForVideoClassification, DiSTVideoProcessor
from modeling_dist.command_line import exit_with_message
from modeling_dist.data.augmentation import BatchMixing, ClipAugmentation, parse_label_pairs
from modeling_dist.data.loading import TrainingClips, collate_clips, make_loader
from modeling_dist.data.rows import hash_videos, video_name, write_video_list
from modeling_dist.data.samplers import TrainingBatchSampler, seed_from
from modeling_dist.data.sources import load_train_and_validation
from modeling_dist.evaluation.plots import plot_training_curves
from modeling_dist.evaluation.prediction import (
    compute_metrics,
    describe_protocol,
    predict_videos,
    write_metrics,
    write_report,
)
from modeling_dist.hub import publish
from modeling_dist.training.checkpoint import load_checkpoint, read_training_state, save_checkpoint
from modeling_dist.training.optimization import cosine_schedule, parameter_groups
from modeling_dist.training.output_dir import check_same_run, clear_output_dir, find_start
from modeling_dist.training.settings import TrainingSettings, parse_settings


logger = get_logger(__name__, log_level="INFO")


def configure_sharding(accelerator: Accelerator, settings: TrainingSettings, accumulation_steps: int):
    """What accelerate leaves to the script where the model is sharded."""
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        deepspeed_config = accelerator.state.deepspeed_plugin.deepspeed_config
        deepspeed_config["train_micro_batch_size_per_gpu"] = settings.per_device_train_batch_size
        deepspeed_config["gradient_accumulation_steps"] = accumulation_steps
        deepspeed_config["gradient_clipping"] = settings.max_grad_norm or 0.0
    elif accelerator.distributed_type == DistributedType.FSDP:
        plugin = accelerator.state.fsdp_plugin
        # It cannot hand out buffers, as the class names' embeddings are, and every process has the weights already.
        plugin.cpu_ram_efficient_loading = False
        os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"  # what `from_pretrained` looks at
        if plugin.fsdp_version == 2 and accelerator.mixed_precision == "bf16":
            # By default also the logits and the gradients' sum would be rounded.
            plugin.mixed_precision_policy = MixedPrecisionPolicy(
                param_dtype=torch.bfloat16, reduce_dtype=torch.float32, output_dtype=torch.float32
            )


def build_model(
    settings: TrainingSettings, class_names: list[str]
) -> tuple[DiSTForVideoClassification, DiSTVideoProcessor]:
    """A new DiST on CLIP, or a trained one with a head for these classes."""
    if settings.model is None:
        model = DiSTForVideoClassification.from_backbone(
            settings.backbone,
            revision=settings.backbone_revision,
            attn_implementation=settings.attn_implementation,
            class_names=class_names if settings.head_type == "text" else None,
            num_labels=len(class_names),
            head_type=settings.head_type,
            num_frames=settings.num_frames,
            spatial_frame_stride=settings.spatial_frame_stride,
            num_pooling_layers=settings.num_pooling_layers,
            integration_dim=settings.integration_dim,
            temporal_dim=settings.temporal_dim,
            initializer_range=settings.initializer_range or None,
        )
        image_size = model.config.vision_config.image_size
        processor = DiSTVideoProcessor(num_frames=settings.num_frames, size=image_size, crop_size=image_size)
    else:
        config = DiSTConfig.from_pretrained(settings.model)
        is_same = [config.id2label[label] for label in range(config.num_labels)] == class_names
        had_linear_head = config.head_type == "linear"
        options = {} if settings.attn_implementation is None else {"attn_implementation": settings.attn_implementation}
        if had_linear_head or settings.head_type == "linear":
            settings.head_type = "linear"
            options |= {"head_type": "linear", "num_labels": len(class_names), "ignore_mismatched_sizes": True}
        model = DiSTForVideoClassification.from_pretrained(settings.model, **options)
        if settings.head_type == "text" and not is_same:
            model.set_class_names(class_names)
        elif settings.head_type == "linear" and not (had_linear_head and is_same):
            logger.info("The linear head is new: the model has none for these classes.")
            torch.nn.init.trunc_normal_(model.classifier.weight, std=0.02)
            torch.nn.init.zeros_(model.classifier.bias)
        processor = DiSTVideoProcessor.from_pretrained(settings.model)
        # The settings are saved as what they came to be.
        for name in ("num_frames", "spatial_frame_stride", "num_pooling_layers", "integration_dim", "temporal_dim"):
            setattr(settings, name, getattr(model.config, name))
        settings.backbone, settings.backbone_revision = model.config.backbone, model.config.backbone_revision
    model.config.id2label = dict(enumerate(class_names))
    model.config.label2id = {name: label for label, name in enumerate(class_names)}
    model.config.problem_type = "single_label_classification"
    processor.frame_sampling, processor.frame_step = settings.frame_sampling, settings.frame_step
    processor.decoder = settings.decoder
    return model, processor


def report_unreadable(new: dict[int, str], known: dict[int, str], videos):
    """Makes the unreadable videos that any process has met known to all of them, and names each once in the log."""
    for index, reason in gather_object(list(new.items())):
        if index not in known:
            known[index] = reason
            logger.warning(
                f"Training video {video_name(videos[index]['video'], index)} cannot be read and is replaced by others: {reason}"
            )


def evaluation_is_due(settings: TrainingSettings, step: int, updates_per_epoch: int) -> bool:
    """After so many updates."""
    epoch, rest = divmod(step, updates_per_epoch)
    is_last = epoch == settings.num_epochs
    return rest == 0 and (is_last or (settings.eval_every > 0 and epoch % settings.eval_every == 0))


def evaluate(
    settings: TrainingSettings,
    accelerator: Accelerator,
    model,
    processor,
    videos,
    state: dict,
    output_dir: Path,
    updates_per_epoch: int,
):
    """Evaluates, records the figures in the history and the folder, and keeps the model if it is the best so far."""
    epoch = state["step"] / updates_per_epoch
    with exit_with_message():
        predictions = predict_videos(
            model,
            videos,
            processor,
            accelerator,
            num_clips=settings.num_clips,
            num_crops=settings.num_crops,
            batch_size=settings.per_device_eval_batch_size,
            view_batch_size=settings.view_batch_size or settings.per_device_train_batch_size,
            num_workers=settings.num_workers,
            skip_unreadable=settings.skip_unreadable,
            progress=f"Evaluation after epoch {epoch:g}",
        )
        bare_model = accelerator.unwrap_model(model)
        class_names = list(bare_model.config.id2label.values())
        metrics = compute_metrics(predictions, videos, class_names)
    figures = {f"eval_{name}": metrics[name] for name in ("top1", "top5", "mean_class_accuracy", "loss")}
    state["history"].append(
        {"step": state["step"], "epoch": epoch} | figures | {"eval_num_unreadable": metrics["num_unreadable"]}
    )
    accelerator.log(figures, step=state["step"])
    logger.info(f"Epoch {epoch:g}: " + ", ".join(f"{name} {value:.4f}" for name, value in figures.items()))
    metrics["protocol"] = describe_protocol(
        bare_model,
        videos,
        settings.num_clips,
        settings.num_crops,
        {"no": "float32", "bf16": "bfloat16", "fp16": "float16"}[accelerator.mixed_precision],
        metrics["num_unreadable"],
        dataset=settings.validation or settings.dataset,
        epoch=epoch,
        num_unreadable_in_training=len(state["unreadable"]),
    )

    value, best = metrics[settings.best_metric], state["best"]
    if best is None or (value < best["value"] if settings.best_metric == "loss" else value > best["value"]):
        state["best"] = {"value": value, "step": state["step"], "epoch": epoch}
        save_model(accelerator, model, processor, output_dir / "best_model")
        if accelerator.is_main_process:
            write_metrics(output_dir / "best_model" / "metrics.json", metrics)
    if accelerator.is_main_process:
        write_report(output_dir / "evaluation", predictions, videos, class_names, metrics)
        plot_training_curves(state["history"], output_dir / "training_curves.png")
        (output_dir / "training_history.json").write_text(
            json.dumps(state["history"], indent=1) + "\n", encoding="utf-8"
        )


def save_model(accelerator: Accelerator, model, processor: DiSTVideoProcessor, folder: Path):
    """Saves the model as `from_pretrained` loads it."""
    accelerator.unwrap_model(model).save_pretrained(
        folder, is_main_process=accelerator.is_main_process, state_dict=accelerator.get_state_dict(model)
    )
    if accelerator.is_main_process:
        processor.save_pretrained(folder)
    accelerator.wait_for_everyone()


def check_can_push(model: DiSTForVideoClassification):
    """Before hours of training: whether what comes of it can be uploaded."""
    if not model.saves_backbone and os.path.isabs(model.config.backbone):
        raise SystemExit(
            f"--push_to_hub: the backbone is a folder on this machine, {model.config.backbone}, which nobody else has. Give "
            "its id on the Hub as --backbone."
        )
    with exit_with_message():
        HfApi().whoami()


def push(settings: TrainingSettings, output_dir: Path):
    """Publishes the final model, with its settings and figures in the card."""
    repo_id = settings.hub_model_id or output_dir.resolve().name
    with exit_with_message():
        commit = publish(output_dir, repo_id, private=settings.hub_private or None)
    logger.info(f"Published as {commit.repo_url}.")


def all_finite(accelerator: Accelerator, model) -> bool:
    """Whether all weights are numbers, in all processes."""
    with torch.no_grad():
        parameters = [getattr(p, "_local_tensor", p) for p in model.parameters() if p.requires_grad]
        is_finite = torch.stack([parameter.isfinite().all() for parameter in parameters]).all()
    return bool(accelerator.reduce(is_finite.float(), "mean") == 1)


def tracker_config(settings: TrainingSettings) -> dict:
    """Trackers take numbers, words and truth values."""
    return {
        name: value if isinstance(value, (int, float, str, bool)) else str(value)
        for name, value in vars(settings).items()
    }


def peak_memory(device: torch.device) -> int:
    """Bytes: of the GPU's memory what was allocated at most, elsewhere what this process has occupied at most."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource

    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes if sys.platform == "darwin" else kilobytes * 1024


def main():
    settings = parse_settings(description=__doc__)
    output_dir = Path(settings.output_dir)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()

    unknown = sorted(set(settings.report_to) - {tracker.value for tracker in get_available_trackers()} - {"all"})
    if unknown:
        raise SystemExit(
            f"--report_to: {', '.join(unknown)} is no tracker that accelerate knows, or is not installed."
        )

    # Processes
    accelerator = Accelerator(
        mixed_precision=settings.mixed_precision,
        # Without this, several processes on a machine without a GPU would not know of each other.
        cpu=settings.cpu or not torch.accelerator.is_available(),
        log_with=settings.report_to or None,
        project_config=ProjectConfiguration(project_dir=settings.output_dir, logging_dir=str(output_dir / "logs")),
    )
    logging.getLogger("modeling_dist").setLevel(logging.INFO if accelerator.is_main_process else logging.WARNING)
    settings.mixed_precision = accelerator.mixed_precision
    num_processes = accelerator.num_processes
    with exit_with_message():
        accumulation_steps = settings.accumulation_steps(num_processes)
        checkpoint = find_start(settings)
    global_batch_size = settings.per_device_train_batch_size * num_processes * accumulation_steps
    configure_sharding(accelerator, settings, accumulation_steps)
    set_seed(settings.seed)

    # Data
    with exit_with_message(), accelerator.main_process_first():
        train_videos, validation_videos = load_train_and_validation(
            settings.dataset,
            settings.validation,
            dataset_format=settings.dataset_format,
            dataset_config=settings.dataset_config,
            dataset_revision=settings.dataset_revision,
            train_split=settings.train_split,
            validation_split=settings.validation_split,
            validation_fraction=settings.validation_fraction,
            video_root=settings.video_root,
            class_names=settings.class_names,
            video_column=settings.video_column,
            label_column=settings.label_column,
            exclude=settings.exclude,
            seed=settings.seed,
        )
    class_names = train_videos.features["label"].names
    updates_per_epoch = len(train_videos) // global_batch_size
    if updates_per_epoch == 0:
        raise SystemExit(
            f"{len(train_videos)} videos are less than one batch of {global_batch_size}: make "
            "--per_device_train_batch_size, --gradient_accumulation_steps or --total_batch_size smaller."
        )

    # Model
    with exit_with_message(), accelerator.main_process_first():
        model, processor = build_model(settings, class_names)
    config = model.config
    if settings.push_to_hub:
        check_can_push(model)
    if accelerator.mixed_precision in ("bf16", "fp16") and accelerator.distributed_type in (
        DistributedType.NO,
        DistributedType.MULTI_CPU,
        DistributedType.MULTI_GPU,
    ):
        if model.saves_backbone:
            logger.info("The backbone is trained, or saved along, and so it is kept in float32.")
        else:
            # Once and for all, where autocast would cast it again at every step; sharding has its own way of doing so.
            model.dist.spatial_encoder.to(torch.bfloat16 if accelerator.mixed_precision == "bf16" else torch.float16)
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    if settings.torch_compile:
        model.compile()

    # Clips
    image_size = config.vision_config.image_size
    augmentation = None
    with exit_with_message():
        if settings.augmentation:
            augmentation = ClipAugmentation(
                image_size,
                processor.image_mean,
                processor.image_std,
                crop_scale=tuple(settings.crop_scale),
                crop_ratio=tuple(settings.crop_ratio),
                flip_probability=settings.flip_probability,
                flip_label_pairs=parse_label_pairs(settings.flip_label_pairs, class_names),
                grayscale_probability=settings.grayscale_probability,
                color_jitter=tuple(settings.color_jitter),
                color_jitter_probability=settings.color_jitter_probability,
            )
        mixing = BatchMixing(
            len(class_names),
            mixup_alpha=settings.mixup_alpha,
            cutmix_alpha=settings.cutmix_alpha,
            mixing_probability=settings.mixing_probability,
            cutmix_probability=settings.cutmix_probability,
            label_smoothing=settings.label_smoothing,
        )
    if mixing.mixes and settings.per_device_train_batch_size == 1:
        raise SystemExit(
            "Mixup and CutMix need two clips or more in a batch: raise --per_device_train_batch_size, or turn them off "
            "with --mixing_probability 0."
        )

    # Optimizer
    peak_learning_rate = settings.peak_learning_rate(global_batch_size)
    optimizer = torch.optim.AdamW(
        parameter_groups(model, settings.weight_decay),
        lr=peak_learning_rate,
        betas=(settings.adam_beta1, settings.adam_beta2),
        eps=settings.adam_epsilon,
    )
    scheduler = cosine_schedule(
        optimizer,
        updates_per_epoch,
        settings.num_epochs,
        settings.warmup_epochs,
        min(settings.warmup_start_learning_rate, peak_learning_rate),
    )
    accelerator.gradient_accumulation_steps = accumulation_steps
    model, optimizer = accelerator.prepare(model, optimizer)

    # Where to begin
    run = {
        "list_of_training_videos": hash_videos(train_videos),
        "global_batch_size": global_batch_size,
        "seed": settings.seed,
        "learning_rate": peak_learning_rate,
        **{name: getattr(settings, name) for name in ("weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon")},
        "backbone_fingerprint": config.backbone_fingerprint,
        "num_processes": num_processes,
        "settings": vars(settings),
    }
    state = {
        "step": 0,  # updates so far
        "loss_sum": 0.0,  # of the updates since the last record,
        "loss_count": 0,  # and their number
        "history": [],
        "best": None,
        "unreadable": {},  # index in the training videos: reason
    }
    if checkpoint is not None:
        state = read_training_state(checkpoint)
        state["unreadable"] = {int(index): reason for index, reason in state["unreadable"].items()}
        with exit_with_message():
            check_same_run(state.pop("run"), run, checkpoint)
            load_checkpoint(checkpoint, accelerator, model, optimizer, scheduler)
        logger.info(f"Resumed from {checkpoint}, after {state['step']} updates.")
    accelerator.wait_for_everyone()  # until all have seen what is there, and found nothing wrong with it
    if accelerator.is_main_process:
        clear_output_dir(output_dir, checkpoint)
    accelerator.wait_for_everyone()
    history = state["history"]

    batches = TrainingBatchSampler(
        len(train_videos),
        settings.per_device_train_batch_size,
        updates_per_epoch * accumulation_steps,
        num_processes,
        accelerator.process_index,
        settings.seed,
        start=state["step"] * accumulation_steps,
    )
    clips = TrainingClips(train_videos, processor, augmentation, settings.seed)
    loader = iter(make_loader(clips, batches, collate_clips, settings.num_workers))

    total_updates = updates_per_epoch * settings.num_epochs
    counts = accelerator.unwrap_model(model).count_parameters()
    logger.info(
        f"{len(train_videos)} videos to train on and {len(validation_videos)} to evaluate on, {len(class_names)} classes; "
        f"{settings.num_epochs} epochs of {updates_per_epoch} updates of {global_batch_size} clips on {num_processes} "
        f"process(es), {accelerator.mixed_precision} precision; peak learning rate {peak_learning_rate:.3g}; "
        f"{counts['tunable']:,} tunable and {counts['frozen']:,} frozen parameters."
    )
    if accelerator.is_main_process:
        output_dir.mkdir(parents=True, exist_ok=True)
        settings.save(output_dir / "training_settings.json")
        write_video_list(validation_videos, output_dir / "validation.csv")
    if settings.report_to:
        accelerator.init_trackers(settings.project_name, config=tracker_config(settings))

    # Training
    model.train()
    new_unreadable: dict[int, str] = {}
    waited, started, updates_timed = 0.0, time.perf_counter(), 0
    progress = tqdm(
        total=total_updates,
        initial=state["step"],
        disable=not accelerator.is_main_process,
        unit="update",
        mininterval=1,
    )
    if checkpoint is not None and evaluation_is_due(settings, state["step"], updates_per_epoch):
        # It comes after the checkpoint, so that a validation video that cannot be read costs no training.
        evaluate(settings, accelerator, model, processor, validation_videos, state, output_dir, updates_per_epoch)
    while state["step"] < total_updates:
        for micro_step in range(accumulation_steps):
            asked = time.perf_counter()
            with exit_with_message():
                batch = next(loader)
            waited += time.perf_counter() - asked
            new_unreadable |= batch["unreadable"]
            pixel_values = batch["pixel_values_videos"].to(accelerator.device, non_blocking=True)
            labels = batch["labels"].to(accelerator.device, non_blocking=True)
            with torch.random.fork_rng(devices=[]):
                # Of this batch alone, so that a resumed run mixes it the same way.
                torch.default_generator.manual_seed(
                    seed_from(settings.seed, state["step"], micro_step, accelerator.process_index)
                )
                pixel_values, targets = mixing(pixel_values, labels)
            with accelerator.accumulate(model):
                loss = model(pixel_values_videos=pixel_values, labels=targets).loss
                accelerator.backward(loss)
                if settings.max_grad_norm and accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
                optimizer.step()
                optimizer.zero_grad()
            state["loss_sum"] += loss.detach().float() / accumulation_steps
        state["loss_count"] += 1
        learning_rate = scheduler.get_last_lr()[0]
        scheduler.step()
        state["step"] += 1
        updates_timed += 1
        progress.update()

        step, is_last = state["step"], state["step"] == total_updates
        epoch = step / updates_per_epoch
        saves = is_last or step % (settings.checkpointing_steps or updates_per_epoch) == 0
        logs = is_last or step % settings.logging_steps == 0

        if logs or saves:
            report_unreadable(new_unreadable, state["unreadable"], train_videos)
            new_unreadable = {}
            state["loss_sum"] = accelerator.reduce(
                torch.as_tensor(state["loss_sum"], device=accelerator.device), "mean"
            )
            state["loss_sum"] = state["loss_sum"].item()
            if not (math.isfinite(state["loss_sum"]) and all_finite(accelerator, model)):
                raise SystemExit(
                    f"The loss or the weights are no longer finite at update {step}. The last checkpoint is from before that; "
                    "lower the learning rate, set --max_grad_norm, or train in bf16 instead of fp16."
                )
        if logs:
            seconds = time.perf_counter() - started
            record = {
                "epoch": epoch,
                "loss": state["loss_sum"] / state["loss_count"],
                "learning_rate": learning_rate,
            }
            speed = {
                "clips_per_second": updates_timed * global_batch_size / seconds,
                "data_wait_share": waited / seconds,
                "peak_memory_mib": peak_memory(accelerator.device) / 2**20,
            }
            record["num_unreadable"] = len(state["unreadable"])
            history.append({"step": step} | record)
            accelerator.log(record | speed, step=step)
            progress.set_postfix(
                epoch=f"{epoch:.2f}",
                loss=f"{record['loss']:.3f}",
                lr=f"{learning_rate:.1e}",
                clips_s=f"{speed['clips_per_second']:.1f}",
                wait=f"{speed['data_wait_share']:.0%}",
                mem=f"{speed['peak_memory_mib']:.0f}MiB",
            )
            state["loss_sum"], state["loss_count"] = 0.0, 0
            waited, started, updates_timed = 0.0, time.perf_counter(), 0

        if saves:
            save_checkpoint(
                output_dir,
                step,
                accelerator,
                model,
                optimizer,
                scheduler,
                state | {"run": run},
                settings.checkpoints_total_limit,
            )
        if evaluation_is_due(settings, step, updates_per_epoch):
            evaluate(settings, accelerator, model, processor, validation_videos, state, output_dir, updates_per_epoch)
            waited, started, updates_timed = 0.0, time.perf_counter(), 0
    progress.close()
    del loader  # and with it its workers, which are readying the clips of a further epoch

    # The result
    save_model(accelerator, model, processor, output_dir)
    if accelerator.is_main_process:
        shutil.copy(output_dir / "evaluation" / "metrics.json", output_dir / "metrics.json")
        best = state["best"]
        logger.info(
            f"Done: {output_dir} holds the model, {output_dir / 'best_model'} the best one ({settings.best_metric} "
            f"{best['value']:.4f} after epoch {best['epoch']:g})."
        )
        if state["unreadable"]:
            logger.warning(
                f"{len(state['unreadable'])} training videos could not be read and were replaced by others."
            )
        if settings.push_to_hub:
            push(settings, output_dir)
    accelerator.end_training()


if __name__ == "__main__":
    with logging_redirect_tqdm():
        main()
