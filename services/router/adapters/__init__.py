"""The meshes that the router can drive."""
