"""Models: finding them on the hub, getting them, and knowing which ones are on disk.

    hub, hub_client, remote   asking the hub, and the sentences for what goes wrong
    files                     a repository's files as choices: quantizations, splits, shards
    download_plan, fetch      what a download consists of, and how one file arrives whole (`fetch_disk`: on this side of the line)
    library, walk, details, places   the models on this machine, one row each, from their headers (`describing`: of many at once)
    adapters, adapter_base, lora   adapters by name, the model that each is for, and what is in them
    gguf_header, safetensors_header   reading headers (`gguf_cursor`: a window at a time, `gguf_scan`: long stretches at once)
    token_table               the rows of a model's table of tokens, where it lies
    ggml_types, quantization  number formats, and the types that llama.cpp quantizes to
    beside                    files that come into being beside their name
    token                     the hub's token, kept where it cannot leak
    commands                  what `playground models ...` does

Nothing here loads a model, and nothing here asks the network by itself. huggingface_hub is imported at the first question.
"""
