"""The demo: the platform's main job on real input, each step verified."""
