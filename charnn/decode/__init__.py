"""From logits to ids: filters, sampling, beam search. Knows no tokenizer and no architecture."""
