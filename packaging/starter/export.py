"""Write the starter model to disk: the Hugging Face folder, and a GGUF made from that folder.

python packaging/starter/export.py CHECKPOINT.pt TOKENIZER_FOLDER OUT    both, from a checkpoint
python packaging/starter/export.py --gguf FOLDER                         only the GGUF
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from model import CONTEXT, build_model
from safetensors.torch import load_file
from transformers import AutoTokenizer

NAME = "Starter"
DESCRIPTION = "A very small chat model for trying Playground: trained from scratch on synthetic text."
LICENSE = "MIT"

# What llama.cpp calls our way of cutting text before byte-pair merging: every digit alone, then
# the GPT-2 pattern. It must stay the twin of the pre-tokenizer in tokenizer.py; check.py compares.
PRE_TOKENIZER = "smollm"

# One template, two spellings. Transformers wants the answer inside {% generation %} so that
# training can tell it from the rest; plain Jinja2 (llama.cpp, our sandbox) does not know that tag.
_TEMPLATE = (
    "{{ bos_token }}"
    "{% for m in messages %}"
    "{% if m.role == 'assistant' %}"
    "{{ '<|im_start|>assistant\\n' }}"
    "@BEGIN@{{ m.content + '<|im_end|>' }}@END@"
    "{{ '\\n' }}"
    "{% else %}"
    "{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
TRAINING_TEMPLATE = _TEMPLATE.replace("@BEGIN@", "{% generation %}").replace("@END@", "{% endgeneration %}")
PLAIN_TEMPLATE = _TEMPLATE.replace("@BEGIN@", "").replace("@END@", "")


def save_hugging_face(run: Path, out: Path) -> None:
    """Write the last checkpoint's weights (bf16), its tokenizer and its settings to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    model = build_model()
    model.load_state_dict(torch.load(run / "checkpoint.pt", weights_only=True)["model"])
    model.to(torch.bfloat16)
    model.generation_config.update(bos_token_id=0, eos_token_id=2, pad_token_id=0, do_sample=True, temperature=0.7, top_p=0.95)
    model.save_pretrained(out)
    tokenizer = AutoTokenizer.from_pretrained(run / "tokenizer")
    tokenizer.model_max_length = CONTEXT
    tokenizer.chat_template = TRAINING_TEMPLATE
    tokenizer.save_pretrained(out)


def interleave(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Reorder the rows of a query or key matrix from "halves" to "pairs".

    Transformers rotates element i of a head together with element i + size/2, llama.cpp's Llama
    rotates neighbours. Same mathematics once the rows are reordered.
    """
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


LAYER_TENSORS = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name: str) -> str:
    """Translate the name of a tensor from Hugging Face's layout to llama.cpp's."""
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"  # no output.weight: llama.cpp reuses this one
    if name == "model.norm.weight":
        return "output_norm.weight"
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{LAYER_TENSORS[rest.removesuffix('.weight')]}.weight"


def write_vocabulary(writer: gguf.GGUFWriter, folder: Path) -> None:
    """Copy tokens, merges and special tokens from tokenizer.json."""
    data = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    ids: dict[str, int] = dict(data["model"]["vocab"])
    special = {t["content"]: t["id"] for t in data["added_tokens"] if t["special"]}
    ids.update(special)
    tokens = sorted(ids, key=lambda token: ids[token])
    if [ids[token] for token in tokens] != list(range(len(tokens))):
        raise SystemExit("the token ids have gaps; llama.cpp cannot take them")
    merges = [m if isinstance(m, str) else " ".join(m) for m in data["model"]["merges"]]
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PRE_TOKENIZER)
    writer.add_token_list(tokens)
    writer.add_token_types([control if token in special else normal for token in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(special["<|endoftext|>"])
    writer.add_eos_token_id(special["<|im_end|>"])
    writer.add_eot_token_id(special["<|im_end|>"])
    writer.add_pad_token_id(special["<|endoftext|>"])
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(PLAIN_TEMPLATE)


def write_gguf(folder: Path, target: Path | None = None) -> Path:
    """Turn a Hugging Face folder of ours into one GGUF file: matrices f16, norms f32."""
    target = target or folder / "starter.gguf"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    heads, layers = config["num_attention_heads"], config["num_hidden_layers"]
    head_size = config["hidden_size"] // heads

    writer = gguf.GGUFWriter(target, "llama")
    writer.add_name(NAME)
    writer.add_description(DESCRIPTION)
    writer.add_license(LICENSE)
    writer.add_size_label("6M")
    writer.add_languages(["en"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(layers)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_rope_dimension_count(head_size)
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    write_vocabulary(writer, folder)

    for name, tensor in load_file(folder / "model.safetensors").items():
        if name == "lm_head.weight":
            continue
        value = tensor.float()
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            value = interleave(value, heads)
        kind = np.float16 if value.ndim == 2 else np.float32
        writer.add_tensor(gguf_name(name), value.numpy().astype(kind))

    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def main() -> None:
    """Read the command line and write what it asks for."""
    arguments = sys.argv[1:]
    if len(arguments) == 2 and arguments[0] == "--gguf":
        folder = Path(arguments[1])
    elif len(arguments) == 2:
        folder = Path(arguments[1])
        save_hugging_face(Path(arguments[0]), folder)
    else:
        raise SystemExit(__doc__)
    path = write_gguf(folder)
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
