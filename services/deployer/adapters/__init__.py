"""The deployer's ports, made of real parts."""
