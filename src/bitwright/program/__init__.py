"""Program: the lowered model, in TFLite's closed vocabulary, with numpy references that are normative."""
