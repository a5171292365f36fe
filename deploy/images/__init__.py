"""Recipes of images that no registry need bring: they are made of a distribution's own packages."""
