"""Video models on a CLIP image encoder, and the heads and losses that train them."""
