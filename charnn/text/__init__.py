"""Text to ids and back: four tokenizers behind one contract."""
