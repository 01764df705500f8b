"""What the window's process and a worker say to each other: small frozen dataclasses as JSON bytes.

Commands go to a worker, events come from it. JSON, not pickle: a leaked tensor would import torch in the window, and bytes from
a broken worker must not be able to run anything. Bulk data goes through files, and the message carries the file's name.
Requests carry a number; an answer to an old request is dropped by whoever asked.
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from playground.errors import SettingError
from playground.params import BeamSettings, ContextSettings, SamplingSettings

# -- parts of messages


@dataclass(frozen=True)
class ChatMessage:
    """One message as the chat template sees it."""

    role: str
    content: str


@dataclass(frozen=True)
class Change:
    """Settings that came into force before the token with this index was drawn."""

    index: int
    settings: SamplingSettings


@dataclass(frozen=True)
class Batches:
    """`count` decode calls of `size` tokens each: how a stretch of the KV cache was computed.

    Rounding depends on the size of the batch a token was computed in, so an exact replay repeats the same batches.
    """

    size: int
    count: int


@dataclass(frozen=True)
class Alternative:
    """A candidate for one place in the text.

    `logprob` is the model's own (the softmax of its raw logits, natural logarithm), `probability` the one under the settings then in
    force, 0 for a candidate that the sampler chain had cut off.
    """

    token_id: int
    text: str
    logprob: float
    probability: float


@dataclass(frozen=True)
class TokenInfo:
    """One drawn token.

    `text` is what became readable with it (empty while a character's bytes are incomplete), `logprob` the model's own, `probability`
    the one it was drawn with.
    """

    token_id: int
    text: str
    logprob: float
    probability: float
    entropy: float
    """Of the model's own distribution, in nats."""
    alternatives: tuple[Alternative, ...] = ()


@dataclass(frozen=True)
class PromptToken:
    """A token of a prompt as the tokenizer cut it; `special` for control tokens."""

    token_id: int
    text: str
    special: bool = False


@dataclass(frozen=True)
class ScoredToken:
    """A token of a given text, and what the model thought of it where it stands. Logarithms are natural, `entropy` in nats."""

    token_id: int
    text: str
    """what became readable with it; a control token's name"""
    bytes: str = ""
    """of the text, in hexadecimal; of a control token those of its name"""
    special: bool = False
    rank: int = 0
    """1 for the likeliest; 0 for the first token, which nothing predicted"""
    logprob: float = 0.0
    entropy: float = 0.0
    alternatives: tuple[Alternative, ...] = ()
    """the likeliest tokens in its place, with the model's own probabilities"""


@dataclass(frozen=True)
class BeamNode:
    """A token in the tree of a beam search. `logprob` is the model's own, `total` its sum from the prompt to here, `length` in tokens.

    `state`: `kept` (a beam went on from here), `pruned` (it fell out), `ended` (the model ended it there), `cut` (the limit did).
    """

    id: int
    parent: int
    """-1 for a first token"""
    token_id: int
    text: str
    logprob: float
    total: float
    length: int
    state: str


@dataclass(frozen=True)
class BeamFound:
    """A continuation that a beam search gives back. `score` is `total / length ** length_penalty`, the token that ended it counted."""

    node: int
    """its last one in the tree; -1 where there was no room for a token"""
    token_ids: tuple[int, ...]
    """with the token that ended it, if one did"""
    logprobs: tuple[float, ...]
    text: str
    """without that one"""
    score: float
    total: float
    reason: str
    """`end` (the model's own), `length`, `context` (window full)"""


@dataclass(frozen=True)
class MemoryTerm:
    """Bytes of one kind on one device, as the engine reports them."""

    device: str
    kind: str
    """weights, kv_cache, compute, output or runtime"""
    bytes: int


@dataclass(frozen=True)
class ModelInfo:
    """What a worker knows of the model it loaded."""

    path: str
    name: str
    architecture: str
    parameters: int
    size: int
    quantization: str
    layers: int
    heads: int
    vocabulary: int
    trained_context: int
    context: int
    """the window in force, in tokens"""
    has_template: bool
    engine: str
    """`llama.cpp` or `transformers`"""
    engine_build: str
    device: str
    memory: tuple[MemoryTerm, ...] = ()
    sha256: str = ""
    """empty while it is still being computed; `ModelHashed` follows"""
    adapter: str = ""
    """path of the adapter that is on, empty for none"""
    adapter_sha256: str = ""


@dataclass(frozen=True)
class QualityRow:
    """What one model lost against an original, on one text. Means over `tokens` predicted positions; logarithms are natural."""

    path: str
    name: str
    quantization: str
    size: int
    """bytes on disk"""
    bits_per_weight: float
    perplexity: float
    perplexity_error: float
    """standard error of the perplexity"""
    kl_divergence: float
    """mean of KL(original || this) over positions, in nats; 0 for the original itself"""
    kl_error: float
    """standard error of that mean"""
    kl_p99: float
    top1_agreement: float
    """fraction of positions at which both find the same token likeliest"""
    tokens: int
    prompt_tokens_per_s: float
    decode_tokens_per_s: float
    resident: int
    """bytes of main memory it took"""
    log_ratio: float = 0.0
    """ln(perplexity / the original's): mean over positions"""
    log_ratio_error: float = 0.0
    """standard error of that mean: a ratio within it says nothing, however small the perplexities' own errors look"""


# -- commands


@dataclass(frozen=True)
class Load:
    """Load a model; answered by `Progress`, then `Loaded` or `Failed`."""

    request: int
    path: str
    context: ContextSettings = ContextSettings()
    check_tensors: bool = False
    """read all weights and refuse damaged ones: for files that were not verified before"""
    sha256: str = ""
    """the file's hash where it is known already: spares computing it"""
    adapter: str = ""
    """a LoRA adapter to put on: a folder in PEFT layout or a GGUF file; empty for none"""


@dataclass(frozen=True)
class Generate:
    """Decode one prompt into as many sequences as there are `samplings`; answered by `Prefilled`, `Tokens`, `SequenceFinished`, `Finished`.

    The prompt is `prompt_ids` if given, else `messages` rendered with the model's template (or `text` as it stands, when there are no
    messages), with `reply_start` put at the beginning of the reply; the tokens of `continued` follow in any case.
    """

    request: int
    samplings: tuple[SamplingSettings, ...]
    messages: tuple[ChatMessage, ...] = ()
    text: str = ""
    reply_start: str = ""
    prompt_ids: tuple[int, ...] = ()
    continued: tuple[int, ...] = ()
    """tokens of a reply that is being continued, after the prompt; penalties see them, they are not reported again"""
    alternatives: int = 8
    """how many candidates to report a token"""
    pace: float = 0.0
    """at most this many tokens a second, 0 for as fast as the engine goes"""
    timeline: tuple[Change, ...] = ()
    """changes to apply by themselves to sequence 0, each before the token of its index: a replay"""
    timelines: tuple[tuple[Change, ...], ...] = ()
    """the same, one for each sequence"""
    ends: tuple[int, ...] = ()
    """for each sequence: end it, as if cancelled, before the token of this index; -1 for not at all: a replay"""
    limits: tuple[int, ...] = ()
    """for each sequence: with so many tokens the context is full, if it is not before; -1 where it ended otherwise: a replay"""
    prompts: tuple[tuple[ChatMessage, ...], ...] = ()
    """for each sequence its own messages, in place of `messages`"""
    reply_starts: tuple[str, ...] = ()
    """for each sequence its own beginning of the reply, in place of `reply_start`"""
    tails: tuple[tuple[int, ...], ...] = ()
    """for each sequence the tokens of its prompt after `prompt_ids`, where prompts differ: a replay"""
    batches: tuple[Batches, ...] = ()
    """compute the prompt in exactly these batches, reusing nothing: a replay"""


@dataclass(frozen=True)
class SetSampling:
    """New settings for a running sequence, in force for its next token; answered by `SamplingChanged`."""

    request: int
    settings: SamplingSettings
    sequence: int = 0


@dataclass(frozen=True)
class SetPace:
    """A new pace for a running request, in tokens a second; 0 for as fast as the engine goes."""

    request: int
    pace: float


@dataclass(frozen=True)
class Cancel:
    """Stop a request at the next token (or chunk of prompt); `sequence` -1 stands for all of them."""

    request: int
    sequence: int = -1


@dataclass(frozen=True)
class Tokenize:
    """Cut a text, or rendered messages, into tokens (or say what `prompt_ids` stand for); answered by `Tokenized`."""

    request: int
    messages: tuple[ChatMessage, ...] = ()
    text: str = ""
    reply_start: str = ""
    prompt_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class NextToken:
    """Ask for the raw logits after a prompt; answered by `Logits` (the numbers lie in a file)."""

    request: int
    messages: tuple[ChatMessage, ...] = ()
    text: str = ""
    reply_start: str = ""
    prompt_ids: tuple[int, ...] = ()
    adapter_scale: float = 1.0
    labels: int = 256
    """of how many of the likeliest tokens to tell the text"""


@dataclass(frozen=True)
class Score:
    """Ask what the model thinks of every token of a given text; answered by `Progress` and `Scored`."""

    request: int
    messages: tuple[ChatMessage, ...] = ()
    text: str = ""
    reply_start: str = ""
    prompt_ids: tuple[int, ...] = ()
    alternatives: int = 8
    adapter_scale: float = 1.0


@dataclass(frozen=True)
class Capture:
    """Write the attention over a text, in all layers and heads or some, to a file (`playground.inside`); answered by `Progress` and `Captured`.

    The text is made as `Score`'s. A `Cancel` leaves nothing behind.
    """

    request: int
    target: str
    """the file that comes into being when it is whole"""
    messages: tuple[ChatMessage, ...] = ()
    text: str = ""
    reply_start: str = ""
    prompt_ids: tuple[int, ...] = ()
    layers: tuple[int, ...] = ()
    """numbers in the model; none for all"""
    heads: tuple[int, ...] = ()
    """numbers in each layer; none for all"""
    exact: bool = False
    """keep the weights in float32, whatever that takes"""
    adapter_scale: float = 1.0
    limit: int = 1 << 62
    """bytes beyond which it is refused"""
    model: str = ""
    """a folder to load for this alone, as encoders are; empty for the model that is loaded"""


@dataclass(frozen=True)
class Beam:
    """Search the likeliest continuations of a prompt; answered by `Prefilled`, a `BeamStep` a token, `BeamsFound` and `Finished`.

    The prompt is made as `Generate`'s.
    """

    request: int
    settings: BeamSettings = BeamSettings()
    messages: tuple[ChatMessage, ...] = ()
    text: str = ""
    reply_start: str = ""
    prompt_ids: tuple[int, ...] = ()
    adapter_scale: float = 1.0


@dataclass(frozen=True)
class Download:
    """Get files of a repository on the hub into the Hugging Face cache; answered by `DownloadProgress`, then `DownloadDone` and `Finished`,
    or `Failed`. A worker has one at a time. The token is not sent: the worker finds it where it is kept.

    `job` goes on with an unfinished one; else `files` are paths in the repository, none for the choice that is usually taken.
    A `Cancel` ends it with everything kept that has arrived.
    """

    request: int
    home: str
    """the data folder, where the job is noted down"""
    repo: str = ""
    files: tuple[str, ...] = ()
    revision: str = "main"
    job: str = ""
    cache: str = ""
    """the Hugging Face cache; empty for the usual one"""


@dataclass(frozen=True)
class PauseDownload:
    """Hold a download; the line is closed, what has arrived stays."""

    request: int


@dataclass(frozen=True)
class ResumeDownload:
    """Go on with a paused download."""

    request: int


@dataclass(frozen=True)
class CancelDownload:
    """End a download. `remove`: throw away what has arrived of unfinished files, and the note of the job."""

    request: int
    remove: bool = False


@dataclass(frozen=True)
class Convert:
    """Write a GGUF file of a model folder in Hugging Face layout; answered by `Progress`, then `Made` or `Failed`.

    `type` is `f32`, `f16`, `bf16` or `auto` (the type most weights have). `target` comes into being when it is whole.
    """

    request: int
    source: str
    target: str
    type: str = "auto"


@dataclass(frozen=True)
class ConvertAdapter:
    """Write a GGUF LoRA file of an adapter folder in PEFT layout; `base` is its model, a folder or a GGUF file. Answered as `Convert`."""

    request: int
    source: str
    target: str
    base: str = ""


@dataclass(frozen=True)
class MergeAdapter:
    """Write a model folder in which an adapter has become part of the weights. Answered as `Convert`."""

    request: int
    base: str
    adapter: str
    target: str
    scale: float = 1.0


@dataclass(frozen=True)
class QuantizeGguf:
    """Write a GGUF file of another type through llama.cpp's own quantizer. Answered as `Convert`, with a `Progress` for each tensor.

    `type` is a name as llama.cpp's own tool knows it (`Q4_K_M`, `IQ2_XXS`, `F16`, ...); `output_type` and `embedding_type` override it for
    those two tensors.
    """

    request: int
    source: str
    target: str
    type: str
    imatrix: str = ""
    """an importance matrix (GGUF); the types that need one refuse to go without"""
    output_type: str = ""
    embedding_type: str = ""
    keep_output: bool = False
    """leave the output tensor as it is"""
    threads: int = 0
    allow_requantize: bool = False
    """take a source that is quantized already, and lose twice"""


@dataclass(frozen=True)
class SurveyTypes:
    """Ask the quantizer what a GGUF file would become, type by type, without making it; answered by `TypesSurveyed` and `Finished`."""

    request: int
    source: str
    types: tuple[str, ...] = ()
    """none for all that it has"""


@dataclass(frozen=True)
class CollectImatrix:
    """Compute an importance matrix of a GGUF model over a text file, in windows of `context` tokens. Answered as `Convert`."""

    request: int
    model: str
    text: str
    target: str
    context: int = 512
    chunks: int = 0
    """at most this many windows; 0 for the whole text"""


@dataclass(frozen=True)
class DryRun:
    """Ask llama.cpp what loading a GGUF file would take, without reading weights or allocating anything; answered by `DryRunDone`."""

    request: int
    path: str
    context: ContextSettings = ContextSettings()


@dataclass(frozen=True)
class QuantizeFolder:
    """Write a model folder with its linear layers in bitsandbytes' `nf4` or `int8`. Answered as `Convert`."""

    request: int
    source: str
    target: str
    method: str = "nf4"
    double: bool = True
    """quantize the scales as well (NF4 only)"""


@dataclass(frozen=True)
class MeasureQuality:
    """Compare models with an original on a text file: perplexity, KL divergence, top-1 agreement, speed, memory.

    Answered by `Progress`, a `QualityMeasured` for the original first and then for each of `models`, and `Finished`.
    """

    request: int
    original: str
    models: tuple[str, ...]
    text: str
    context: int = 512
    chunks: int = 0
    """at most this many windows; 0 for the whole text"""
    special: bool = False
    """recognise control tokens in the text"""
    base: str = ""
    """a folder for the original's logits: written if it has none yet, else read in place of running the original, which gets no row then"""


@dataclass(frozen=True)
class Shutdown:
    """Finish and exit."""


# -- events


@dataclass(frozen=True)
class Started:
    """The first word of every worker."""

    pid: int
    role: str


@dataclass(frozen=True)
class Progress:
    """How far a request is; `fraction` from 0 to 1, or -1 when it cannot be said."""

    request: int
    fraction: float
    what: str = ""


@dataclass(frozen=True)
class Loaded:
    request: int
    model: ModelInfo
    seconds: float


@dataclass(frozen=True)
class ModelHashed:
    """The SHA-256 of a loaded model's file, computed beside the work."""

    path: str
    sha256: str


@dataclass(frozen=True)
class MemoryUsed:
    """Main memory that a worker really takes for a model, once it has been used: growth since before the load, in bytes.

    What lies in a mapped file counts as far as it was touched.
    """

    path: str
    resident: int


@dataclass(frozen=True)
class Prefilled:
    """The prompt is in the cache; `cached` of its tokens were there already. Sent once for all sequences."""

    request: int
    prompt: tuple[PromptToken, ...]
    text: str
    """the prompt as rendered"""
    cached: int
    seconds: float
    batches: tuple[Batches, ...]
    """how the whole cache up to the end of the prompt was computed, cached part included"""
    samplings: tuple[SamplingSettings, ...]
    """the settings in force, with the seeds that were drawn"""
    tails: tuple[tuple[PromptToken, ...], ...] = ()
    """where the sequences' prompts differ: what follows in each after `prompt`, which is what all have in common"""
    texts: tuple[str, ...] = ()
    """where they differ: each prompt as rendered"""


@dataclass(frozen=True)
class Tokens:
    """Tokens of one sequence since the last such event; `index` is that of the first among the completion's tokens."""

    request: int
    sequence: int
    index: int
    tokens: tuple[TokenInfo, ...]
    used: int
    """tokens in the context after the last of them"""


@dataclass(frozen=True)
class SamplingChanged:
    """The settings that a sequence's tokens from `index` on are drawn with."""

    request: int
    sequence: int
    index: int
    settings: SamplingSettings


@dataclass(frozen=True)
class SequenceFinished:
    """One sequence has ended. `reason`: `end` (the model's own), `stop` (a stop string), `length`, `context` (window full), `cancelled`."""

    request: int
    sequence: int
    reason: str
    text: str
    """the whole completion, without a stop string"""
    tokens: int
    decode_s: float


@dataclass(frozen=True)
class Finished:
    """A request is done; nothing more of it follows."""

    request: int
    outcome: str = "done"
    """`done` or `cancelled`"""


@dataclass(frozen=True)
class Failed:
    """A request could not be done. `kind` is the class in `errors`; `Bug` for anything that is none, with the traceback in `details`."""

    request: int
    kind: str
    message: str
    hint: str = ""
    details: str = ""


@dataclass(frozen=True)
class Tokenized:
    request: int
    tokens: tuple[PromptToken, ...]
    text: str
    pieces: tuple[str, ...] = ()
    """the bytes of each token in the text, in hexadecimal; none for control tokens"""
    ends: bool = False
    """whether the last token is one that ends a text"""


@dataclass(frozen=True)
class Scored:
    """Answer to `Score`; `text` is what was scored, as rendered."""

    request: int
    tokens: tuple[ScoredToken, ...]
    text: str


@dataclass(frozen=True)
class Captured:
    """Answer to `Capture`: the file is whole. `encoding` is one of `inside.layout.ENCODINGS`; `layers` and `heads` are the captured ones."""

    request: int
    path: str
    bytes: int
    tokens: int
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    encoding: str
    seconds: float
    """with writing, without loading"""


@dataclass(frozen=True)
class Logits:
    """Raw next-token logits as little-endian float32 of shape [vocabulary] in `file`, and the prompt's tokens before them."""

    request: int
    file: str
    prompt: tuple[PromptToken, ...]
    labels: tuple[tuple[int, str], ...] = ()
    """(token, text) of the likeliest, the likeliest first, and of the latest tokens of the prompt, which penalties may lift"""


@dataclass(frozen=True)
class BeamStep:
    """The tree has grown by a step: every continuation that was looked at, the best first. `step` counts from 1."""

    request: int
    step: int
    nodes: tuple[BeamNode, ...]


@dataclass(frozen=True)
class BeamsFound:
    """What a beam search found, the best first; fewer than its width only where it was cancelled, or there is nothing else to say.

    `why` it ended: `length`, `better` (no living beam could overtake those that ended), `full`, `context`, `cancelled`.
    """

    request: int
    beams: tuple[BeamFound, ...]
    why: str
    tokens: int
    """that were computed, of all beams together"""
    decode_s: float
    arithmetic: str = "engine"
    """`engine`: as in a chat; `f32`: without its rounding"""


@dataclass(frozen=True)
class DownloadProgress:
    """Where a download is. `state`: `asking`, `waiting` (another program gets the same file), `checking` (reading what is there),
    `loading`, `retrying` (the line broke), `paused`.
    """

    request: int
    job: str
    state: str
    done: int
    """bytes"""
    total: int
    rate: float = 0.0
    """bytes a second, lately"""
    seconds_left: float = -1.0
    """-1 when it cannot be said"""
    file: str = ""
    message: str = ""


@dataclass(frozen=True)
class DownloadDone:
    """All files are there, whole and checked; `path` is the one to load (the first of a split, a folder of safetensors)."""

    request: int
    job: str
    repo: str
    path: str
    files: tuple[str, ...]
    bytes: int


@dataclass(frozen=True)
class Made:
    """A file or folder is whole under its final name. `notes` are sentences the user should read (what was left out, or differs)."""

    request: int
    path: str
    bytes: int
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DryRunDone:
    """Answer to `DryRun`: the buffers that the engine would allocate, and the context window it would have, in tokens."""

    request: int
    memory: tuple[MemoryTerm, ...]
    context: int
    gpu_layers: int


@dataclass(frozen=True)
class TypeSize:
    """What a model would be as one type: bytes of the file, mean bits a weight, and tensors that the type does not fit."""

    type: str
    bytes: int
    bits_per_weight: float
    needs_imatrix: bool = False
    fallbacks: int = 0


@dataclass(frozen=True)
class TypesSurveyed:
    """Answer to `SurveyTypes`: the types that this library has, in its own order."""

    request: int
    sizes: tuple[TypeSize, ...]


@dataclass(frozen=True)
class QualityMeasured:
    request: int
    row: QualityRow


@dataclass(frozen=True)
class LogLine:
    """A line for the log file: what a worker or the library in it printed."""

    level: int
    text: str


Message = Any

# -- codec


def encode(message: Message) -> bytes:
    """JSON bytes `{"<class name>": {fields}}` of a message. TypeError for anything else. NaN and infinities are allowed."""
    name = type(message).__name__
    if _classes().get(name) is not type(message):
        raise TypeError(f"{name} is not a message of the protocol")
    return _plain.encode({name: message}).encode("utf-8", "surrogatepass")


def decode(data: bytes) -> Message:
    """The message in JSON bytes. ValueError if the bytes are none."""
    try:
        ((name, fields),) = json.loads(data.decode("utf-8", "surrogatepass")).items()
        return _builder(_classes()[name])(fields)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError, SettingError) as error:
        raise ValueError(f"not a message: {data[:80]!r}") from error


