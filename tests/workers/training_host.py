"""A process that has torch and peft, and forks a child for each run of `run_script`: libraries are imported once, and children can be killed.

    python -m tests.workers.training_host        jobs as JSON lines on stdin, an answer for each on stdout

A job is {"make": FOLDER, "kind": ...} (a tiny model), or {"train": FOLDER, ...}: `die_at` is the number of the event after which the child
kills itself with SIGKILL, `die_writing` the number of the file that it has written half by then, `wants` what is wanted at each step
(a list), `path` a folder with modules that come before all others, `hidden` modules that cannot be imported, `nan_at` the batch whose loss
is no number, `nan_held_out` that of every held-out batch, `short_at` the batch at which memory runs out, `bf16_processor` that bitsandbytes
is to take this for a processor that computes in bf16. {"alone": SCRIPT, "arguments": [...]} runs a script by itself, where there is no
playground; with `asked` and `out`, the files that it reads and prints to in place of its standard streams. {"count": CONFIG, "kind": ...,
"into": FILE, ...} counts what one step keeps for its backward pass.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any


def make(folder: str, kind: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

    torch.manual_seed(1)
    config: Any
    if kind == "bert":
        from transformers import BertConfig, BertModel

        config = BertConfig(
            vocab_size=96,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=64,
        )
        BertModel(config).save_pretrained(folder)
        return
    if kind == "gpt2":
        config = GPT2Config(vocab_size=96, n_embd=64, n_layer=1, n_head=2, n_positions=128, bos_token_id=0, eos_token_id=1)
    else:
        config = LlamaConfig(
            vocab_size=96,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=128,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=0,
            tie_word_embeddings=kind == "tied",
        )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)


def train(job: dict[str, Any]) -> str:
    """In the child."""
    from playground.workers import run_script

    sys.path[:0] = [job["path"]] if "path" in job else []
    for name in job.get("hidden", ()):
        sys.modules[name] = None  # type: ignore[assignment]  # importing it fails
    heard, written, asked = 0, 0, 0

    def hear(event: dict[str, Any]) -> None:
        nonlocal heard
        heard += 1
        if heard == job.get("die_at"):
            os.kill(os.getpid(), signal.SIGKILL)

    def wanted() -> str:
        nonlocal asked
        asked += 1
        wants = job.get("wants") or ["run"]
        return str(wants[min(asked, len(wants)) - 1])

    save, loss_of = run_script.save_file, run_script.loss_of

    def save_file(tensors: Any, path: Path, **more: Any) -> None:
        nonlocal written
        written += 1
        save(tensors, path, **more)
        if written == job.get("die_writing"):
            os.truncate(path, os.path.getsize(path) // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    steps = 0

    def faulty_loss(model: Any, *more: Any) -> Any:
        nonlocal steps
        steps += model.training
        found = loss_of(model, *more)
        if steps == job.get("short_at"):
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory")
        no_number = steps == job.get("nan_at") if model.training else job.get("nan_held_out")
        return found * float("nan") if no_number else found

    if job.get("bf16_processor"):
        import bitsandbytes

        bitsandbytes.nn.modules.has_avx512bf16 = lambda: True
    run_script.save_file, run_script.loss_of = save_file, faulty_loss
    return run_script.train(Path(job["train"]), hear=hear, wanted=wanted)


def count(job: dict[str, Any]) -> None:
    """Elements that a step of one row keeps, but for weights and what the loss itself keeps, as JSON."""
    import peft
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(job["kind"], **job["count"]))
    if job["method"] == "full":
        model.requires_grad_(True)
    else:
        config = peft.LoraConfig(r=job["rank"], lora_dropout=job["dropout"], target_modules="all-linear", task_type="CAUSAL_LM")
        model = peft.get_peft_model(model, config)
    model.train()
    own = {each.untyped_storage().data_ptr() for each in (*model.parameters(), *model.buffers())}
    kept: dict[int, Any] = {}

    def keep(tensor: Any) -> Any:
        if tensor.untyped_storage().data_ptr() not in own and tensor.is_floating_point():
            kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)  # held, so that nothing else comes to lie there
        return tensor

    tokens = job["tokens"]
    positions = (
        torch.cat([torch.arange(tokens // 2), torch.arange(tokens - tokens // 2)]) if job["packed"] else torch.arange(tokens)
    )
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = model(torch.randint(2, 90, (1, tokens)), position_ids=positions[None], use_cache=False).logits
    assert hidden.requires_grad
    elements = sum(each.untyped_storage().nbytes() // each.element_size() for each in kept.values())
    Path(job["into"]).write_text(json.dumps(elements), encoding="utf-8")


def alone(script: str, arguments: list[str]) -> None:
    """In the child: a program of its own, to which nothing of ours can be imported."""
    import runpy

    for name in [name for name in sys.modules if name.partition(".")[0] in ("playground", "tests")]:
        del sys.modules[name]
    for name in ("playground", "tests"):
        sys.modules[name] = None  # type: ignore[assignment]  # importing it fails
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


def main() -> None:
    import warnings

    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
    import peft  # noqa: F401
    import torch
    from transformers.utils import logging

    from playground.workers import run_script  # noqa: F401

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)  # a child of a fork has none but its own
    gc.collect()
    gc.freeze()  # else each child would copy every object that its collector looks at
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if not child:
            code = 1
            try:
                if "out" in job:
                    with open(job["asked"]) as sys.stdin, open(job["out"], "w") as sys.stdout:
                        alone(job["alone"], job["arguments"])
                    code = 0
                elif "alone" in job:
                    alone(job["alone"], job["arguments"])
                elif "count" in job:
                    count(job)
                    code = 0
                elif "make" in job:
                    make(job["make"], job["kind"])
                    code = 0
                else:
                    code = {"finished": 0, "stopped": 2, "ended": 3, "failed": 4}[train(job)]
            except SystemExit as end:
                code = int(end.code or 0)
            except BaseException:
                traceback.print_exc()
            os._exit(code)
        _, status = os.waitpid(child, 0)
        answers.write(json.dumps(os.waitstatus_to_exitcode(status)) + "\n")


if __name__ == "__main__":
    main()
