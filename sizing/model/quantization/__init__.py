"""How weights are stored: formats, schemes, and the rules of a checkpoint's own quantisation."""
