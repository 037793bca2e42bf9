"""What each part of the recipe `fast` is worth, beside a plain loop and timm's default recipe (see README.md)."""
