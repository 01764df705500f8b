"""`playground fit MODEL`: will it fit this machine, to run or to train, before anything is downloaded or loaded?"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from playground.cli.common import add_json, emit
from playground.errors import SettingError, StorageError
from playground.params import ContextSettings, from_pairs
from playground.paths import home

MIB = 1 << 20


def add(verbs: Any) -> None:
    verb = verbs.add_parser("fit", help="will a model fit this machine", description=__doc__)
    verb.add_argument(
        "model", metavar="MODEL|REPO[:FILE]", help="'starter', a path, a name of the library, or a repository on the hub"
    )
    run = verb.add_argument_group("to run")
    run.add_argument("--context", default="0", metavar="N", help="context window in tokens (default: the largest that fits)")
    run.add_argument("--kv-type", default="f16", metavar="TYPE", help="number format of the KV cache (default: f16)")
    run.add_argument("--gpu-layers", default="auto", metavar="N", help="layers on the GPU (default: auto, as many as fit)")
    run.add_argument("--parallel", default="1", metavar="N", help="sequences decoded at the same time (default: 1)")
    run.add_argument("--batch-size", default="2048", metavar="N", help="most tokens handed over at once (default: 2048)")
    run.add_argument("--ubatch", default="512", metavar="N", help="most tokens computed at once (default: 512)")
    run.add_argument("--flash-attention", default="auto", metavar="MODE", help="auto, on or off")
    run.add_argument("--experts-on-cpu", default="0", metavar="N", help="layers whose experts stay in main memory")
    run.add_argument("--split-kv", action="store_true", help="a cache of its own for every sequence")
    run.add_argument("--dry-run", action="store_true", help="also ask the engine itself, which counts and allocates nothing")
    run.add_argument(
        "--load",
        choices=("f32", "bf16", "f16", "nf4", "nf4-double"),
        help="of a model folder: the format it is loaded in through transformers (default: bf16)",
    )
    train = verb.add_argument_group("to train")
    train.add_argument("--train", choices=("lora", "qlora", "full"), help="estimate a training run instead")
    train.add_argument("--seq-len", type=int, default=512, metavar="N", help="tokens a sequence (default: 512)")
    train.add_argument("--batch", type=int, default=1, metavar="N", help="sequences a step on one device (default: 1)")
    train.add_argument("--rank", type=int, default=16, metavar="N", help="rank of the adapter (default: 16)")
    train.add_argument("--targets", default="all-linear", help="layers that get an adapter (default: all-linear)")
    train.add_argument("--checkpointing", action="store_true", help="compute activations again instead of keeping them")
    train.add_argument("--optimizer", choices=("adamw", "adamw-8bit", "sgd"), default="adamw", help="default: adamw")
    train.add_argument("--devices", type=int, default=1, metavar="N", help="also plan sharing the run over N devices")
    add_json(verb)
    verb.set_defaults(run=run_fit)


def run_fit(args: argparse.Namespace) -> int:
    from playground.session import fitting  # the readers and the arithmetic are not needed by other verbs

    file = _file_to_count(args) if args.dry_run else None
    what = fitting.subject(home(), args.model)
    if args.train:
        result = _training(args, what)
    elif what.format == "safetensors":
        result = _transformers(args, what)
    else:
        found, largest = fitting.estimate(what, _context(args), runtime=learned_runtime())
        result = found.to_dict() | {"largest_context": largest}
        if file is not None:
            from playground.session.dry_run import dry_run

            settings = replace(_context(args), context=found.context, gpu_layers=found.gpu_layers)
            result["dry_run"] = dry_run(file, settings).to_dict()
    result |= {"model": what.name, "bytes_read": what.bytes_read}
    if args.json:
        emit(result)
    else:
        _print(result)
    return 0


def _file_to_count(args: argparse.Namespace) -> Path:
    """The file to ask the engine about, found before anything is computed."""
    from playground.session.dry_run import local_file

    if args.train:
        raise SettingError(
            "The engine's dry run is for running a model, not for training it.", "Leave --dry-run or --train out."
        )
    return local_file(home(), args.model)


def learned_runtime() -> dict[str, int]:
    """The runtime term as loads on this machine have measured it; nothing where there was none yet."""
    from playground.history.store import Store
    from playground.session import fitting

    if not home().database.is_file():
        return {}
    try:
        with Store(home().database, read_only=True) as store:
            return fitting.learned_runtime(store.fits(50))
    except StorageError:
        return {}  # an estimate needs no database


def _context(args: argparse.Namespace) -> ContextSettings:
    pairs = {
        "context": args.context,
        "kv_type_k": args.kv_type,
        "kv_type_v": args.kv_type,
        "gpu_layers": "-1" if args.gpu_layers == "auto" else args.gpu_layers,
        "sequences": args.parallel,
        "batch": args.batch_size,
        "ubatch": args.ubatch,
        "flash_attention": args.flash_attention,
        "experts_on_cpu": args.experts_on_cpu,
    }
    return replace(from_pairs(ContextSettings, pairs), unified_kv=not args.split_kv)


def _transformers(args: argparse.Namespace, what: Any) -> dict[str, Any]:
    from playground.memory.devices import find_devices
    from playground.memory.transformers_fit import transformers_fit

    settings = _context(args)
    context = settings.context or what.shape.context_train or 4096
    found = transformers_fit(
        what.shape, find_devices(), load=args.load or "bf16", context=context, sequences=settings.sequences
    )
    return found.to_dict()


def _training(args: argparse.Namespace, what: Any) -> dict[str, Any]:
    from playground.memory.devices import find_devices
    from playground.memory.training_fit import TrainingPlan, sharding_plan, training_fit

    for name in ("seq_len", "batch", "rank", "devices"):
        if getattr(args, name) < 1:
            raise SettingError(f"--{name.replace('_', '-')} must be at least 1.", "Give a whole number of 1 or more.")
    plan = TrainingPlan(
        method=args.train,
        rank=args.rank,
        targets=tuple(args.targets.split(",")),
        batch=args.batch,
        sequence=args.seq_len,
        checkpointing=args.checkpointing,
        optimizer=args.optimizer,
    )
    result = training_fit(what.shape, plan, find_devices()).to_dict()
    if args.devices > 1:
        ways = sharding_plan(what.shape, plan, args.devices)
        result["sharding"] = {way: terms.to_dict() | {"total": terms.total} for way, terms in ways.items()}
    return result


def _print(result: dict[str, Any]) -> None:
    print(f"{result['model']}: {result['verdict']}. {result['why']}")
    counted = result.get("dry_run", {}).get("terms", {})
    for name, nbytes in result["terms"].items():
        note = result["basis"].get(name, "")
        beside = f"engine {counted[name] / MIB:12,.1f} MiB   " if name in counted else " " * 26 if counted else ""
        print(f"  {name:<12} {nbytes / MIB:12,.1f} MiB   {beside}{note}")
    print(f"  {'total':<12} {result['total'] / MIB:12,.1f} MiB")
    if len(result["devices"]) > 1:
        for one in result["devices"]:
            print(
                f"  on {one['name']:<9} {one['total'] / MIB:12,.1f} MiB of {one['free'] / MIB:,.1f} MiB free   {one['label']}"
            )
    if result.get("largest_context"):
        print(f"Largest context that fits: {result['largest_context']:,} tokens.")
    if result.get("rule_of_thumb"):
        print(f"By the rule of thumb (parameters x bits / 8 x 1.2): {result['rule_of_thumb'] / MIB:,.0f} MiB.")
    for way, terms in result.get("sharding", {}).items():
        print(f"  {way:<8} {terms['total'] / MIB:12,.1f} MiB on each device")
