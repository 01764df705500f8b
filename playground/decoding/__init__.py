"""The sampler chain, defined once in numpy. Pure: logits and settings in, distributions out."""
