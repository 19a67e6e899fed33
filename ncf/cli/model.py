"""``ncf train`` and ``ncf export``: what makes models."""

import logging
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ncf.cli.output import AsJson, print_json, show
from ncf.devices import Device
from ncf.errors import CapabilityError, UsageError
from ncf.models.kinds import Variant
from ncf.policies import ColdUser
from ncf.training.names import Named

Data = Annotated[Path, typer.Option(help="Folder that 'ncf data prepare' made.")]
CheckpointFolder = Annotated[Path, typer.Option(help="Folder that 'ncf train' made.")]


class Target(StrEnum):
    """What ``ncf export`` writes."""

    TORCHSERVE = "torchserve"
    TRITON = "triton"


def train(
    data: Data,
    model: Annotated[Variant, typer.Option(help="What to train.")],
    out: Annotated[Path, typer.Option(help="Checkpoint folder to write.")],
    recipe: Annotated[
        Named, typer.Option(help="Recipe that comes with the toolkit.")
    ] = Named.DEFAULT,
    config: Annotated[Path | None, typer.Option(help="Changes to the recipe, in TOML.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last whole epoch.")
    ] = False,
    gmf: Annotated[Path | None, typer.Option(help="GMF parent of neumf-pre.")] = None,
    mlp: Annotated[Path | None, typer.Option(help="MLP parent of neumf-pre.")] = None,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.AUTO,
    amp: Annotated[
        bool, typer.Option("--amp", help="Compute in bfloat16 where that is safe; for GPUs.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model; the checkpoint holds the best epoch by validation, never by test.

    Example: ncf train --data data/ml-100k --model neumf-pre --out checkpoints/neumf-pre

    On several processes: torchrun --nproc-per-node 2 -m ncf train ... (the same options; they
    share --out and --data).
    """
    from ncf.data.prepared import open_data
    from ncf.training.ranks import joined
    from ncf.training.recipe import load_recipe, named_recipe
    from ncf.training.stage import ParentFolders, Request
    from ncf.training.train import train as train_variant

    if model is not Variant.NEUMF_PRE and (gmf or mlp):
        raise UsageError("--gmf and --mlp are for --model neumf-pre")
    chosen = named_recipe(recipe, model)
    if config:
        chosen = load_recipe(config, chosen)
    with joined(torch_device(device)) as (ranks, place):
        if not ranks.leads:
            logging.getLogger().setLevel(logging.ERROR)  # the leader speaks for all
        parents = ParentFolders(gmf, mlp)
        request = Request(model, chosen, out, resume, place, parents, amp, ranks)
        found = train_variant(request, open_data(data))
    if not ranks.leads:
        return
    if as_json:
        print_json({"checkpoint": str(out), **found})
        return
    figures = {
        f"validation {name}@{found['k']} ({found['protocol']})": found[name.lower()]
        for name in ("HR", "NDCG")
    }
    rest = {name: found[name] for name in ("best_epoch", "digest")}
    show({"checkpoint": str(out), **figures, **rest}, as_json=False)


def export(
    checkpoint: CheckpointFolder,
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of exported models.")] = Path("model_store"),
    name: Annotated[str, typer.Option(help="Name of the model.")] = "ncf",
    target: Annotated[
        Target, typer.Option(help="A bundle and its .mar, or a Triton model repository.")
    ] = Target.TORCHSERVE,
    version: Annotated[str, typer.Option(help="Of the model, for TorchServe.")] = "1.0",
    cold_user: Annotated[
        ColdUser, typer.Option(help="What strangers get from TorchServe.")
    ] = ColdUser.POPULAR,
    k: Annotated[
        int | None, typer.Option("-k", help="Length of Triton's answers: 100, or all items.")
    ] = None,
    screen: Annotated[
        bool,
        typer.Option("--screen/--no-screen", help="Also a fast, screened top-K graph, if it pays."),
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Export a bundle and a .mar: ONNX graphs proven equal to the checkpoint, ids, digests.

    Example: ncf export --checkpoint checkpoints/neumf-pre --data data/ml-100k --out model_store
    """
    from export.bundle import Source
    from export.publish import publish
    from export.triton import write_repository
    from ncf.data.prepared import open_data
    from ncf.training.checkpoint import open_checkpoint

    source = Source(open_checkpoint(checkpoint), open_data(data), cold_user, screen)
    if target is Target.TRITON:
        length = min(100, len(source.data.items)) if k is None else k
        report = write_repository(source, out, name, length)
    else:
        places = {"bundle": str(out / name), "archive": str(out / f"{name}.mar")}
        report = {**places, **publish(source, out, name, version)}
    show(report, as_json=as_json)


def torch_device(device: Device) -> str:
    """Tell PyTorch's name of a device.

    Raises
    ------
    CapabilityError
        CUDA was asked for and cannot be had.
    """
    import torch

    available = torch.cuda.is_available()
    if device is Device.CUDA and not available:
        raise CapabilityError(
            "CUDA was asked for and PyTorch cannot use it",
            remedy="see 'ncf doctor', or --device cpu",
        )
    return "cuda" if available and device is not Device.CPU else "cpu"