def _fields_of(part: Any) -> Any:
    """What JSON is made of a dataclass: its fields by name, or a bare list for the two that come by the thousand."""
    if type(part) is TokenInfo:
        return [
            part.token_id,
            part.text,
            part.logprob,
            part.probability,
            part.entropy,
            [[each.token_id, each.text, each.logprob, each.probability] for each in part.alternatives],
        ]
    return vars(part)


_plain = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=_fields_of)


@cache
def _classes() -> dict[str, type]:
    return {
        name: each
        for name, each in globals().items()
        if isinstance(each, type) and dataclasses.is_dataclass(each) and each.__module__ == __name__
    }


def _token_info(value: Any) -> TokenInfo:
    """A token from its list: the hot path, so its dictionaries are filled directly instead of through `__init__`."""
    token_id, text, logprob, probability, entropy, rows = value
    alternatives = []
    for row in rows:
        each = _new(Alternative)
        _set(each, "__dict__", dict(zip(_ALTERNATIVE, row, strict=True)))
        alternatives.append(each)
    return TokenInfo(token_id, text, logprob, probability, entropy, tuple(alternatives))


_new: Any = object.__new__
_set = object.__setattr__
_ALTERNATIVE = ("token_id", "text", "logprob", "probability")


@cache
def _builder(hint: Any) -> Callable[[Any], Any]:
    """A function that makes a value of the hinted type of parsed JSON; unknown fields are an error, missing ones take their default."""
    if hint is TokenInfo:
        return _token_info
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        builders = {name: _builder(each) for name, each in get_type_hints(hint).items()}
        return lambda value: hint(**{name: builders[name](item) for name, item in value.items()})
    origin, args = get_origin(hint), get_args(hint)
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            of = _builder(args[0])
            return tuple if of is _same else lambda value: tuple([of(item) for item in value])
        each = [_builder(arg) for arg in args]
        return lambda value: tuple(build(item) for build, item in zip(each, value, strict=True))
    if origin in (Union, types.UnionType):
        of = _builder(next(arg for arg in args if arg is not type(None)))
        return lambda value: None if value is None else of(value)
    return _same


def _same(value: Any) -> Any:
    return value


__all__ = [*_classes(), "Message", "decode", "encode"]
