"""The cells as trainable PyTorch modules, and the models made of them."""
